"""Every computation on a GPU keeps to it, on a simulated GPU, so that machines without one notice."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_cuda import fake_cuda, fake_network, place
from simulated_gpu import CUDA, SimulatedGPU, simulated_gpu
from supernet_stages import MODELS, STAGES, small_network
from sweep import sweep

from search_spaces import Architecture
from supernet import Supernet
from supernet.modules import ELASTIC

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*CUDA is not available")]
OF_ANY_FAMILY = ["latency", "loading", "augmentation", "biases", "head"]
"""Stages whose device does not depend on the family."""
RUNNING = [name for name in STAGES if name != "reset"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    with simulated_gpu(monkeypatch) as simulated:
        yield simulated


def on_gpu(family: str = "ViT") -> Supernet:
    return small_network(family).to("cuda")


WAITS = 2  # of a training of one epoch
CALLS = [
    (True, lambda here, there: there[0].item()),
    (True, lambda here, there: bool(there.isfinite().all())),
    (True, lambda here, there: f"{there[0]:.1f}"),
    (True, lambda here, there: torch.equal(there, there)),
    (True, lambda here, there: there[there > 0]),
    (True, lambda here, there: torch.where(there > 0)),
    (True, lambda here, there: there.nonzero()),
    (True, lambda here, there: there.repeat_interleave(there.long())),
    (True, lambda here, there: there[torch.tensor([0])]),
    (True, lambda here, there: there[[0]]),
    (True, lambda here, there: there.cpu()),
    (True, lambda here, there: here.copy_(there)),
    (True, lambda here, there: here.__setitem__(0, there[0])),
    (True, lambda here, there: here.to("cuda")),
    (True, lambda here, there: here.to("cuda", non_blocking=True)),
    (True, lambda here, there: here.pin_memory().to("cuda")),
    (True, lambda here, there: there.copy_(here)),
    (True, lambda here, there: there.__setitem__(slice(2), here[:2])),
    (True, lambda here, there: torch.tensor([1.0], device="cuda")),
    (True, lambda here, there: there.new_tensor([1.0])),
    (False, lambda here, there: here.pin_memory().to("cuda", non_blocking=True)),
    (False, lambda here, there: there.copy_(here.pin_memory(), non_blocking=True)),
    (False, lambda here, there: there.to("cuda").to(torch.bfloat16)),
    (False, lambda here, there: there[there.long()][:2][None, ..., 0]),
    (False, lambda here, there: there.__setitem__(there > 0, 0.0)),
    (False, lambda here, there: there.__setitem__(0, 1.0)),
    (False, lambda here, there: there.__setitem__(0, there[1])),
    (False, lambda here, there: torch.where(there > 0, there, 0.0)),
    (False, lambda here, there: there.repeat_interleave(there.long(), output_size=3)),
    (False, lambda here, there: torch.arange(3, device="cuda") * there.new_zeros(3)),
    (False, lambda here, there: here[here > 0].tolist()),
]
"""Whether the host waits for a call on a tensor here, on the CPU, and one there, on the GPU."""


@pytest.mark.parametrize("family", sweep(MODELS, 2))
def test_every_stage_runs_on_a_gpu(gpu: SimulatedGPU, family: str):
    net = on_gpu(family)
    for name, stage in STAGES.items():
        if family == "shipped" or name not in OF_ANY_FAMILY:
            stage(net)
    assert {p.device for p in net.parameters()} == {CUDA}


@pytest.mark.thorough
def test_every_stage_computes_what_it_does_on_a_cpu(monkeypatch: pytest.MonkeyPatch):
    """Random draws included."""
    plain = small_network("shipped")
    expected = [stage(plain) for stage in STAGES.values()]
    with simulated_gpu(monkeypatch):
        net = on_gpu("shipped")
        found = [stage(net) for stage in STAGES.values()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stage", ["constant", "one per image", "evaluation", "scoring together"])
def test_images_that_do_not_fit_are_copied_batch_by_batch(gpu, monkeypatch, stage: str):
    """Through page-locked memory and without a wait, so that the next batch is prepared meanwhile."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    net, pinned = on_gpu(), []
    monkeypatch.setattr(
        "supernet.transfers._page_locked", lambda values: pinned.append(values) or values.pin_memory()
    )
    gpu.waits = 0
    STAGES[stage](net)
    assert any(values.ndim == 4 for values in pinned)
    if stage == "one per image":
        assert gpu.waits == WAITS + len(net.module_tensors(net.capacity))


