"""Repair: a member within the limit that the given one covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Architecture,
    BackboneShape,
    InputError,
    KindChoices,
    SearchSpace,
    count_params,
    load_space,
)
from search_spaces.repair import shrink

SHAPE = BackboneShape.vit(8, 4, tokens=5)
SPACES = {name: load_space(name, 4) for name in ("default", "noah-vtab")}
laws = settings(derandomize=True, deadline=None, database=None, max_examples=50)


@laws
@given(st.data(), st.sampled_from(sorted(SPACES)), st.integers(0, 99))
def test_what_comes_out_fits_and_is_covered_by_what_went_in(data, name, seed):
    space = SPACES[name]
    least, most = (count_params(a, SHAPE) for a in (space.smallest(), space.largest()))
    limit = data.draw(st.integers(least, most))
    a = space.sample(np.random.default_rng(seed))
    repaired = shrink(space, a, lambda x: count_params(x, SHAPE) <= limit, np.random.default_rng(seed))
    assert repaired in space
    assert a.covers(repaired)
    assert count_params(repaired, SHAPE) <= limit
    assert (repaired == a) == (count_params(a, SHAPE) <= limit)


def test_every_size_can_be_what_gives_way():
    space = SPACES["default"]
    start = Architecture.of(4, {"lora_rank": [1, 1, 1, 1], "prompt_tokens": [0, 0, 4, 0]})
    limit = count_params(start, SHAPE) - 1
    found = {
        shrink(space, start, lambda a: count_params(a, SHAPE) <= limit, np.random.default_rng(seed))
        for seed in range(60)
    }
    assert {a["lora_rank"] for a in found} >= {(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)}
    assert {a["prompt_tokens"][2] for a in found} >= {0, 1, 2, 4}


def test_depths_give_way_too():
    space = SearchSpace("one", 4, (("lora_rank", KindChoices((2,), depths=(1, 3, 4))),))
    repaired = {
        shrink(space, space.largest(), lambda a: count_params(a, SHAPE) < 256, np.random.default_rng(seed))
        for seed in range(20)
    }
    assert {a["lora_rank"] for a in repaired} == {(2, 2, 2, 0), (2, 0, 0, 0)}


def test_mistakes_are_named():
    space, rng = SPACES["noah-vtab"], np.random.default_rng(0)
    with pytest.raises(InputError, match="the smallest architecture of the space 'noah-vtab' is not within"):
        shrink(space, space.largest(), lambda a: False, rng)
    with pytest.raises(InputError, match="is not in the space 'noah-vtab'"):
        shrink(space, Architecture.empty(4), lambda a: True, rng)
