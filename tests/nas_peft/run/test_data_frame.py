"""A result as a dataframe."""

import sys

import pytest

from nas_peft.run.data_frame import ROW_COLUMNS, TRAINING_COLUMNS
from nas_peft.run.results import SearchResult
from search_spaces import InputError


def test_rows_have_the_numbers_of_the_table(finished_run: SearchResult):
    frame = finished_run.to_dataframe()
    assert tuple(frame.columns) == ROW_COLUMNS
    assert list(frame["row"]) == [row.name for row in finished_run.rows]
    selected = frame[frame["selected"]].iloc[0]
    row = finished_run.selected
    assert selected["test_accuracy"] == row.mean("test_accuracy")
    assert selected["params"] == row.params
    assert (selected["epochs"], selected["lr"]) == (row.recipe["epochs"], row.recipe["lr"])
    assert frame["val_accuracy"].dtype == float
    assert frame["val_accuracy_std"].isna().all()  # one seed


def test_trainings_are_all_that_were_done(finished_run: SearchResult):
    frame = finished_run.to_dataframe("trainings")
    assert tuple(frame.columns) == TRAINING_COLUMNS
    assert len(frame) == sum(len(row.runs) for row in finished_run.rows)
    assert set(frame["on"]) == {"train", "train_val"}
    assert frame.loc[frame["on"] == "train_val", "val_accuracy"].isna().all()


def test_trainings_have_all_of_their_recipe_that_options_set(finished_run: SearchResult):
    frame = finished_run.to_dataframe("trainings")
    runs = [run for row in finished_run.rows for run in row.runs]
    for name in ("weight_decay", "drop_path", "module_dropout", "module_scale", "label_smoothing"):
        assert list(frame[name]) == [run.recipe[name] for run in runs if run.recipe]


def test_another_kind_is_refused(finished_run: SearchResult):
    with pytest.raises(InputError, match="give rows or trainings"):
        finished_run.to_dataframe("seeds")  # type: ignore[arg-type]


def test_without_pandas_the_error_says_what_to_install(finished_run: SearchResult, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"pip install 'nas-peft\[pandas\]'"):
        finished_run.to_dataframe()
