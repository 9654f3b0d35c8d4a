"""Two processes that train together end where one does: each training is run both ways."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from simulated_gpu import simulated_gpu
from torch import nn

from supernet.data_parallel import Processes

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("trained_together.py")
CHOOSERS = ("constant", "one path", "one per image", "groups", "sandwich")
DIFFERENT_WEIGHTS = "all"
PENALTY = ("penalty, 1", "penalty, 2")
KEYS = ".attn.qkv.bias"
"""Keys' biases have no gradient but rounding errors, of which AdamW makes steps."""
CASES = [f"{name}, {parts}" for name in CHOOSERS for parts in (1, 2)]
CASES += ["head", "checkpointing", "all", "augmented constant", "augmented groups", *PENALTY]


@pytest.fixture(scope="module")
def left(tmp_path_factory, run_program):
    """What the process alone and the two together left, by training."""
    folder = tmp_path_factory.mktemp("processes")
    done = run_program("-W", "error", PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")  # torch warns on standard error where it knows better
    return {name: torch.load(folder / f"{name}.pt") for name in ("alone", "0", "1")}


def difference(found, expected, but="-"):
    assert found.keys() == expected.keys()
    names = [name for name in expected if but not in name]
    return max(float((found[name] - expected[name]).abs().max()) for name in names)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_do_what_one_does(left, case):
    alone = left["alone"][case]
    for rank in ("0", "1"):
        together = left[rank][case]
        assert together["losses"] == pytest.approx(alone["losses"], rel=1e-6)
        assert together["image_passes"] == alone["image_passes"]
        # of the last step, whose one image only the second process has; sums of up to 3
        but = KEYS if case in PENALTY else "-"
        assert difference(together["gradients"], alone["gradients"], but) < 5e-6
        if case != DIFFERENT_WEIGHTS:
            assert difference(together["weights"], alone["weights"], but) < 1e-6


@pytest.mark.parametrize("case", CASES)
def test_both_end_with_the_same_weights_to_the_last_bit(left, case):
    assert difference(left["0"][case]["weights"], left["1"][case]["weights"]) == 0


def test_the_trainings_differ_from_one_another(left):
    """So that their agreement above says something."""
    weights = [left["alone"][f"{name}, 1"]["weights"] for name in CHOOSERS]
    for i, one in enumerate(weights):
        assert all(difference(one, other) > 1e-4 for other in weights[:i])


@pytest.mark.parametrize("case", ["constant, 1", "one path, 1", "all"])
def test_what_a_path_does_not_use_has_no_gradient(left, case):
    everything = left["0"]["one per image, 1"]["gradients"]
    assert len(everything) == 16  # of 2 layers with adapters (4), LoRA (2) and prompts (1), and the head (2)
    assert {name for name in everything if name not in left["0"][case]["gradients"]}


def test_killed_and_resumed_is_not_killed(left):
    for rank in ("0", "1"):
        assert difference(left[rank]["resumed"]["weights"], left[rank]["one path, 1"]["weights"]) == 0
        assert left[rank]["resumed"]["losses"] == left[rank]["one path, 1"]["losses"]


def test_a_loss_that_is_not_finite_in_one_process_ends_both(left):
    for rank in ("0", "1"):
        assert left[rank]["not finite"].startswith("NonFiniteLoss: the loss is nan at step 1 of 6 (learning")


def test_a_state_that_only_one_process_sees_is_refused_by_both(left):
    message = "one process resumes after 0 epochs and another after 2; give a state file that all processes"
    for rank in ("0", "1"):
        assert left[rank]["one state"].startswith(f"InputError: {message}")


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("batch", [1, 2, 16, 17])
def test_shares_are_contiguous_nearly_equal_and_everything(count, batch):
    shares = [Processes(rank, count).rows(batch) for rank in range(count)]
    assert [row for share in shares for row in share] == list(range(batch))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_a_process_group_there_is_one_process_and_nothing_to_do():
    alone = Processes.current()
    assert alone == Processes(0, 1)
    network, value = nn.Linear(2, 2), torch.ones(3)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    alone.share_weights(network)
    assert alone.add_up(list(network.parameters()), value) is value
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    alone.require_equal_epochs(3, torch.device("cpu"))


def test_a_step_takes_one_exchange(monkeypatch, tmp_path):
    """Of all gradients, and what is absent stays absent; counted in a group of one, as the one of two."""
    exchanges, exchange = [], dist.all_reduce
    for name in ("all_reduce", "all_gather", "broadcast", "reduce"):
        monkeypatch.setattr(dist, name, lambda *given, name=name: exchanges.append(name) or exchange(*given))
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    network[0].weight.sum().backward()
    network[0].bias.sum().backward()
    first = [parameter.grad.clone() for parameter in network[0].parameters()]
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        loss = Processes(0, 2).add_up(list(network.parameters()), torch.tensor(0.5))
    finally:
        dist.destroy_process_group()
    assert exchanges == ["all_reduce"]
    assert loss == 0.5
    assert all(torch.equal(p.grad, g) for p, g in zip(network[0].parameters(), first, strict=True))
    assert [p.grad for p in network[1].parameters()] == [None, None]


@pytest.mark.parametrize("absent", [False, True])
def test_a_process_with_all_gradients_does_not_wait_for_its_gpu(monkeypatch, tmp_path, absent: bool):
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        with simulated_gpu(monkeypatch) as gpu:
            network = nn.Linear(2, 3).to("cuda")
            loss = network(torch.ones(1, 2, device="cuda")).sum()
            loss.backward()
            network.bias.grad = None if absent else network.bias.grad
            gpu.waits = 0
            Processes(0, 2).add_up(list(network.parameters()), loss.detach())
            assert gpu.waits == absent
    finally:
        dist.destroy_process_group()
