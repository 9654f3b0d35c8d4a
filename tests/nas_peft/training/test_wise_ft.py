"""The line between the pretrained function and a network after its fine-tuning."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.data import Part
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network, trained_network, trained_tensors
from nas_peft.training.val_score import ValScore
from nas_peft.training.wise_ft import ALPHAS, choose_alpha, interpolate, line_start
from search_spaces import Architecture
from search_spaces.kinds import KINDS
from supernet import Backbone, Preprocessing, Recipe, Supernet, pooled_features

repeatable = settings(derandomize=True, deadline=None, database=None)
finite = st.floats(-(2.0**60), 2.0**60, width=32)
vectors = st.lists(finite, min_size=3, max_size=3).map(torch.tensor)


@repeatable
@given(vectors, vectors)
def test_the_ends_of_the_line_are_the_networks_themselves(start: torch.Tensor, tuned: torch.Tensor):
    assert torch.equal(interpolate({"a": start}, {"a": tuned}, 0.0)["a"], start)
    assert torch.equal(interpolate({"a": start}, {"a": tuned}, 1.0)["a"], tuned)


@repeatable
@given(vectors, vectors, st.sampled_from(ALPHAS))
def test_points_of_the_line(start: torch.Tensor, tuned: torch.Tensor, alpha: float):
    found = interpolate({"a": start}, {"a": tuned}, alpha)["a"]
    expected = (1 - alpha) * start.double() + alpha * tuned.double()
    scale = float(torch.maximum(start.abs().max(), tuned.abs().max()))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 * scale)


@repeatable
@given(vectors, st.sampled_from(ALPHAS))
def test_the_line_from_a_network_to_itself_is_a_point(tensor: torch.Tensor, alpha: float):
    assert torch.equal(interpolate({"a": tensor}, {"a": tensor}, alpha)["a"], tensor)


def test_tables_are_those_of_the_tuned_network():
    start, tuned = {"index": torch.tensor([1])}, {"index": torch.tensor([2])}
    assert torch.equal(interpolate(start, tuned, 0.3)["index"], tuned["index"])


def test_different_networks_have_no_line():
    with pytest.raises(ValueError, match="only one has 'b'"):
        interpolate({"a": torch.ones(1)}, {"a": torch.ones(1), "b": torch.ones(1)}, 0.5)


def test_the_grid():
    assert ALPHAS == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


def test_alpha_is_the_best_on_validation_data():
    scores = {
        0.0: ValScore(0.5, 0.1),
        0.5: ValScore(0.9, 0.3),
        0.7: ValScore(0.9, 0.2),
        1.0: ValScore(0.8, 0.1),
    }
    assert choose_alpha(scores) == 0.7
    level = {alpha: ValScore(0.9, 0.2) for alpha in ALPHAS}
    assert choose_alpha(level) == 1.0


PUT_BACK = [kind for kind in KINDS if "prompt" not in kind]
HEAD = Recipe(epochs=3, lr=1e-2, batch_size=8)


@pytest.fixture(scope="module")
def inputs(backbone: Backbone) -> TrainingInputs:
    """Images whose class is their brightness."""
    labels = torch.arange(12) % 3
    noise = torch.randint(0, 80, (12, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    images = (noise + 80 * labels[:, None, None, None]).to(torch.uint8)
    preprocessing = Preprocessing.of(backbone.model)
    network = Supernet(backbone.model, Architecture.empty(backbone.depth), 3)
    features = pooled_features(network, images, preprocessing)
    return TrainingInputs(backbone, preprocessing, 3, Part(images, labels), Part(images, labels), features)


def inherited(architecture: Architecture) -> Training:
    recipe = Recipe(epochs=1, lr=1e-3, batch_size=8, start="inherited")
    return Training("candidate-1", "subnet", architecture, recipe, None, 0, "train")


def drawn(training: Training, inputs: TrainingInputs, seed: int) -> dict[str, torch.Tensor]:
    """Tensors of a network far from the pretrained function."""
    network = Supernet(inputs.backbone.model, training.architecture, 3, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in trained_tensors(network, training).items()
    }


@pytest.mark.parametrize("kind", PUT_BACK)
def test_the_line_of_inherited_modules_begins_at_the_pretrained_function(kind: str, inputs: TrainingInputs):
    depth = inputs.backbone.depth
    elsewhere = 0 if KINDS[kind].first_layer_only else 1
    training = inherited(Architecture.of(depth, {kind: [1, *[elsewhere] * (depth - 1)]}))
    before, tuned = drawn(training, inputs, 1), drawn(training, inputs, 2)
    inputs = replace(inputs, inherited=InheritedStarts({"candidate-1": before}))
    start = line_start(training, tuned, inputs, HEAD)
    points = {
        alpha: trained_network(training, interpolate(start, tuned, alpha), inputs, "cpu") for alpha in (0, 1)
    }
    found = {
        alpha: pooled_features(
            network, inputs.train.images, inputs.preprocessing, architecture=training.architecture
        )
        for alpha, network in points.items()
    }
    torch.testing.assert_close(found[0], inputs.features, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[1], inputs.features, rtol=1e-2, atol=1e-2)
    assert all(
        torch.equal(value, tuned[name]) for name, value in trained_tensors(points[1], training).items()
    )
    right = points[0].head(inputs.features).argmax(1) == inputs.train.labels
    assert right.float().mean() > 0.5  # of a head that was trained alone
    begun = replace(training, recipe=replace(training.recipe, start="pretrained"), head=HEAD)
    assert torch.equal(start["head.weight"], starting_network(begun, inputs, "cpu").head.weight)


def test_only_what_leads_away_from_the_pretrained_function_is_scaled(inputs: TrainingInputs):
    depth = inputs.backbone.depth
    none = [0] * (depth - 1)
    sizes = {"lora_rank": [2, *none], "prompt_tokens": [3, *none]}
    training = inherited(Architecture.of(depth, sizes))
    tuned = drawn(training, inputs, 2)
    half = interpolate(line_start(training, tuned, inputs, None), tuned, 0.5)
    scaled = {
        name for name in tuned if name.startswith("layers.") and not torch.equal(half[name], tuned[name])
    }
    assert scaled
    for name in scaled:
        assert name.endswith(".up")
        torch.testing.assert_close(half[name], 0.5 * tuned[name])
    assert any("prompt" in name for name in tuned)


def test_a_training_of_new_modules_has_the_line_from_its_start(inputs: TrainingInputs):
    depth = inputs.backbone.depth
    training = inherited(Architecture.uniform(depth, "lora_rank", 2))
    new = replace(training, recipe=replace(training.recipe, start="pretrained"), head=HEAD)
    start = line_start(new, drawn(new, inputs, 2), inputs, None)
    expected = trained_tensors(starting_network(new, inputs, "cpu"), new)
    assert start.keys() == expected.keys()
    assert all(torch.equal(start[name], expected[name]) for name in expected)
