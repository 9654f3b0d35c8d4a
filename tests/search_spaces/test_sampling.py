"""Draws around a budget: in range, inside the space, sparse, and always ending."""

import hashlib
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search_spaces import (
    KINDS,
    BackboneShape,
    BudgetSampler,
    InputError,
    Kind,
    KindChoices,
    ReachableCounts,
    SearchSpace,
    count_params,
    load_space,
    preset_names,
    sampling,
)

DEPTH = 6
SHAPE, EIGHT = BackboneShape.vit(32, DEPTH), BackboneShape.vit(64, 8)
THREE = ("adapter_dim", "lora_rank", "prompt_tokens")
MIXED = SearchSpace(
    "mixed",
    DEPTH,
    (
        ("adapter_dim", KindChoices((1, 5), depths=(0, 1, 4))),
        ("lora_rank", KindChoices((2, 4))),
        ("prompt_tokens", KindChoices((0, 8))),
    ),
)
SPACES = {name: load_space(name, DEPTH) for name in preset_names()} | {"mixed": MIXED}
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.thorough
@given(st.sampled_from(sorted(SPACES)), st.floats(0, 1), st.floats(0, 1), seeds)
def test_draws_are_members_in_the_range(name, start, width_of_range, seed):
    space = SPACES[name]
    largest = count_params(space.largest(), SHAPE)
    low = round(largest**start)
    high = low + round(width_of_range * largest)
    lowest = ReachableCounts(space, SHAPE, largest).at_least(low)
    assume(lowest is not None and lowest <= high)
    sampler, rng = BudgetSampler(space, SHAPE, low, high), np.random.default_rng(seed)
    for _ in range(5):
        a = sampler.sample(rng)
        assert a in space
        assert a.kinds
        assert low <= count_params(a, SHAPE) <= high


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_range_of_one_count_is_met_exactly(name):
    space = SPACES[name]
    rng = np.random.default_rng(0)
    for _ in range(10):
        count = count_params(space.sample(rng), SHAPE)
        assert count_params(BudgetSampler(space, SHAPE, count, count).sample(rng), SHAPE) == count


@given(seeds)
def test_the_same_seed_gives_the_same_draws(seed):
    sampler = BudgetSampler(SPACES["default"], SHAPE, 500, 5000)
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    assert [sampler.sample(first) for _ in range(3)] == [sampler.sample(second) for _ in range(3)]


