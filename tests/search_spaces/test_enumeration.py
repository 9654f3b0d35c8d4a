"""Enumeration: exactly the members within a limit, each once, without a walk through the others."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Architecture, BackboneShape, KindChoices, SearchSpace, count_params, load_space
from search_spaces.enumeration import members_within

SHAPE = BackboneShape.vit(8, 3, tokens=5)
SPACES = {
    "free": SearchSpace(
        "free", 3, (("adapter_dim", KindChoices((0, 2))), ("lora_rank", KindChoices((0, 1, 3))))
    ),
    "prefix": SearchSpace(
        "prefix",
        3,
        (("lora_rank", KindChoices((1, 2), depths=(0, 2, 3))), ("prompt_tokens", KindChoices((1, 2)))),
    ),
    "one": SearchSpace("one", 3, (("lora_rank", KindChoices((2,))),)),
}


def every_member(space: SearchSpace) -> set[Architecture]:
    """By trying all sizes."""
    found = set()
    allowed = [sorted({0, *choices.sizes}) for _, choices in space.kinds for _ in range(space.depth)]
    for drawn in itertools.product(*allowed):
        of_kinds = [drawn[i : i + space.depth] for i in range(0, len(drawn), space.depth)]
        a = Architecture(space.depth, tuple((k, s) for (k, _), s in zip(space.kinds, of_kinds, strict=True)))
        if a in space:
            found.add(a)
    return found


@pytest.mark.parametrize("name", SPACES)
def test_without_a_limit_it_is_the_space(name: str):
    members = list(members_within(SPACES[name], lambda a: True))
    assert len(members) == len(set(members)) == SPACES[name].cardinality()
    assert set(members) == every_member(SPACES[name])


@settings(derandomize=True, deadline=None, database=None, max_examples=30)
@given(st.sampled_from(sorted(SPACES)), st.integers(-1, 500))
def test_within_a_limit_it_is_what_fits(name: str, limit: int):
    def fits(a: Architecture) -> bool:
        return count_params(a, SHAPE) <= limit

    members = list(members_within(SPACES[name], fits))
    assert len(members) == len(set(members))
    assert set(members) == {a for a in every_member(SPACES[name]) if fits(a)}


def test_a_few_small_members_of_a_vast_space_are_found_at_once():
    space, shape = load_space("default", 12), BackboneShape.vit(192)
    asked = []

    def fits(a: Architecture) -> bool:
        asked.append(a)
        return count_params(a, shape) <= 192

    members = list(members_within(space, fits))
    assert len(members) == 1 + 12  # nothing, or one prompt in one layer
    assert len(asked) < 1000
    assert len(list(itertools.islice(members_within(space, lambda a: True), 50))) == 50
