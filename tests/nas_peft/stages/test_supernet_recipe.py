"""Judging supernets by their subnets on unseen images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from nas_peft.scoring.scorer import Found
from nas_peft.stages.supernet_recipe import JUDGED, judge, judged_subnets, recipe_name
from search_spaces import Architecture
from supernet import Recipe


@dataclass(frozen=True)
class Table:
    """A scorer that reads the losses of each fold ``(A, n)`` from a table."""

    folds: Sequence[NDArray[np.float32]]

    @property
    def sizes(self) -> Sequence[int]:
        return [losses.shape[1] for losses in self.folds]

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        losses = self.folds[fold][:, indices]
        return Found(losses, losses < 1, 2.0 * len(indices))


SUBNETS = [Architecture.uniform(4, "lora_rank", size) for size in (1, 2, 4)]


def test_the_loss_is_the_median_over_subnets_of_the_mean_over_all_images():
    folds = [np.float32([[1, 2], [3, 4], [100, 200]]), np.float32([[3], [5], [300]])]
    found = judge(Table(folds), SUBNETS)
    assert found.loss == pytest.approx(4.0)  # means 2, 4, 200
    assert found.image_passes == 2.0 * 3


def test_a_subnet_that_overflows_counts_as_the_worst():
    folds = [np.float32([[1, 1], [np.nan, 1], [3, 3]])]
    assert judge(Table(folds), SUBNETS).loss == pytest.approx(3.0)
    assert judge(Table([np.float32([[np.inf], [np.nan], [3]])]), SUBNETS).loss == np.inf


def test_the_judged_subnets_are_different_and_depend_on_the_seed_alone():
    def sample(rng: np.random.Generator) -> Architecture:
        return Architecture.uniform(4, "lora_rank", int(rng.integers(1, 1000)))

    first, again, other = (judged_subnets(sample, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == len(first) == JUDGED


def test_a_space_with_few_members_is_judged_by_these():
    assert set(judged_subnets(lambda rng: SUBNETS[int(rng.integers(3))], 0)) == set(SUBNETS)


def test_recipes_are_named_by_what_tells_them_apart():
    assert recipe_name(Recipe(4, 0.1)) == "4"  # as in runs that choose among numbers of epochs alone
    assert recipe_name(Recipe(16, 0.1, augmentation="crop-flip")) == "16 crop-flip"
    both = Recipe(16, 0.1, augmentation="crop", class_balance="weighted")
    assert recipe_name(both) == "16 crop weighted"