@pytest.fixture(scope="module", params=[sampling._LISTED, 1], ids=["sets listed", "sets tried"])
def drawn(request):
    """Draws in a range that every set of kinds can meet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_LISTED", request.param)
        return draws()


def draws():
    sampler, rng = BudgetSampler(load_space("default", 8), EIGHT, 3000, 9000), np.random.default_rng(0)
    return [sampler.sample(rng) for _ in range(2100)]


def test_every_set_of_kinds_is_equally_likely(drawn):
    sets = Counter(a.kinds for a in drawn)
    subsets = [s for n in (1, 2, 3) for s in itertools.combinations(THREE, n)]
    assert set(sets) == set(subsets)
    assert all(abs(sets[s] - 300) < 80 for s in subsets)  # 5 standard deviations


def test_layers_and_sizes_are_covered(drawn):
    for kind in THREE:
        sizes = load_space("default", 8).choices(kind).sizes
        for layer in range(8):
            assert {a[kind][layer] for a in drawn} == set(sizes), (kind, layer)
        present = [a[kind] for a in drawn if kind in a.kinds]
        assert {sum(size > 0 for size in x) for x in present} == set(range(1, 9))
        per_layer = [sum(x[layer] > 0 for x in present) for layer in range(8)]
        assert max(per_layer) < 1.3 * min(per_layer)


def test_counts_are_flat_over_their_logarithm():
    space, rng = load_space("default", 8), np.random.default_rng(0)
    sampler = BudgetSampler(space, EIGHT, 400, 25_600)
    counts = [count_params(sampler.sample(rng), EIGHT) for _ in range(1500)]
    per_doubling, _ = np.histogram(np.log2(np.array(counts) / 400), bins=6, range=(0, 6))
    assert all(abs(n - 250) < 75 for n in per_doubling)  # 5 standard deviations


def test_no_kind_is_preferred_for_its_place(monkeypatch):
    for name in ("first", "second"):
        monkeypatch.setitem(KINDS, name, Kind(name, name, lambda size, shape: size * shape.width))
    choices = KindChoices((0, 1, 2))
    space, rng = SearchSpace("twins", 8, (("first", choices), ("second", choices))), np.random.default_rng(0)
    sampler = BudgetSampler(space, BackboneShape.vit(10, 8), 80, 80)
    drawn = [sampler.sample(rng) for _ in range(2000)]
    layers = np.array([[np.count_nonzero(a[kind]) for kind in ("first", "second")] for a in drawn])
    both = layers[(layers > 0).all(axis=1)]
    assert abs(np.mean(both[:, 0] - both[:, 1])) < 0.3


def test_prefix_kinds_keep_their_depths_and_use_all_of_them():
    shape, rng = BackboneShape.vit(64), np.random.default_rng(0)
    sampler = BudgetSampler(load_space("noah-vtab", 12), shape, 2000, 30000)
    depths = Counter(sum(size > 0 for size in sampler.sample(rng)["lora_rank"]) for _ in range(400))
    assert set(depths) == {3, 6, 9, 12}


# Of the sampler as it was for three kinds only.
FIRST_DRAWS = [
    {
        "depth": 8,
        "adapter_dim": [0, 2, 1, 0, 2, 0, 1, 1],
        "lora_rank": [0, 0, 1, 0, 8, 1, 0, 0],
        "prompt_tokens": [1, 1, 0, 0, 0, 0, 4, 0],
    },
    {"depth": 8, "lora_rank": [1, 1, 0, 1, 0, 0, 0, 2], "prompt_tokens": [8, 8, 1, 0, 0, 2, 0, 4]},
    {"depth": 8, "adapter_dim": [1, 2, 1, 2, 1, 1, 1, 1], "lora_rank": [1, 0, 1, 0, 0, 0, 1, 0]},
]
DIGEST_OF_DRAWS = "b7791bb52e335f0c3ab04410df5be68048bfd28ac2b8585281f4552f032e7290"


def test_the_draws_of_the_default_space_have_not_changed():
    """A run of an earlier version is searched, and trained, on the architectures of that version."""
    sampler = BudgetSampler(load_space("default", 8), BackboneShape.vit(128, 8), 4800, 12_098)
    rng = np.random.default_rng(7)
    drawn = [sampler.sample(rng).to_dict() for _ in range(300)]
    assert drawn[:3] == FIRST_DRAWS
    assert hashlib.sha256(json.dumps(drawn).encode()).hexdigest() == DIGEST_OF_DRAWS


def test_a_space_of_many_kinds_is_drawn_from_in_every_kind():
    sampler, rng = BudgetSampler(load_space("wide", 8), EIGHT, 6000, 20_000), np.random.default_rng(0)
    drawn = [sampler.sample(rng) for _ in range(600)]
    numbers = Counter(len(a.kinds) for a in drawn)
    assert numbers[5] + numbers[6] > numbers[1] + numbers[11]  # there are 462 sets of 5, 11 sets of 1
    for kind, choices in load_space("wide", 8).kinds:
        present = [a[kind] for a in drawn if kind in a.kinds]
        assert 200 < len(present) < 420, kind  # half of them, fewer of the dear ones
        assert {size for sizes in present for size in sizes} == {0, *choices.sizes}


def test_a_space_of_all_kinds_is_drawn_from():
    choices = {kind: KindChoices((1, 4)) if kind in THREE else KindChoices((0, 1, 4)) for kind in KINDS}
    for kind in KINDS:
        if KINDS[kind].first_layer_only:
            choices[kind] = KindChoices((1, 4), depths=(0, 1))
    space, rng = SearchSpace("all", DEPTH, tuple(choices.items())), np.random.default_rng(0)
    sampler = BudgetSampler(space, SHAPE, 5000, 30_000)
    drawn = [sampler.sample(rng) for _ in range(200)]
    assert all(a in space and set(THREE) <= set(a.kinds) for a in drawn)
    assert {kind for a in drawn for kind in a.kinds} == set(KINDS)


def test_a_range_below_the_smallest_is_refused():
    message = "space 'default' has 0 to 31 parameters at width 32: the smallest has 32, the largest"
    with pytest.raises(InputError, match=message):
        BudgetSampler(SPACES["default"], SHAPE, 0, 31)
    assert (
        count_params(BudgetSampler(SPACES["default"], SHAPE, 0, 32).sample(np.random.default_rng(0)), SHAPE)
        == 32
    )


def test_a_range_above_the_largest_is_refused():
    largest = count_params(SPACES["default"].largest(), SHAPE)
    with pytest.raises(InputError, match=f"the nearest below {largest:,}; widen the range"):
        BudgetSampler(SPACES["default"], SHAPE, largest + 1, largest + 10**9)
    rng = np.random.default_rng(0)
    assert (
        BudgetSampler(SPACES["default"], SHAPE, largest, largest + 10**9).sample(rng)
        == SPACES["default"].largest()
    )


def test_a_range_between_two_reachable_counts_is_refused():
    space = SearchSpace("gap", 1, (("lora_rank", KindChoices((1, 8))),))  # 128 or 1,024
    with pytest.raises(
        InputError, match=r"has 129 to 1,000 parameters at width 32: .*the nearest below 128;"
    ):
        BudgetSampler(space, SHAPE, 129, 1000)
    rng = np.random.default_rng(0)
    for low, high, only in ((1, 1000, 128), (129, 1024, 1024)):
        sampler = BudgetSampler(space, SHAPE, low, high)
        assert {count_params(sampler.sample(rng), SHAPE) for _ in range(50)} == {only}


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (6, 5)])
def test_an_impossible_range_is_refused(low, high):
    with pytest.raises(InputError, match=f"the range of parameters is {low} to {high}"):
        BudgetSampler(SPACES["default"], SHAPE, low, high)
