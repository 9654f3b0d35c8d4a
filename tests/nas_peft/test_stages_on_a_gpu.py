"""Every stage of the tool keeps to its GPU, on a simulated one, so that machines without any notice."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from noise_task import noise_values, write_noise
from simulated_gpu import MEMORY, SimulatedGPU, bytes_in_use, simulated_gpu
from supernet_stages import small_model
from sweep import sweep
from tool_stages import QUIET, STAGES, Place
from torch import Tensor, nn

from nas_peft.machine.gpu_sharing import Use, share_of
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.speeds import Measurement
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.methods import METHODS
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages import lora_pruning
from nas_peft.stages.supernet import train_supernets
from nas_peft.training.ray_trainings import RayTrainings
from supernet import Subnet, Supernet

pytestmark = pytest.mark.slow

FAMILIES = ["ViT", "DINOv2 SwiGLU", "DINOv3", "EVA-02", "BEiT", "rotary mixed"]
"""Families of layers and positions of their own; `tests/supernet/test_devices.py` has all."""
OF_ANY_FAMILY = ["latency", "plan", "temperature", "training: lp-ft", "training in bf16"]
"""Stages whose device does not depend on the family."""
PLANTED = {
    "linear probe": "nas_peft.stages.pretrained_features.pooled_features",
    "supernet": "supernet.training.to_device",
    "scoring": "supernet.scoring.to_device",
    "inherited weights": "supernet.Supernet.extract",
    **dict.fromkeys(
        (f"training: {method}" for method in METHODS), "nas_peft.training.trainings.starting_network"
    ),
    "training in bf16": "nas_peft.training.trainings.starting_network",
    "pack": "nas_peft.training.packed_trainings.starting_network",
    "averages": "supernet.evaluation.to_device",
    "temperature": "supernet.evaluation.to_device",
    "merging": "supernet.merging._frozen",
    "export": "supernet.preprocessing.to_device",
    "many tasks": "supernet.multi_task.load_subnet",
    "attention": "supernet.attention_rollout._weights",
    "latency": "nas_peft.stages.latency.blank_batch",
    "plan": "supernet.evaluation.to_device",
}
"""A function of each stage whose result a fault leaves on the CPU."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SearchInputs:
    values = noise_values(write_noise(tmp_path_factory.mktemp("data") / "noise"))
    return SearchInputs.load(SearchConfig.of(**values).on("cpu"), QUIET)


@pytest.fixture
def place(whole: SearchInputs, tmp_path: Path) -> Callable[[str, str], Place]:
    """Makes the place of a family and a device."""

    def make(family: str, device: str) -> Place:
        own = tmp_path / f"{family} {device}"
        own.mkdir()
        return Place(whole, small_model(family), device, own)

    return make


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    with simulated_gpu(monkeypatch) as simulated:
        yield simulated


@pytest.mark.parametrize("family", sweep(FAMILIES))
def test_every_stage_runs_on_a_gpu(gpu: SimulatedGPU, place, family: str):
    here = place(family, "cuda")
    for name, stage in STAGES.items():
        if name not in OF_ANY_FAMILY:
            stage(here)


@pytest.mark.thorough
def test_every_stage_computes_what_it_does_on_a_cpu(monkeypatch: pytest.MonkeyPatch, place):
    plain = place("shipped", "cpu")
    expected = [stage(plain) for stage in STAGES.values()]
    with simulated_gpu(monkeypatch):
        here = place("shipped", "cuda")
        found = [stage(here) for stage in STAGES.values()]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _left_on_the_cpu(value: Any) -> Any:
    if isinstance(value, Supernet):
        value.head.cpu()
    elif isinstance(value, Subnet):
        value.network.head.cpu()
    elif isinstance(value, nn.Parameter):
        return nn.Parameter(value.detach().cpu(), requires_grad=False)
    elif isinstance(value, Tensor):
        return value.cpu()
    return value


