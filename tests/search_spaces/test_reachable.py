"""The set of reachable counts against enumeration."""

import itertools

import numpy as np
import pytest

from search_spaces import (
    KINDS,
    Architecture,
    BackboneShape,
    KindChoices,
    ReachableCounts,
    SearchSpace,
    count_params,
)

SHAPE = BackboneShape.vit(5, 2)
SPACES = [
    SearchSpace("free", 2, (("adapter_dim", KindChoices((0, 1, 3))), ("lora_rank", KindChoices((0, 2))))),
    SearchSpace("forced", 2, (("adapter_dim", KindChoices((1, 3))), ("prompt_tokens", KindChoices((2, 7))))),
    SearchSpace(
        "first layer",
        2,
        (("shallow_prompt_tokens", KindChoices((1, 3), (0, 1))), ("ssf", KindChoices((0, 2, 6)))),
    ),
    SearchSpace(
        "deep", 2, (("lora_rank", KindChoices((1, 4), (0, 2))), ("prompt_tokens", KindChoices((3,), (1, 2))))
    ),
]


def members(space):
    """Every member, from all ways to fill the layers with the space's sizes and 0."""
    fillings = []
    for kind, choices in space.kinds:
        layers = [
            {0, *choices.sizes} if i == 0 or not KINDS[kind].first_layer_only else {0} for i in range(2)
        ]
        fillings.append(itertools.product(*layers))
    names = [kind for kind, _ in space.kinds]
    found = (
        Architecture.of(space.depth, dict(zip(names, x, strict=True))) for x in itertools.product(*fillings)
    )
    return [a for a in found if a in space]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_counts_and_members_agree_with_enumeration(space):
    by_count = {}
    for a in members(space):
        by_count.setdefault(count_params(a, SHAPE), set()).add(a)
    counts = sorted(count for count in by_count if count > 0)
    reachable = ReachableCounts(space, SHAPE, counts[-1])
    for count in range(counts[-1] + 2):
        assert reachable.at_most(count) == max((c for c in counts if c <= count), default=None)
        assert reachable.at_least(count) == min((c for c in counts if c >= count), default=None)
    rng = np.random.default_rng(0)
    for count in counts:
        assert {reachable.draw(count, rng) for _ in range(300)} == by_count[count]


def test_nothing_beyond_the_limit():
    reachable = ReachableCounts(SPACES[0], SHAPE, 50)
    assert reachable.at_least(51) is None
    assert reachable.at_most(10**6) <= 50


def test_no_layer_is_preferred():
    space = SearchSpace("one", 4, (("lora_rank", KindChoices((0, 1))),))
    reachable, rng = ReachableCounts(space, SHAPE, 20), np.random.default_rng(0)
    places = [reachable.draw(20, rng).lowest_layer for _ in range(800)]
    assert all(abs(places.count(layer) - 200) < 60 for layer in range(4))  # 5 standard deviations
