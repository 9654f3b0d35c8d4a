"""The supernet on a GPU equals that on a CPU: within 1e-4 in float32, within a stated bound in bf16."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from sweep import sweep
from trained_on_two import part
from trainings import LAYERS, Trainings

from nas_peft.machine.accelerator import limit_memory, release_memory, with_less_memory
from nas_peft.machine.gpu_sharing import measured_use
from search_spaces import Architecture
from supernet import (
    Constant,
    Execution,
    Preprocessing,
    Recipe,
    default_precision,
    train,
)

BF16_BOUND = 0.05
"""Largest difference of a loss in bf16, whose numbers have 8 bits, from that in float32."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def trainings(gpu: str) -> Trainings:
    return Trainings(LAYERS[gpu])


@pytest.mark.parametrize("losses", sweep([Trainings.scored, Trainings.evaluated]))
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", BF16_BOUND)])
def test_losses_equal_those_of_a_cpu(trainings: Trainings, losses, precision: str, bound: float):
    found, expected = losses(trainings, "cuda", precision), losses(trainings, "cpu", "fp32")
    torch.testing.assert_close(found, expected, rtol=bound, atol=bound)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", BF16_BOUND)])
def test_a_training_equals_that_of_a_cpu(trainings: Trainings, precision: str, bound: float):
    expected = trainings.trained("cpu", Execution())
    found = trainings.trained("cuda", Execution(precision=precision))
    assert found == pytest.approx(expected, rel=bound, abs=bound)


def test_micro_batches_give_the_same_training(trainings: Trainings):
    whole = trainings.trained("cuda", Execution())
    assert trainings.trained("cuda", Execution(micro_batches=4)) == pytest.approx(whole, rel=1e-4)


def test_a_deterministic_training_repeats_itself_to_the_last_bit(trainings: Trainings):
    execution = Execution(precision="bf16", deterministic=True)
    assert trainings.trained("cuda", execution) == trainings.trained("cuda", execution)


def test_initial_values_are_those_of_a_cpu(trainings: Trainings):
    on_gpu, on_cpu = trainings.network("cuda"), trainings.network("cpu")
    on_gpu.reset(3)
    on_cpu.reset(3)
    for name, value in on_cpu.module_tensors(on_cpu.capacity).items():
        assert torch.equal(value, on_gpu.module_tensors(on_gpu.capacity)[name].cpu())


def test_bf16_is_the_default(gpu: str):
    assert default_precision("cuda") == "bf16"


def test_packed_trainings_equal_single_ones(trainings: Trainings):
    """Different architectures, rates and seeds in one pack."""
    recipes = [Recipe(epochs=2, lr=rate, batch_size=8) for rate in (1e-3, 3e-4, 1e-4)]
    _, curves = trainings.packed(recipes)
    for seed, network in enumerate(trainings.networks(3)):
        options = {"preprocessing": Preprocessing.of(network.backbone), "chooser": Constant(network.capacity)}
        alone = train(network, *trainings.data(), recipe=recipes[seed], seed=seed, **options)
        assert curves[seed].losses == pytest.approx(alone.losses, rel=1e-4)


@pytest.mark.parametrize(
    "compute",
    [
        lambda trainings, size: trainings.trained("cuda", Execution(precision="bf16"), size),
        lambda trainings, size: trainings.packed([Recipe(epochs=2, lr=1e-3, batch_size=size)] * 2),
        lambda trainings, size: trainings.evaluated("cuda", "bf16", size),
        lambda trainings, size: trainings.scored("cuda", "bf16", size),
    ],
    ids=["training", "pack", "evaluation", "scoring"],
)
def test_the_host_does_not_wait_in_a_step(trainings: Trainings, waits_of, compute):
    """More steps are no more waits; a compiled kernel or a library that is loaded may wait at first."""
    compute(trainings, 8)
    assert waits_of(lambda: compute(trainings, 2)) == waits_of(lambda: compute(trainings, 8)) > 0


def test_where_memory_runs_out_parts_of_the_batch_give_the_same_training(gpu: str, trainings: Trainings):
    """Memory is limited to less than the whole batch takes, as far as this process is concerned."""
    capacity = Architecture.uniform(trainings.layers, "lora_rank", 2)
    batch = 512 if gpu == "real" else 32
    pixels, labels = trainings.data(batch)
    tried: list[int] = []

    def run(execution: Execution) -> list[float]:
        tried.append(execution.micro_batches)
        network = trainings.network("cuda", capacity)
        recipe, preprocessing = (
            Recipe(epochs=1, lr=1e-4, batch_size=batch),
            Preprocessing.of(network.backbone),
        )
        curve = train(
            network,
            pixels,
            labels,
            preprocessing=preprocessing,
            chooser=Constant(capacity),
            recipe=recipe,
            seed=0,
            execution=execution,
        )
        return curve.losses

    release_memory("cuda")
    torch.cuda.reset_peak_memory_stats()
    whole = run(Execution())
    peak, total = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
    release_memory("cuda")
    limit_memory("cuda:0", 0.6 * peak / total)
    try:
        parts = with_less_memory(run, Execution(), batch, "cuda:0")
    finally:
        limit_memory("cuda:0", 1.0)
    assert tried[:3] == [1, 1, 2]
    assert parts == pytest.approx(whole, rel=1e-4)


def test_two_gpus_train_as_one(gpu: str, trainings: Trainings, monkeypatch: pytest.MonkeyPatch):
    """Without two GPUs the program of a process is run as the only one of its group, on the CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if gpu == "simulated":
        for name, value in (shared | {"WORLD_SIZE": "1", "RANK": "0"}).items():
            monkeypatch.setenv(name, value)
        found = part(trainings.layers, "cpu")
        assert found == pytest.approx(trainings.trained("cuda", Execution()), rel=1e-4)
        return
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    program = [sys.executable, str(Path(__file__).with_name("trained_on_two.py")), str(trainings.layers)]
    environment = os.environ | shared | {"WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    ranks = [
        subprocess.Popen(program, env=environment | {"RANK": str(rank)}, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=300)[0].decode().split() for rank in ranks]
    assert outputs[0] == outputs[1]
    alone = trainings.trained("cuda", Execution())
    assert [float(loss) for loss in outputs[0]] == pytest.approx(alone, rel=1e-4)


def test_a_training_of_a_small_network_leaves_the_gpu_idle_most_of_the_time(gpu: str, trainings: Trainings):
    """The host starts its kernels more slowly than the GPU ends them, so that others have room beside it."""
    if gpu == "simulated":
        pytest.skip("needs the kernels of a real GPU")
    trained = partial(trainings.trained, "cuda", Execution(precision="bf16"))
    trained()
    use = measured_use(trained, torch.device("cuda"))
    assert use is not None
    assert 0 < use.busy < 0.5
    assert 0 < use.memory < 2**30
