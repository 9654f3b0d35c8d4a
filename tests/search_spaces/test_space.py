"""Membership, sampling, size and round trip of search spaces."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import KINDS, Architecture, InputError, KindChoices, SearchSpace, load_space

DEPTH = 4
ascending = st.sets(st.integers(1, 6), min_size=1, max_size=3).map(sorted).map(tuple)
free = st.builds(
    lambda sizes, absent: KindChoices(((0,) if absent else ()) + sizes), ascending, st.booleans()
)
depths = st.sets(st.integers(0, DEPTH), min_size=1).filter(lambda d: d != {0}).map(sorted).map(tuple)
choices = st.one_of(free, st.builds(KindChoices, ascending, depths))


def possible(kind, choices):
    """The choices, or what comes nearest of what the kind can have."""
    if not KINDS[kind].first_layer_only:
        return choices
    return KindChoices(choices.positive, (0, 1) if choices.optional else (1,))


spaces = st.dictionaries(st.sampled_from(sorted(KINDS)), choices, min_size=1).map(
    lambda kinds: SearchSpace("some", DEPTH, tuple((k, possible(k, c)) for k, c in kinds.items()), "tests")
)
seeds = st.integers(0, 2**32 - 1)

TINY = SearchSpace(
    "tiny", 2, (("lora_rank", KindChoices((0, 1))), ("adapter_dim", KindChoices((3, 4), depths=(1, 2))))
)


@given(spaces, seeds)
def test_samples_are_members_between_smallest_and_largest(space, seed):
    a = space.sample(np.random.default_rng(seed))
    assert a in space
    assert a.covers(space.smallest())
    assert space.largest().covers(a)
    assert space.smallest() in space
    assert space.largest() in space


@given(spaces)
def test_the_smallest_nonempty_members_have_modules(space):
    for a in space.smallest_nonempty():
        assert a in space
        assert a.kinds


@given(spaces)
def test_dict_round_trip_through_json(space):
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@given(spaces, seeds)
def test_the_same_seed_gives_the_same_samples(space, seed):
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    assert [space.sample(first) for _ in range(3)] == [space.sample(second) for _ in range(3)]


def test_cardinality_is_the_number_of_members():
    lora = list(itertools.product(range(3), repeat=2))
    adapter = list(itertools.product(range(6), repeat=2))
    everything = {
        Architecture.of(2, {"lora_rank": r, "adapter_dim": a}) for r, a in itertools.product(lora, adapter)
    }
    members = {a for a in everything if a in TINY}
    assert len(members) == TINY.cardinality() == 2**2 * (2 + 2**2)
    rng = np.random.default_rng(0)
    assert {TINY.sample(rng) for _ in range(1000)} == members


def test_samples_are_uniform_over_sizes_and_depths():
    space = SearchSpace(
        "two", 3, (("lora_rank", KindChoices((0, 1, 8))), ("adapter_dim", KindChoices((2,), (1, 3))))
    )
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(3000)]
    for layer in range(3):
        counts = Counter(a["lora_rank"][layer] for a in drawn)
        assert all(abs(counts[size] - 1000) < 120 for size in (0, 1, 8))  # 4.6 standard deviations
    assert abs(sum(a["adapter_dim"][2] > 0 for a in drawn) - 1500) < 120


def test_foreign_architectures_are_not_members():
    assert Architecture.of(2, {"adapter_dim": [3, 0]}) in TINY
    assert Architecture.of(3, {"adapter_dim": [3, 0, 0]}) not in TINY  # another depth
    assert Architecture.of(2, {"adapter_dim": [3, 0], "prompt_tokens": [1, 0]}) not in TINY  # another kind
    assert Architecture.of(2, {"adapter_dim": [0, 3]}) not in TINY  # no prefix
    assert Architecture.empty(2) not in TINY  # too shallow
    assert "adapter_dim" not in TINY
    with pytest.raises(InputError, match="Adapter 0·3 is not in the space 'tiny'"):
        TINY.require(Architecture.of(2, {"adapter_dim": [0, 3]}))


def test_uniform_architectures_are_one_per_positive_size():
    space = load_space("default", 4)
    found = space.uniform_architectures("lora_rank")
    assert found == [Architecture.uniform(4, "lora_rank", r) for r in (1, 2, 4, 8, 16)]
    assert all(a in space for a in found)
    references = load_space("noah-vtab", 4).uniform_architectures("adapter_dim")
    assert references == [Architecture.uniform(4, "adapter_dim", size) for size in (1, 5, 10)]


def test_a_kind_of_the_first_layer_is_uniform_there():
    space = load_space("wide", 3)
    found = space.uniform_architectures("shallow_prompt_tokens")
    assert [a["shallow_prompt_tokens"] for a in found] == [(p, 0, 0) for p in (1, 2, 4, 8, 16, 32)]
    assert all(a in space for a in found)


@given(spaces)
def test_uniform_architectures_have_one_kind_and_sizes_of_the_space(space):
    for kind, choices in space.kinds:
        found = space.uniform_architectures(kind)
        assert [a.kinds for a in found] == [(kind,)] * len(choices.positive)
        assert [max(a[kind]) for a in found] == list(choices.positive)


def test_the_order_of_kinds_does_not_matter():
    assert SearchSpace("tiny", 2, tuple(reversed(TINY.kinds))) == TINY


def test_choices_of_a_kind_the_space_lacks():
    assert TINY.choices("lora_rank") == KindChoices((0, 1))
    with pytest.raises(InputError, match="unknown kind of the space 'tiny': 'prompt_tokens'"):
        TINY.choices("prompt_tokens")


@pytest.mark.parametrize(
    ("depth", "kinds", "message"),
    [
        (0, TINY.kinds, "depth is 0"),
        (2, (), "the space 'bad' has no kinds; give at least one of: adapter_dim, adapter_dim_attention, "),
        (1, TINY.kinds, r"kinds.adapter_dim.depths\[1\] is 2; give a whole number from 0 to 1"),
        (2, (("lora", KindChoices((1,))),), "unknown module kind 'lora'"),
        (2, (("ssf", KindChoices((0, 7))),), "kinds.ssf is 7, but the largest size of ssf is 6; give that"),
        (
            2,
            (("shallow_prompt_tokens", KindChoices((0, 1))),),
            r"kinds.shallow_prompt_tokens is positive beyond the first layer.*give depths: \[0, 1\]",
        ),
        (
            2,
            (("lora_rank", KindChoices((1,))), ("lora_rank", KindChoices((2,)))),
            "kinds.lora_rank is given twice",
        ),
    ],
)
def test_invalid_spaces_are_refused(depth, kinds, message):
    with pytest.raises(InputError, match=message):
        SearchSpace("bad", depth, kinds)
