"""Every part of a recipe, and what trainings start from, keeps to the GPU, on a simulated one."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from simulated_gpu import SimulatedGPU, simulated_gpu
from supernet_stages import DEPTH, data, preprocessing, small_model, small_network
from sweep import sweep
from torch import Tensor

from search_spaces import Architecture
from supernet import Constant, Curve, Recipe, Supernet, train, train_pack
from supernet.activation_start import start_from_activations
from supernet.rank_pruning import pruned

pytestmark = pytest.mark.slow

RECIPES: dict[str, dict[str, Any]] = {
    "mixup": {
        "augmentation": "mixup",
        "class_balance": "weighted",
        "label_smoothing": 0.1,
        "drop_path": 0.2,
        "module_dropout": 0.2,
        "module_scale": 4.0,
        "l2_sp": 0.1,
    },
    "cutmix": {"augmentation": "cutmix", "class_balance": "sampled", "module_dropout": 0.2},
    "strong": {"augmentation": "strong", "class_balance": "logit-adjusted", "drop_path": 0.2},
}
LORA = Architecture.of(DEPTH, {"lora_rank": [2, 1], "lora_rank_fc1": [0, 2]})
PACK = [Architecture.of(DEPTH, {"lora_rank": [2, 0], "prompt_tokens": [0, 2]}), LORA]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    with simulated_gpu(monkeypatch) as simulated:
        yield simulated


def trained(device: str, recipe: Recipe) -> list[list[float]]:
    net = small_network("ViT").to(device)
    options: dict[str, Any] = {"preprocessing": preprocessing(net), "chooser": Constant(net.capacity)}
    return [train(net, *data(net, 4), recipe=recipe, seed=0, **options).losses]


def packed(device: str, recipe: Recipe) -> list[list[float]]:
    model = small_model("ViT").to(device)
    networks = [Supernet(model, architecture, 5, seed=seed) for seed, architecture in enumerate(PACK)]
    options: dict[str, Any] = {"preprocessing": preprocessing(networks[0]), "recipes": [recipe] * 2}
    curves = train_pack(networks, *data(networks[0], 4), seeds=[0, 1], **options)
    assert all(isinstance(curve, Curve) for curve in curves)
    return [curve.losses for curve in curves]


@pytest.mark.parametrize("fits", sweep([True, False]))
@pytest.mark.parametrize("name", sweep(RECIPES, ["mixup"]))
@pytest.mark.parametrize("run", [trained, packed])
def test_a_recipe_gives_what_it_does_on_a_cpu_without_a_wait_in_a_step(
    monkeypatch, run, name: str, fits: bool
):
    recipes = [Recipe(epochs=2, lr=1e-3, batch_size=size, **RECIPES[name]) for size in (1, 2)]
    expected = [run("cpu", recipe) for recipe in recipes]
    with simulated_gpu(monkeypatch) as gpu:
        if not fits:
            monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
        waits = []
        for recipe, losses in zip(recipes, expected, strict=True):
            gpu.waits = 0
            found = run("cuda", recipe)
            waits.append(gpu.waits)
            torch.testing.assert_close(found, losses, rtol=1e-4, atol=1e-5)
        assert waits[0] == waits[1]


@pytest.mark.parametrize("module", ["augmentation", "depth_dropout", "targets", "training_loss"])
@pytest.mark.parametrize("run", [trained, packed])
def test_a_table_of_a_recipe_left_on_the_cpu_is_noticed(gpu: SimulatedGPU, monkeypatch, run, module: str):
    if module == "targets":  # whose labels are where the images are
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    monkeypatch.setattr(f"supernet.{module}.to_device", lambda values, device: values)
    with pytest.raises(RuntimeError, match="device"):
        run("cuda", Recipe(epochs=1, lr=1e-3, batch_size=2, **RECIPES["mixup"]))


def started(device: str) -> dict[str, Tensor]:
    """LoRA that starts from activations, then pruned to half."""
    net = Supernet(small_model("ViT").to(device), LORA, 5)
    start_from_activations(net, data(net, 4)[0], preprocessing(net))
    with torch.no_grad():
        for number, module in enumerate(net.elastic_modules()):
            module.up.add_(0.1 * (number + 1))
    found = pruned(net, 400)
    assert 0 < sum(map(sum, (found.architecture[kind] for kind in found.architecture.kinds))) < 5
    return found.tensors


def test_starts_and_pruned_modules_are_those_of_a_cpu(monkeypatch: pytest.MonkeyPatch):
    expected = started("cpu")
    with simulated_gpu(monkeypatch):
        found = started("cuda")
        assert all(value.device.type == "cpu" for value in found.values())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