@pytest.mark.parametrize("stage", sweep(STAGES, 6))
def test_what_a_stage_leaves_on_the_cpu_is_noticed(gpu: SimulatedGPU, place, monkeypatch, stage: str):
    here = place("ViT", "cuda")
    if stage in ("supernet", "scoring", "inherited weights"):
        _ = here.probe if stage == "supernet" else here.folds  # as they should be
    target = PLANTED[stage]
    real = _named(target)
    monkeypatch.setattr(target, lambda *given, **more: _left_on_the_cpu(real(*given, **more)))
    with pytest.raises(RuntimeError, match="device"):
        STAGES[stage](here)


def _named(target: str) -> Any:
    owner, _, name = target.rpartition(".")
    return getattr(Supernet if owner == "supernet.Supernet" else __import__(owner, fromlist=[name]), name)


def test_a_generator_of_the_probe_that_draws_on_another_device_is_noticed(
    gpu: SimulatedGPU, place, monkeypatch
):
    """The probe resets a network that has moved: the first stage of every search and comparison."""
    here = place("ViT", "cuda")
    for module in ("supernet.initial_values", "supernet.supernet"):
        monkeypatch.setattr(f"{module}.parameters_on", lambda module, device: nullcontext())
    network = Supernet(small_model("ViT").to("cuda"), here.inputs.space.largest(), 3)
    with pytest.raises(RuntimeError, match="generator"):
        network.reset(0)
    with pytest.raises(RuntimeError, match="generator"):
        STAGES["linear probe"](here)


@pytest.mark.parametrize(
    "train",
    [
        lambda run, features: train_supernets(run, features).record.losses,
        lambda run, features: lora_pruning._prune(run, features, 15.0).losses,
    ],
    ids=["supernet", "LoRA to be pruned"],
)
def test_what_this_process_trains_is_trained_in_parts_where_memory_is_short(
    gpu: SimulatedGPU, whole: SearchInputs, tmp_path: Path, train
):
    """With the same losses."""
    losses, largest = [], []
    for room in (1.0, 0.6):
        folder = tmp_path / f"room for {room}"
        folder.mkdir()
        here = Place(whole, small_model("ViT"), "cuda", folder)
        features = here.probe.features
        gpu.largest, gpu.limit = 0, round(room * largest[0]) if largest else MEMORY
        losses.append(train(here.run, features))
        largest.append(gpu.largest)
        gpu.limit = MEMORY
    assert largest[1] <= 0.6 * largest[0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.usefixtures("ray_address")
def test_this_process_has_left_the_gpu_when_separate_trainings_begin(gpu: SimulatedGPU, place):
    """They are of Ray's workers, which cannot take what this process holds."""
    here = place("shipped", "cuda")
    training, inputs = here.training("subnet"), here.shared
    inputs.backbone.model.to("cuda")
    assert bytes_in_use() > 0
    folder = RunFolder.open(here.folder / "run", here.inputs.config)
    with RayTrainings(folder, inputs, device="cpu", ray_options=RayOptions(cpus_per_trial=1)) as runner:
        (record,) = runner.run([training], lambda: None)
    assert record.error is None
    assert bytes_in_use() == 0


def test_trainings_share_a_gpu_by_the_less_busy_and_the_larger_of_two(
    gpu: SimulatedGPU, place, monkeypatch: pytest.MonkeyPatch
):
    """Kernels are seen on a real GPU alone (`tests/gpu`); where none are seen, nothing is shared."""
    here = place("shipped", "cuda")
    uses: list[Use | None] = []
    monkeypatch.setattr("nas_peft.planning.speeds.measured_use", lambda run, device: uses.pop())
    monkeypatch.setattr("nas_peft.planning.speeds.whole_cores", lambda: 16)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 80 * 2**30))
    for found, together in (
        ([Use(0.9, 2**30), Use(0.2, 2**29)], 5),
        ([Use(0.2, 2**36), Use(0.9, 2**29)], 1),
        ([None, Use(0.2, 2**29)], 1),
    ):
        uses[:] = found
        speeds = Measurement.of(here.inputs, 2, 1, shares=True).run("cuda")
        assert (speeds.places, speeds.gpu_share) == (2 * together, share_of(together))