@pytest.mark.parametrize("masked", [False, True])
def test_prompts_of_one_length_need_no_mask(gpu: SimulatedGPU, monkeypatch, masked: bool):
    """With a mask torch has no flash attention."""
    masks, real = [], F.scaled_dot_product_attention

    def watched(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, attn_mask=None, **more) -> torch.Tensor:
        masks.append(attn_mask)
        return real(q, k, v, attn_mask=attn_mask, **more)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    net = on_gpu()
    one = Architecture.uniform(net.capacity.depth, "prompt_tokens", 1)
    two = Architecture.uniform(net.capacity.depth, "prompt_tokens", 2)
    net(torch.zeros(2, 3, 32, 32, device="cuda"), [one, two] if masked else one)
    assert {mask is not None for mask in masks} == {masked}


@pytest.mark.parametrize(
    "stage", ["constant", "one path", "one per image", "groups in parts", "distillation"]
)
def test_a_training_waits_for_the_gpu_once_an_epoch_and_once_at_its_end(gpu: SimulatedGPU, stage: str):
    """For its losses, and for whether the weights are finite; the stage of this test then reads these."""
    net = on_gpu()
    gpu.waits = 0
    STAGES[stage](net)
    assert gpu.waits == WAITS + len(net.module_tensors(net.capacity))


@pytest.mark.parametrize("stage", sweep(RUNNING, 4))
def test_a_part_of_the_trunk_left_on_the_cpu_is_noticed(gpu: SimulatedGPU, stage: str):
    net = on_gpu()
    net.backbone.norm.to("cpu")
    with pytest.raises(RuntimeError, match="device"):
        STAGES[stage](net)


# an extracted subnet copies the modules to where the trunk is
@pytest.mark.parametrize(
    "stage", sweep([name for name in RUNNING if name not in ("extraction", "merging")], 4)
)
def test_a_module_left_on_the_cpu_is_noticed(gpu: SimulatedGPU, stage: str):
    net = on_gpu()
    net.layers[0].to("cpu")
    with pytest.raises(RuntimeError, match="device"):
        STAGES[stage](net)


@pytest.mark.parametrize("stage", sweep([name for name in RUNNING if name not in ("latency", "loading")], 4))
def test_a_value_left_on_the_cpu_is_noticed(gpu: SimulatedGPU, monkeypatch, stage: str):
    net = on_gpu()
    for module in (
        "evaluation",
        "preprocessing",
        "scoring",
        "targets",
        "training",
        "training_loop",
        "transfers",
    ):
        monkeypatch.setattr(f"supernet.{module}.to_device", lambda values, device: values)
    with pytest.raises(RuntimeError, match="device"):
        STAGES[stage](net)


def test_a_generator_that_draws_on_another_device_is_noticed(gpu: SimulatedGPU):
    module = on_gpu().layers[0]["lora_rank"]
    plain = type(module).reset.__wrapped__
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator"):
        plain(module, torch.Generator())
    module.reset(torch.Generator())


@pytest.mark.parametrize("kind", sweep(ELASTIC, 5))
def test_every_kind_can_be_reset_on_a_gpu(gpu: SimulatedGPU, kind: str):
    module = ELASTIC[kind](on_gpu().shape, 2).to("cuda")
    module.reset(torch.Generator())
    assert {p.device for p in module.parameters()} == {CUDA}


def test_the_simulated_gpu_refuses_what_a_gpu_does(gpu: SimulatedGPU):
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    assert there.device == CUDA
    assert (there * 2 + torch.tensor(1.0)).device == CUDA  # numbers go along with any device
    assert (there[torch.tensor([0])].device, there.cpu().device) == (CUDA, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="same device"):
        here + there
    with pytest.raises(RuntimeError, match="same device"):
        here[torch.tensor([0]).to("cuda")]
    with pytest.raises(RuntimeError, match="same device"):
        torch.cat([here, there])
    for to_numpy in (torch.Tensor.numpy, np.asarray):
        with pytest.raises(TypeError, match="to numpy"):
            to_numpy(there)
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device="cuda", generator=torch.Generator())


@pytest.mark.parametrize(("waits", "call"), CALLS)
def test_the_simulated_gpu_counts_the_calls_for_which_the_host_waits(gpu: SimulatedGPU, waits: bool, call):
    here, there = torch.ones(3), torch.ones(3).to("cuda")
    gpu.waits = 0
    call(here, there)
    assert gpu.waits == waits


@pytest.mark.thorough
@pytest.mark.parametrize(
    "stage", sweep(["one per image", "head on features", "evaluation", "scoring together"])
)
def test_fake_tensors_of_torch_are_of_the_same_opinion(monkeypatch, stage: str):
    """They see every operation, those within torch's own functions included."""
    with fake_cuda(monkeypatch):
        net = fake_network("shipped")
        STAGES[stage](net)
        place(net.layers[0]["ssf"], torch.device("cpu"))
        with pytest.raises(RuntimeError, match=r"device|cpu"):
            STAGES[stage](net)
