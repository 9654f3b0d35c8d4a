"""The section of a report on the data: splits, duplicates, classes."""

from dataclasses import replace

from nas_peft.report.data_section import data_section
from nas_peft.report.reported_run import ReportedRun

FOUND = {"identical": {"train and test": 2}, "near": {"train and test": 1}, "two_labels": 0, "examples": []}


def notes(run: ReportedRun, dropped: dict[str, int]) -> tuple[str, tuple[str, ...]]:
    """The note below the table of duplicates, and the remarks."""
    record = run.result.dataset | {"duplicates": FOUND | {"dropped": dropped}}
    found = data_section(replace(run, result=run.result.model_copy(update={"dataset": record})))
    assert found.duplicates is not None
    return found.duplicates.note, found.remarks


def test_copies_that_were_left_out_are_not_said_to_be_there(run: ReportedRun):
    note, remarks = notes(run, {"train": 3})
    assert "left the copies in the earlier split out" in note
    assert "Duplicates: left out 3 images of train that are also in a later part." in remarks
    note, remarks = notes(run, {})
    assert "left" not in note
    assert any("2 test images are the same as one in train" in text for text in remarks)
