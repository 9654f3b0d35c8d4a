"""A head that is trained again after a training: what changes, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from nas_peft.data import Part
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.packed_trainings import run_pack
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training
from search_spaces import Architecture, InputError
from supernet import Backbone, Preprocessing, Recipe, Supernet, pooled_features

pytestmark = pytest.mark.slow

LARGE, SMALL = 20, 3
RECIPE = Recipe(epochs=1, lr=5e-3, batch_size=8)


@pytest.fixture(scope="module")
def inputs(backbone: Backbone) -> TrainingInputs:
    """Noise of two classes: one of few images, which differ little from those of the other."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * LARGE + [1] * SMALL)
    images = (
        torch.randint(0, 200, (len(labels), 3, 32, 32), generator=generator)
        + 20 * labels[:, None, None, None]
    )
    part = Part(images.to(torch.uint8), labels)
    network = Supernet(backbone.model, Architecture.empty(backbone.depth), 2)
    preprocessing = Preprocessing.of(backbone.model)
    features = pooled_features(network, torch.cat([part.images, part.images]), preprocessing)
    return TrainingInputs(backbone, preprocessing, 2, part, part, features)


def training(inputs: TrainingInputs, balance: str, **changes: object) -> Training:
    architecture = Architecture.uniform(inputs.backbone.depth, "lora_rank", 2)
    recipe = replace(RECIPE, class_balance=balance)
    return replace(Training("lora", "subnet", architecture, recipe, None, 0, "train", keep=True), **changes)


def test_the_head_changes_in_favour_of_small_classes_and_nothing_else_does(inputs: TrainingInputs):
    (plain, before), (record, after) = (
        run_training(training(inputs, balance), inputs, "cpu") for balance in ("none", "head-retrained")
    )
    tensors, retrained = load(before), load(after)
    assert {n for n in tensors if not torch.equal(tensors[n], retrained[n])} == {"head.weight", "head.bias"}
    assert plain.images is not None
    assert record.images is not None
    small = inputs.val.labels.numpy() == 1
    mean = [
        float(images.logits[:, 1].mean() - images.logits[:, 0].mean())
        for images in (plain.images, record.images)
    ]
    assert mean[1] > mean[0]
    assert record.images.losses[small].mean() < plain.images.losses[small].mean()
    assert plain.curve is not None
    assert record.curve is not None
    assert record.curve.losses == plain.curve.losses
    assert record.curve.image_passes == plain.curve.image_passes + LARGE + SMALL


def test_a_pack_ends_as_each_alone(inputs: TrainingInputs):
    both = [training(inputs, balance, name=balance) for balance in ("none", "head-retrained")]
    together = run_pack(both, inputs, "cpu", state_files=[None, None])
    for one, outcome in zip(both, together, strict=True):
        assert isinstance(outcome, tuple)
        alone = load(run_training(one, inputs, "cpu")[1])
        for name, value in load(outcome[1]).items():
            torch.testing.assert_close(value, alone[name], rtol=1e-4, atol=1e-5)


def test_full_fine_tuning_keeps_its_backbone(inputs: TrainingInputs):
    empty = Architecture.empty(inputs.backbone.depth)
    found = [
        load(run_training(training(inputs, b, method="full", architecture=empty), inputs, "cpu")[1])
        for b in ("none", "head-retrained")
    ]
    changed = {name for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    assert changed == {"head.weight", "head.bias"}


def test_a_supernet_s_head_is_not_retrained():
    config = SearchConfig.of(dataset="digits", class_balance="head-retrained")
    assert [recipe.class_balance for recipe in config.supernet_recipes()] == ["none"]
    with pytest.raises(InputError, match="the head of a supernet is every subnet's"):
        SearchConfig.of(dataset="digits", supernet_class_balance="none,head-retrained")
