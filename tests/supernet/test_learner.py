"""The fixed scale of modules: part of the optimizer, equal to a factor in the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search_spaces import KINDS, Architecture, InputError, Kind
from supernet import Backbone, Constant, Preprocessing, Recipe, Supernet, create_backbone, train, train_pack
from supernet.learner import Learner
from supernet.merging import merged
from supernet.modules.adapter import ParallelAdapter
from supernet.modules.elastic import ELASTIC, Place, Size, is_scaled, register_elastic
from supernet.penalty import pretrained_value

SCALE = 0.25
RECIPE = Recipe(epochs=2, lr=0.02, weight_decay=0.1, batch_size=8)
KIND = "adapter_dim_parallel"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return create_backbone("vit_micro_patch8_32")


@pytest.fixture
def multiplied() -> Iterator[str]:
    """A kind that multiplies what a parallel adapter adds, in its forward pass."""
    name = "adapter_dim_parallel_quarter"

    @register_elastic(Kind(name, "quarter", KINDS[KIND].params, KINDS[KIND].flops))
    class Quarter(ParallelAdapter):
        def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
            return y + SCALE * (super().forward(place, x, torch.zeros_like(y), size))

    yield name
    del ELASTIC[name], KINDS[name]


IMAGES = torch.randint(256, (16, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(16) % 3


def trained(backbone: Backbone, kind: str, recipe: Recipe, file: Path | None = None) -> Supernet:
    network = Supernet(backbone.model, Architecture.uniform(backbone.depth, kind, 2), 3, seed=0)
    train(
        network,
        IMAGES,
        LABELS,
        preprocessing=Preprocessing.of(backbone.model),
        chooser=Constant(network.capacity),
        recipe=recipe,
        seed=0,
        state_file=file,
        save_every=0.0,
    )
    return network.eval()


def test_a_scale_equals_a_factor_in_the_network(backbone: Backbone, multiplied: str) -> None:
    by_factor = trained(backbone, multiplied, RECIPE)
    scaled = replace(RECIPE, module_scale=SCALE)
    network = trained(backbone, KIND, scaled)
    theirs = dict(by_factor.named_parameters())
    plain = dict(trained(backbone, KIND, RECIPE).named_parameters())
    for name, parameter in network.named_parameters():
        if name.startswith("backbone."):
            continue
        own = theirs[name.replace(KIND, multiplied)]
        factor = SCALE if is_scaled(name) else 1.0
        assert torch.allclose(parameter, factor * own, atol=2e-5), name
        if is_scaled(name):
            assert (parameter - plain[name]).abs().max() > 1e-3
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(network(x), by_factor(x), atol=1e-4)


def test_a_scaled_training_resumes_and_packs_as_alone(backbone: Backbone, tmp_path: Path) -> None:
    scaled = replace(RECIPE, module_scale=SCALE)
    whole = trained(backbone, "lora_rank", scaled).module_tensors
    network = Supernet(backbone.model, Architecture.uniform(backbone.depth, "lora_rank", 2), 3, seed=0)

    class Stopped(Exception):
        pass

    def stop(finished: int) -> None:
        if finished == 1:
            raise Stopped

    preprocessing = Preprocessing.of(backbone.model)
    with pytest.raises(Stopped):
        train(
            network,
            IMAGES,
            LABELS,
            preprocessing=preprocessing,
            chooser=Constant(network.capacity),
            recipe=scaled,
            seed=0,
            state_file=tmp_path / "state",
            save_every=0.0,
            on_epoch=stop,
        )
    resumed = trained(backbone, "lora_rank", scaled, tmp_path / "state")
    expected = whole(resumed.capacity)
    assert all(torch.equal(expected[n], t) for n, t in resumed.module_tensors(resumed.capacity).items())
    pair = [Supernet(backbone.model, resumed.capacity, 3, seed=0) for _ in range(2)]
    recipes = [scaled, RECIPE]
    train_pack(pair, IMAGES, LABELS, preprocessing=preprocessing, recipes=recipes, seeds=[0, 0])
    found = pair[0].module_tensors(resumed.capacity)
    assert all(torch.allclose(expected[n], t, atol=2e-5) for n, t in found.items())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # merged as any other subnet
        assert torch.allclose(merged(resumed)(x), resumed(x), atol=1e-4)


def test_output_projections_are_scaled_and_nothing_else() -> None:
    named = {kind: {n for n in ("up", "up_bias") if is_scaled(f"layers.0.{kind}.{n}")} for kind in ELASTIC}
    assert named["lora_rank"] == named["dora_rank"] == named["lora_rank_pos"] == {"up"}
    assert named["adapter_dim"] == named["convpass_dim_mlp"] == named["rep_dim_mlp"] == {"up", "up_bias"}
    learned = {"adapter_dim_plus", "adapter_dim_scaled", "adapter_dim_parallel_scaled"}
    assert not any(ELASTIC[kind].scaled for kind in {"ssf", "prompt_tokens", *learned})
    assert not is_scaled("head.weight")
    assert not is_scaled("layers.0.lora_rank.down")
    for kind, names in named.items():  # they start at the pretrained function, which no scale changes
        assert all(pretrained_value(f"layers.0.{kind}.{name}") == 0 for name in names)


def test_without_a_scale_the_optimizer_is_as_before(backbone: Backbone) -> None:
    network = Supernet(backbone.model, Architecture.uniform(backbone.depth, "lora_rank", 2), 3, seed=0)
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
    (group,) = Learner(parameters, RECIPE, 0).optimizer.param_groups
    assert all(a is b for a, b in zip(group["params"], parameters.values(), strict=True))
    assert (group["eps"], group["weight_decay"]) == (1e-8, 0.1)
    two = Learner(parameters, replace(RECIPE, module_scale=4.0), 0)
    two.step(0, 10)
    assert [g["lr"] for g in two.optimizer.param_groups] == [0.02, 0.08]
    assert replace(RECIPE, module_scale=0.1).variants == ["module-scale-0.1"]
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="module_scale is"):
            replace(RECIPE, module_scale=wrong)


@pytest.mark.parametrize("columns", [2, 4])
def test_a_view_of_common_storage_is_trained_as_a_tensor_of_its_own(columns: int):
    """A pack slices some parameters along two axes, and fused kernels ignore strides."""
    storage = torch.arange(24.0).reshape(2, 3, 4)
    view = torch.nn.Parameter(torch.empty(0))
    view.data = storage[:, :2, :columns]
    gradients = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))[:, :2, :columns]
    own = torch.nn.Parameter(view.data.clone(memory_format=torch.contiguous_format))
    learners = [Learner({"p": parameter}, RECIPE, seed=0) for parameter in (view, own)]
    outside = storage.clone()
    for number in range(3):
        view.grad, own.grad = gradients, gradients.contiguous()
        for learner in learners:
            learner.step(number, 3)
    assert torch.equal(view, own)
    assert torch.equal(storage[:, :2, :columns], own)
    assert view.grad is gradients
    outside[:, :2, :columns] = own.detach()
    assert torch.equal(storage, outside)
