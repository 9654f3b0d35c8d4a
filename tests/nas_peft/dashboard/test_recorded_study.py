"""The record of a search is followed while it is written, and never changed."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import optuna
import pytest
from optuna.storages import RDBStorage

from nas_peft.dashboard.recorded_study import RecordedStudy
from nas_peft.run.json_file import write_json
from nas_peft.run.results import SearchResult
from search_spaces import InputError


@pytest.fixture
def run(finished_run: SearchResult, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return copytree(finished_run.run, tmp_path / "run")


def test_a_journal_is_followed_line_by_line(run: Path, tmp_path: Path) -> None:
    journal = run / "study.journal"
    written = journal.read_bytes()
    lines = written.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])  # the line is still being written
    journal.chmod(0o444)
    (scratch := tmp_path / "scratch").mkdir()
    recorded = RecordedStudy.of_run(run, scratch)
    before = len(recorded.trials())
    journal.chmod(0o644)
    journal.write_bytes(written)
    trials = recorded.trials()
    assert [trial.user_attrs["number"] for trial in trials] == list(range(before + 2))
    assert journal.read_bytes() == written


def test_a_database_is_read_as_recorded(run: Path, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/studies.db"
    study = optuna.create_study(
        storage=RDBStorage(address), study_name="mine", directions=["minimize", "minimize"]
    )
    study.set_user_attr("cost", "params")
    write_json(run / "stages" / "record.json", {"storage": address, "study": "mine"})
    before = (tmp_path / "studies.db").read_bytes()
    recorded = RecordedStudy.of_run(run, tmp_path)
    assert (recorded.trials(), recorded.attributes) == ([], {"cost": "params"})
    assert (tmp_path / "studies.db").read_bytes() == before


@pytest.mark.parametrize(
    ("place", "storage", "message"),
    [
        ({"storage": "sqlite:///none.db", "study": "s"}, None, "'none.db' is gone"),
        ({"storage": "mysql://me:***@there/db", "study": "s"}, None, "give --storage with it"),
        (
            {"storage": "mysql://me:***@there/db", "study": "s"},
            "mysql://me:x@here/db",
            "recorded in mysql://",
        ),
        ({"storage": None, "study": "other"}, None, "has no study 'other'"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(
    place: dict[str, str], storage: str | None, message: str, run: Path, tmp_path: Path
) -> None:
    write_json(run / "stages" / "record.json", place)
    (scratch := tmp_path / "scratch").mkdir()
    with pytest.raises(InputError) as raised:
        RecordedStudy.of_run(run, scratch, storage).trials()
    assert message in str(raised.value)


def test_a_run_that_has_not_begun_is_named(run: Path, tmp_path: Path) -> None:
    (run / "stages" / "record.json").unlink()
    with pytest.raises(InputError, match="no record yet"):
        RecordedStudy.of_run(run, tmp_path)
