"""The supernet on a GPU equals that on a CPU: within 1e-4 in float32, within a stated bound in bf16."""

import copy
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import Architecture, SearchSpace, load_space
from supernet import (
    Execution,
    OnePerImage,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    default_precision,
    evaluate,
    score,
    train,
)

pytestmark = pytest.mark.gpu
CLASSES = 5
BF16_BOUND = 0.05
"""Largest difference of a loss in bf16, whose numbers have 8 bits, from that in float32."""


def space() -> SearchSpace:
    return load_space("default", 8)


def network(device: str) -> Supernet:
    """The shipped backbone with modules whose weights are not zero."""
    model = copy.deepcopy(create_backbone("vit_micro_patch8_32").model)
    supernet = Supernet(model, space().largest(), CLASSES)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in supernet.elastic_modules():
            for value in module.parameters():
                value.add_(torch.randn(value.shape, generator=generator) * 0.02)
    return supernet.to(device)


def data(number: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (number, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return pixels, torch.arange(number) % CLASSES


def candidates() -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space().sample(rng) for _ in range(4)]


def scored(device: str, precision: str) -> torch.Tensor:
    net = network(device)
    options = {"preprocessing": Preprocessing.of(net.backbone), "precision": precision}
    return torch.stack([e.losses for e in score(net, *data(), candidates(), **options)])


def evaluated(device: str, precision: str) -> torch.Tensor:
    net = network(device)
    options = {"preprocessing": Preprocessing.of(net.backbone), "precision": precision}
    return evaluate(net, *data(), architecture=candidates()[0], **options).losses


def trained(device: str, execution: Execution) -> list[float]:
    """The mean losses of three epochs with an architecture for each image."""
    net = network(device)
    chooser = OnePerImage(space().sample, space().largest().kinds)
    return train(
        net,
        *data(),
        preprocessing=Preprocessing.of(net.backbone),
        chooser=chooser,
        recipe=Recipe(epochs=3, lr=1e-4, batch_size=8),
        seed=0,
        execution=execution,
    ).losses


@pytest.mark.parametrize("losses", [scored, evaluated])
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", BF16_BOUND)])
def test_losses_equal_those_of_a_cpu(losses, precision, bound):
    torch.testing.assert_close(losses("cuda", precision), losses("cpu", "fp32"), rtol=bound, atol=bound)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", BF16_BOUND)])
def test_a_training_equals_that_of_a_cpu(precision, bound):
    expected = trained("cpu", Execution())
    assert trained("cuda", Execution(precision=precision)) == pytest.approx(expected, rel=bound, abs=bound)


def test_micro_batches_give_the_same_training():
    whole, parts = trained("cuda", Execution()), trained("cuda", Execution(micro_batches=4))
    assert parts == pytest.approx(whole, rel=1e-4)


def test_a_deterministic_training_repeats_itself_to_the_last_bit():
    execution = Execution(precision="bf16", deterministic=True)
    assert trained("cuda", execution) == trained("cuda", execution)


def test_initial_values_are_those_of_a_cpu():
    on_gpu, on_cpu = network("cuda"), network("cpu")
    on_gpu.reset(3)
    on_cpu.reset(3)
    for name, value in on_cpu.module_tensors(on_cpu.capacity).items():
        assert torch.equal(value, on_gpu.module_tensors(on_gpu.capacity)[name].cpu())


def test_bf16_is_the_default():
    assert default_precision("cuda") == "bf16"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, str(Path(__file__).with_name("trained_on_two.py"))]
    ranks = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank)}, stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=300)[0].decode().split() for rank in ranks]
    assert outputs[0] == outputs[1]
    assert [float(x) for x in outputs[0]] == pytest.approx(trained("cuda", Execution()), rel=1e-4)
