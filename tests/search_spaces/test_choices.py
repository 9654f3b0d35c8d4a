"""What one kind may be: the two forms and their mistakes."""

import itertools
import re

import pytest

from search_spaces import InputError, KindChoices

FREE = KindChoices((0, 1, 4))
FORCED = KindChoices((2, 4))
PREFIX = KindChoices((1, 5), depths=(1, 3))
OPTIONAL_PREFIX = KindChoices((1, 5), depths=(0, 2))


def members(choices, depth=3):
    return {sizes for sizes in itertools.product((0, 1, 2, 4, 5), repeat=depth) if choices.allows(sizes)}


def test_members_of_the_free_form():
    assert members(FREE) == set(itertools.product((0, 1, 4), repeat=3))


def test_members_of_the_depth_prefix_form():
    assert members(PREFIX) == {(1, 0, 0), (5, 0, 0), *itertools.product((1, 5), repeat=3)}


@pytest.mark.parametrize("choices", [FREE, FORCED, PREFIX, OPTIONAL_PREFIX])
def test_smallest_largest_and_cardinality_agree_with_the_members(choices):
    found = members(choices)
    assert choices.cardinality(3) == len(found)
    assert choices.smallest(3) == min(found, key=sum)
    assert choices.largest(3) == max(found, key=sum)
    present = [sizes for sizes in found if any(sizes)]
    assert sum(choices.smallest_present(3)) == min(map(sum, present))
    assert choices.smallest_present(3) in present
    assert choices.optional == ((0, 0, 0) in found)
    assert choices.active_counts(3) == tuple(sorted({sum(s > 0 for s in sizes) for sizes in present}))


@pytest.mark.parametrize(
    ("sizes", "depths", "message"),
    [
        ((), None, "sizes is empty"),
        ((0,), None, "sizes is [0]; add a positive size"),
        ((4, 2), None, "sizes[1] is 2 after 4; give ascending numbers, each once"),
        ((2, 2), None, "sizes[1] is 2 after 2"),
        ((-1, 2), None, "sizes[0] is -1; give a whole number from 0 up"),
        ((0, 1), (2,), "sizes[0] is 0, but with depths every size is positive"),
        ((1,), (0,), "depths is [0]; add a positive depth"),
        ((1,), (3, 1), "depths[1] is 1 after 3"),
        ((1,), (), "depths is empty"),
    ],
)
def test_invalid_choices_are_refused(sizes, depths, message):
    with pytest.raises(InputError, match=re.escape(message)):
        KindChoices(sizes, depths)
