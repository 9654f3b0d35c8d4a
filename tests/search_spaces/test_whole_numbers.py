"""Whole numbers that a user gave: what passes, and how a mistake is named."""

from typing import Any

import numpy as np
import pytest

from search_spaces import InputError
from search_spaces.whole_numbers import ascending, whole_number


@pytest.mark.parametrize("value", [1, 5, np.int64(3)])
def test_a_whole_number_in_the_range_passes_as_a_plain_int(value: Any):
    found = whole_number("size", value, 1, 5)
    assert (type(found), found) == (int, value)


@pytest.mark.parametrize("value", [0, 6, True, 2.0, "2", None])
def test_everything_else_is_named_with_the_range(value: Any):
    with pytest.raises(InputError, match=rf"size is {value!r}; give a whole number from 1 to 5"):
        whole_number("size", value, 1, 5)


def test_a_range_may_be_open():
    assert whole_number("size", 10**9, 0) == 10**9
    with pytest.raises(InputError, match="give a whole number from 0 up"):
        whole_number("size", -1, 0)


def test_ascending_numbers_pass_as_a_tuple():
    assert ascending("sizes", [0, 2, np.int64(5)], 0) == (0, 2, 5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "sizes is empty; give at least one"),
        (3, "sizes is 3; give a list of whole numbers"),
        ("12", "sizes is '12'; give a list of whole numbers"),
        ([1, 1], r"sizes\[1\] is 1 after 1; give ascending numbers, each once"),
        ([2, 1], r"sizes\[1\] is 1 after 2"),
        ([1, "two"], r"sizes\[1\] is 'two'; give a whole number from 0 up"),
    ],
)
def test_the_entry_that_is_wrong_is_named(values: Any, message: str):
    with pytest.raises(InputError, match=message):
        ascending("sizes", values, 0)
