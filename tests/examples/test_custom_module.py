"""A kind of one's own is a kind like others: shared, counted, extracted, merged and kept in a checkpoint."""

import copy
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import (
    KINDS,
    Architecture,
    BackboneShape,
    InputError,
    SearchSpace,
    count_flops,
    count_params,
)
from supernet import Backbone, Preprocessing, Subnet, Supernet, load_subnet, random_backbone, save_subnet
from supernet.merging import merged
from supernet.modules import ELASTIC

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_module.py"
DEPTH, CLASSES = 8, 3


@pytest.fixture(scope="module", autouse=True)
def bitfit() -> Iterator[None]:
    """The example's kind, known while these tests run."""
    spec = importlib.util.spec_from_file_location("custom_module", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    del KINDS["bitfit"], ELASTIC["bitfit"]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return random_backbone("vit_micro_patch8_32", 0)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    sizes = {"bitfit": [0, 1], "lora_rank": [0, 1, 2], "prompt_tokens": [0, 2]}
    kinds = {kind: {"sizes": allowed} for kind, allowed in sizes.items()}
    return SearchSpace.from_dict({"name": "biases", "depth": DEPTH, "kinds": kinds})


@pytest.fixture(scope="module")
def supernet(backbone: Backbone, space: SearchSpace) -> Supernet:
    """With random parameters that all have an effect."""
    network = Supernet(backbone.model, space.largest(), CLASSES, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in network.layers.parameters():
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return network


@pytest.fixture(scope="module")
def architectures(space: SearchSpace) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(4)]


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_it_is_counted_as_the_biases_of_the_backbone():
    base = BackboneShape.vit(768)
    alone = Architecture.uniform(12, "bitfit", 1)
    # norm1, qkv, proj, norm2, fc1, fc2 of ViT-B: 101,376, all but the patch embedding's and the last norm's
    assert count_params(alone, base) == 12 * (768 + 2304 + 768 + 768 + 3072 + 768) == 101_376
    assert count_flops(alone, base, 10) == count_flops(Architecture.empty(12), base, 10)


def test_it_is_zero_or_one():
    with pytest.raises(InputError, match="bitfit is 2, but the largest size of bitfit is 1"):
        Architecture.of(1, {"bitfit": [2]})


@torch.no_grad()
def test_it_is_the_backbone_with_other_biases(backbone: Backbone, supernet: Supernet, pixels: torch.Tensor):
    layers = [0, 1, 1, 0, 0, 0, 0, 1]
    model = copy.deepcopy(backbone.model)
    for i, there in enumerate(layers):
        if there:
            block, biases = model.blocks[i], supernet.layers[i]["bitfit"]  # type: ignore[index]
            block.norm1.bias += biases.norm1
            block.attn.qkv.bias += biases.qkv
            block.attn.proj.bias += biases.proj
            block.norm2.bias += biases.norm2
            block.mlp.fc1.bias += biases.fc1
            block.mlp.fc2.bias += biases.fc2
    features = model.forward_head(model.forward_features(pixels), pre_logits=True)
    close(supernet.features(pixels, Architecture.of(DEPTH, {"bitfit": layers})), features)


@torch.no_grad()
def test_one_architecture_for_each_image_gives_what_each_gives_alone(
    supernet: Supernet, architectures: list[Architecture], pixels: torch.Tensor
):
    together = supernet(pixels, architectures)
    for i, a in enumerate(architectures):
        close(together[i : i + 1], supernet(pixels[i : i + 1], a))


def test_training_reaches_it_and_starts_from_the_pretrained_function(
    backbone: Backbone, pixels: torch.Tensor
):
    network = Supernet(backbone.model, Architecture.uniform(DEPTH, "bitfit", 1), CLASSES)
    without = Architecture.empty(DEPTH)
    assert torch.equal(network.features(pixels), network.features(pixels, without))
    network(pixels).square().sum().backward()
    for layer in network.layers:
        assert all(p.grad is not None and p.grad.any() for p in layer.parameters())


@torch.no_grad()
def test_extracted_saved_loaded_and_merged_it_is_the_same_function(
    backbone: Backbone,
    supernet: Supernet,
    space: SearchSpace,
    architectures: list[Architecture],
    pixels: torch.Tensor,
    tmp_path: Path,
):
    a = next(a for a in architectures if "bitfit" in a.kinds and not all(a["bitfit"]))
    subnet = supernet.extract(a).eval()
    expected = supernet(pixels, a)
    close(subnet(pixels), expected)
    assert sum(t.numel() for t in subnet.module_tensors(a).values()) == (
        count_params(a, backbone.shape) + 129 * CLASSES
    )
    classes = ("a", "b", "c")
    file = tmp_path / "subnet.safetensors"
    save_subnet(Subnet(subnet, backbone, classes, Preprocessing.of(backbone.model), {}, {}), file)
    loaded = load_subnet(file, backbone=backbone)
    assert loaded.architecture == a
    assert torch.equal(loaded.network(pixels), subnet(pixels))
    folded = merged(subnet)
    assert folded.capacity.kinds == ("prompt_tokens",)
    close(folded(pixels), expected)


@pytest.mark.thorough
def test_the_example_trains_searches_and_leaves_a_checkpoint(
    tmp_path: Path, insects: Path, run_program: Callable[..., Any]
):
    out = tmp_path / "biases.safetensors"
    done = run_program("-W", "error", EXAMPLE, "--dataset", insects, "--epochs", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "validation accuracy" in done.stdout
    subnet = load_subnet(out)
    assert subnet.classes == ("ant", "bee")
    assert set(subnet.architecture.kinds) <= {"bitfit", "lora_rank"}
