"""The laws of model soups, on arbitrary tensors and on trainings of the shipped backbone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load
from torch import Tensor

from nas_peft.data import Part
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.soups import greedy_soup, uniform_soup
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, trained_network
from nas_peft.training.val_score import ValScore
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Recipe, Subnet, Supernet, evaluate, pooled_features, save_subnet

pytestmark = pytest.mark.slow

repeatable = settings(derandomize=True, deadline=None, database=None)
MIXED = Architecture.of(8, {"lora_rank": [2, 0, 0, 0, 0, 0, 0, 1], "prompt_tokens": [0, 3] * 4})
values = st.floats(-(2.0**60), 2.0**60, width=32)
vectors = st.lists(values, min_size=3, max_size=3).map(lambda v: {"a": torch.tensor(v)})
soups = st.lists(vectors, min_size=1, max_size=7)


@repeatable
@given(vectors, st.integers(1, 9))
def test_a_soup_of_copies_is_the_copy(network: dict[str, Tensor], copies: int):
    assert torch.equal(uniform_soup([network] * copies)["a"], network["a"])


@repeatable
@given(soups)
def test_a_soup_is_the_mean_of_its_ingredients(networks: list[dict[str, Tensor]]):
    mean = torch.stack([n["a"].double() for n in networks]).mean(dim=0)
    found = uniform_soup(networks)
    assert found["a"].dtype == torch.float32
    torch.testing.assert_close(found["a"], mean.float())


def test_a_soup_is_independent_of_its_ingredients():
    network = {"a": torch.ones(2)}
    uniform_soup([network])["a"].zero_()
    assert torch.equal(network["a"], torch.ones(2))


@repeatable
@given(soups, st.randoms(use_true_random=False))
def test_a_greedy_soup_is_at_least_as_good_as_its_best_ingredient(networks: list[dict[str, Tensor]], random):
    memo: dict[tuple[float, ...], ValScore] = {}

    def measure(tensors: Mapping[str, Tensor]) -> ValScore:
        key = tuple(tensors["a"].tolist())
        return memo.setdefault(key, ValScore(random.randrange(4) / 4, random.randrange(3) / 2))

    scores = [measure(n) for n in networks]
    found = greedy_soup(networks, scores, measure)
    best = min(scores, key=ValScore.rank_key)
    assert found.score.accuracy >= best.accuracy
    assert found.score.rank_key() <= best.rank_key()
    assert found.score == measure(uniform_soup([networks[i] for i in found.members]))
    assert scores.index(best) in found.members
    assert list(found.members) == sorted(set(found.members))


def test_a_greedy_soup_takes_what_helps_and_leaves_what_harms():
    networks = [{"a": torch.tensor([v])} for v in (1.0, 3.0, 100.0, -50.0)]

    def measure(tensors: Mapping[str, Tensor]) -> ValScore:  # the nearer to 1.5, the better
        distance = abs(float(tensors["a"]) - 1.5)
        return ValScore(1.0 if distance < 2 else 0.0, distance)

    found = greedy_soup(networks, [measure(n) for n in networks], measure)
    assert found.members == (0, 1)  # 2.0 is as near as 1.0; 100 and -50 lead away
    assert found.score == ValScore(1.0, 0.5)


def test_ingredients_of_equal_accuracy_are_added_only_if_the_loss_does_not_rise():
    networks = [{"a": torch.tensor([v])} for v in (0.0, 1.0)]
    scores = [ValScore(0.5, 0.1), ValScore(0.5, 0.2)]
    assert greedy_soup(networks, scores, lambda _: ValScore(0.5, 0.1)).members == (0, 1)
    assert greedy_soup(networks, scores, lambda _: ValScore(0.5, 0.15)).members == (0,)


def test_tables_are_kept_and_must_be_equal():
    table = {"index": torch.tensor([3, 4])}
    assert torch.equal(uniform_soup([table, table])["index"], table["index"])
    with pytest.raises(ValueError, match="integer tensor 'index' differs"):
        uniform_soup([table, {"index": torch.tensor([3, 5])}])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"b": torch.ones(2)}, "only one has 'a'"),
        ({"a": torch.ones(3)}, "'a' differs in shape or type"),
        ({"a": torch.ones(2, dtype=torch.float64)}, "'a' differs in shape or type"),
    ],
)
def test_different_networks_are_not_averaged(other: dict[str, Tensor], message: str):
    with pytest.raises(ValueError, match=message):
        uniform_soup([{"a": torch.ones(2)}, other])
    with pytest.raises(ValueError, match=message):
        greedy_soup([{"a": torch.ones(2)}, other], [ValScore(1, 0)] * 2, lambda _: ValScore(1, 0))


def test_nothing_is_no_soup():
    with pytest.raises(ValueError, match="at least one"):
        uniform_soup([])
    with pytest.raises(ValueError, match="at least one"):
        greedy_soup([], [], lambda _: ValScore(1, 0))


def test_a_soup_of_subnets_is_one_checkpoint_of_the_same_size(backbone: Backbone, tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % 3
    images = torch.randint(0, 80, (24, 3, 32, 32), generator=generator) + 80 * labels[:, None, None, None]
    part = Part(images.to(torch.uint8), labels)
    preprocessing = Preprocessing.of(backbone.model)
    empty = Supernet(backbone.model, Architecture.empty(8), 3)
    features = pooled_features(empty, Part.join([part, part]).images, preprocessing)
    inputs = TrainingInputs(backbone, preprocessing, 3, part, part, features)
    head, recipe = Recipe(epochs=3, lr=1e-2, batch_size=8), Recipe(epochs=2, lr=5e-3, batch_size=8)
    first = Training("candidate-1", "subnet", MIXED, recipe, head, 0, "train_val", init_seed=0)
    ingredients = []
    for order, factor in ((0, 1.0), (1, 0.5), (2, 2.0)):
        training = replace(first, seed=order, recipe=replace(recipe, lr=recipe.lr * factor))
        ingredients.append(load(run_training(training, inputs, "cpu")[1]))
    assert not torch.equal(ingredients[0]["head.weight"], ingredients[1]["head.weight"])
    soup = uniform_soup(ingredients)
    assert {n: (t.shape, t.dtype) for n, t in soup.items()} == {
        n: (t.shape, t.dtype) for n, t in ingredients[0].items()
    }
    sizes = set()
    for index, tensors in enumerate([soup, *ingredients]):
        network = trained_network(first, tensors, inputs, "cpu")
        found = evaluate(network, part.images, part.labels, preprocessing=preprocessing)
        assert found.accuracy > 0.5
        file = tmp_path / f"{index}.safetensors"
        save_subnet(Subnet(network, backbone, ("a", "b", "c"), preprocessing, {}, {}), file)
        sizes.add(file.stat().st_size)
    assert len(sizes) == 1
