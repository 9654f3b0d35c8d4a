"""The error for an unknown name: the nearest name, the names there are, the remedy."""

from search_spaces import InputError
from search_spaces.errors import unknown_name


def test_the_nearest_name_is_suggested_and_all_are_listed():
    error = unknown_name("space", "noah-vtb", ["noah-vtab", "default"])
    assert isinstance(error, InputError)
    assert str(error) == "unknown space 'noah-vtb'; did you mean 'noah-vtab'? There are: default, noah-vtab."


def test_nothing_is_suggested_for_a_name_that_is_like_none():
    error = unknown_name("space", "zzz", ["default"], "Or give a file.")
    assert str(error) == "unknown space 'zzz'. There are: default. Or give a file."


def test_there_may_be_no_names():
    assert str(unknown_name("column", "x", [])) == "unknown column 'x'. There are: none."


def test_a_name_is_suggested_only_where_one_is_near_or_begins_alike():
    def said(name: str) -> str:
        return str(unknown_name("row", name, ["full", "lora_rank-2", "noah"]))

    assert "did you mean" not in said("blah")
    assert "did you mean 'lora_rank-2'?" in said("lora")
