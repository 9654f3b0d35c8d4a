"""Canonical form, access, the dict round trip and text of an architecture."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import KINDS, Architecture, InputError

DEPTH = 4
layers = st.lists(st.integers(0, 3), min_size=DEPTH, max_size=DEPTH)


def possible(table):
    """Sizes that the kinds can have: some exist in the first layer only."""
    alone = {kind for kind in table if KINDS[kind].first_layer_only}
    return {k: [v[0]] + [0] * (DEPTH - 1) if k in alone else v for k, v in table.items()}


tables = st.dictionaries(st.sampled_from(sorted(KINDS)), layers).map(possible)


def dense(table):
    return {kind: tuple(table.get(kind, [0] * DEPTH)) for kind in KINDS}


@given(tables, tables)
def test_equality_and_hash_are_those_of_the_network(first, second):
    a, b = Architecture.of(DEPTH, first), Architecture.of(DEPTH, second)
    assert (a == b) == (dense(first) == dense(second))
    assert len({a, b}) == (1 if dense(first) == dense(second) else 2)
    assert {kind: a[kind] for kind in KINDS} == dense(first)


@given(tables)
def test_order_and_absent_kinds_do_not_matter(table):
    a = Architecture.of(DEPTH, table)
    b = Architecture.of(DEPTH, dict(reversed(list(dense(table).items()))))
    assert a == b
    assert hash(a) == hash(b)
    assert a.kinds == tuple(sorted(kind for kind, sizes in table.items() if any(sizes)))


@given(tables)
def test_dict_round_trip_through_json(table):
    a = Architecture.of(DEPTH, table)
    assert Architecture.from_dict(json.loads(json.dumps(a.to_dict()))) == a


@given(tables, tables)
def test_covers_is_at_least_every_size(first, second):
    expected = all(x >= y for k in KINDS for x, y in zip(dense(first)[k], dense(second)[k], strict=True))
    assert Architecture.of(DEPTH, first).covers(Architecture.of(DEPTH, second)) == expected


def test_architectures_of_other_depths_are_not_covered():
    assert not Architecture.uniform(4, "lora_rank", 8).covers(Architecture.empty(3))


def test_to_dict_has_the_documented_form():
    a = Architecture.of(3, {"prompt_tokens": [0, 0, 0], "lora_rank": [0, 2, 4]})
    assert a.to_dict() == {"depth": 3, "lora_rank": [0, 2, 4]}


def test_numpy_sizes_become_plain_ints():
    a = Architecture.of(3, {"lora_rank": np.array([1, 0, 2])})
    assert a == Architecture.of(3, {"lora_rank": [1, 0, 2]})
    assert {type(size) for size in a["lora_rank"]} == {int}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, None),
        ({"lora_rank": [0, 0, 1, 1]}, 2),
        ({"lora_rank": [0, 0, 1, 1], "adapter_dim": [0, 3, 0, 0]}, 1),
    ],
)
def test_lowest_layer(table, expected):
    assert Architecture.of(4, table).lowest_layer == expected


def test_describe():
    mixed = {"lora_rank": [2, 2, 0, 4], "prompt_tokens": [8] * 4, "adapter_dim": [0] * 4}
    assert Architecture.of(4, mixed).describe() == "LoRA 2·2·0·4, VPT 8 ×4 layers"
    assert Architecture.empty(4).describe() == "none"
    assert Architecture.of(3, {"shallow_prompt_tokens": [8, 0, 0]}).describe() == "VPT-shallow 8 in layer 1"
    assert Architecture.of(3, {"fact_rank": [4, 0, 0]}).describe() == "FacT 4 for all layers"


def test_sizes_of_what_acts_in_a_layer():
    a = Architecture.of(2, {"fact_rank": [4, 0], "lora_rank": [0, 2], "lora_rank_pos": [3, 0]})
    assert a.acting_in(0) == {"fact_rank": 4, "lora_rank": 0, "lora_rank_pos": 3}
    assert a.acting_in(1) == {"fact_rank": 4, "lora_rank": 2, "lora_rank_pos": 0}


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Architecture.empty(4).depth = 5


@pytest.mark.parametrize(
    ("depth", "sizes", "message"),
    [
        (0, {}, "depth is 0; give a whole number from 1 up"),
        (2.0, {}, "depth is 2.0; give a whole number from 1 up"),
        (2, {"lora_rank": [1]}, "lora_rank has 1 sizes for 2 layers; give one size per layer"),
        (2, {"lora_rank": [1, -1]}, "lora_rank[1] is -1; give a whole number from 0 up"),
        (2, {"lora_rank": [1.5, 1]}, "lora_rank[0] is 1.5; give a whole number from 0 up"),
        (2, {"lora_rank": [1, True]}, "lora_rank[1] is True; give a whole number from 0 up"),
        (2, {"lora": [1, 1]}, "unknown module kind 'lora'; did you mean 'lora_rank'?"),
        (2, {"ia3": [1, 1]}, "once the file that registers it is imported (--module-file FILE.py)"),
        (2, {"ssf": [0, 7]}, "ssf is 7, but the largest size of ssf is 6; give that or less"),
        (
            2,
            {"shallow_prompt_tokens": [1, 2]},
            "shallow_prompt_tokens is positive beyond the first layer, the only one that can have "
            "shallow_prompt_tokens; give 0 in all other layers",
        ),
    ],
)
def test_invalid_architectures_are_refused(depth, sizes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Architecture.of(depth, sizes)


def test_a_kind_given_twice_is_refused():
    with pytest.raises(InputError, match="lora_rank is given twice"):
        Architecture(1, (("lora_rank", (1,)), ("lora_rank", (2,))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lora_rank": [1]}, "no 'depth'"),
        ({"depth": "8"}, "depth is '8'; give a whole number"),
        ({"depth": 1, "lora_rank": 4}, "lora_rank is 4; give a list"),
        ({"depth": 1, "lora_rank": ["4"]}, "lora_rank[0] is '4'; give a whole number"),
        ({"depth": 1, "rank": [4]}, "unknown module kind 'rank'"),
    ],
)
def test_invalid_dicts_are_refused(data, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Architecture.from_dict(data)


def test_an_unknown_kind_is_not_taken_for_an_absent_one():
    with pytest.raises(InputError, match="unknown module kind 'lora'"):
        Architecture.empty(4)["lora"]
