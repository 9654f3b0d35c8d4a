"""Columns of tables under names that their makers gave them."""

import pytest

from nas_peft.data.table_columns import is_header, read_columns
from search_spaces.errors import InputError


def read(names: list[str], *rows: list[str]):
    assert all(len(row) == len(names) for row in rows)
    return read_columns("t.csv", names, rows)


@pytest.mark.parametrize("names", [["filepaths", "labels"], ["File Names", "Species"], ["images", "Targets"]])
def test_plurals_are_known(names):
    assert is_header(names)
    assert (read(names).path, read(names).label) == (0, 1)


@pytest.mark.parametrize("name", ["fold", "phase", "data set", "usage", "train/test", "train"])
def test_cells_that_name_parts_are_the_parts_and_it_is_said(name):
    found = read(["path", "label", name], ["1", "a", "Train"], ["2", "b", "testing"], ["3", "b", "valid"])
    assert found.split == 2
    assert f"column '{name}' is read as the parts" in found.notes[0]


@pytest.mark.parametrize(
    "cells", [("1", "2"), ("train", ""), ("train", "train"), ("val", "test"), ("bus", "train")]
)
def test_other_cells_are_no_parts(cells):
    assert read(["path", "label", "fold"], ["1", "a", cells[0]], ["2", "b", cells[1]]).split is None


def test_two_columns_of_parts_are_refused():
    with pytest.raises(InputError, match="cells of 'fold' and 'phase' are names of parts; call the one"):
        read(["path", "label", "fold", "phase"], ["1", "a", "train", "train"], ["2", "b", "test", "val"])


@pytest.mark.parametrize("name", ["is_train", "is_training_image", "isTest", "train"])
def test_a_flag_of_a_part_is_said_not_to_be_read(name):
    (note,) = read(["path", "label", name], ["1", "a", "1"], ["2", "b", "0"]).notes
    assert f"column '{name}' is not read, and the parts are drawn" in note


def test_another_column_of_labels_is_said_unless_it_says_the_same():
    names = ["path", "label", "species"]
    (note,) = read(names, ["1", "animal", "cat"], ["2", "animal", "dog"], ["3", "plant", "rose"]).notes
    assert "the labels are those of column 'label' and not of 'species'" in note
    assert read(names, ["1", "0", "cat"], ["2", "1", "dog"], ["3", "1", "dog"]).notes == ()
