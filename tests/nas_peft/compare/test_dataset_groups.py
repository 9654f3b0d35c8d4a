"""Groups of data sets: VTAB-1k's, and those of a file or of options."""

from pathlib import Path

import pytest

from nas_peft.compare.dataset_groups import VTAB_GROUPS, group_of_each, parse_groups
from search_spaces import InputError


def test_vtab_has_19_tasks_in_three_groups():
    assert {name: len(tasks) for name, tasks in VTAB_GROUPS.items()} == {
        "natural": 7,
        "specialized": 4,
        "structured": 8,
    }
    assert len({task for tasks in VTAB_GROUPS.values() for task in tasks}) == 19


def test_a_file_and_options_together(tmp_path: Path):
    file = tmp_path / "groups.yaml"
    file.write_text("easy: [digits, cifar]\n")
    assert parse_groups(file, ["hard=dtd, kitti"]) == {"easy": ("digits", "cifar"), "hard": ("dtd", "kitti")}
    assert parse_groups(None, []) == {}


@pytest.mark.parametrize("option", ["easy", "=a", "easy=", "easy=a,,b"])
def test_an_option_that_says_no_group(option: str):
    with pytest.raises(InputError, match="give NAME=dataset,dataset"):
        parse_groups(None, [option])


@pytest.mark.parametrize("text", ["", "- a\n", "easy: digits\n", "easy: []\n"])
def test_a_file_that_says_no_groups(tmp_path: Path, text: str):
    file = tmp_path / "groups.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match="holds no groups; write one on each line"):
        parse_groups(file, [])


def test_a_file_that_is_no_yaml_or_not_there(tmp_path: Path):
    file = tmp_path / "groups.yaml"
    file.write_text("easy: [digits\n")
    with pytest.raises(InputError, match="is not YAML"):
        parse_groups(file, [])
    with pytest.raises(InputError, match=r"no groups file at .*give a YAML file to --groups"):
        parse_groups(tmp_path / "other.yaml", [])


def test_nothing_twice():
    with pytest.raises(InputError, match="the group 'a' is given twice"):
        parse_groups(None, ["a=x", "a=y"])
    with pytest.raises(InputError, match="'x' is in the groups 'a' and 'b'"):
        parse_groups(None, ["a=x", "b=y,x"])
    with pytest.raises(InputError, match="'x' is in the groups 'a' and 'a'"):
        parse_groups(None, ["a=x,x"])


def test_without_groups_vtab_is_recognised_and_other_data_have_none():
    assert group_of_each(["dtd", "kitti"], {}) == {"dtd": "natural", "kitti": "structured"}
    assert group_of_each(["dtd", "digits"], {}) is None
