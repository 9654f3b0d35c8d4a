"""Any storage that Optuna has; one that cannot be reached is tried again, and then said."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileOpenLock
from sweep import sweep

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.record import SearchRecord
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import InputError, load_space

SPACE = load_space("default", 4)
QUICK = (0.01, 0.02)


def record_in(
    address: str, notes: list[str] | None = None, delays: tuple[float, ...] = QUICK
) -> SearchRecord:
    storage = StudyStorage(address, notify=(notes if notes is not None else []).append, delays=delays)
    return SearchRecord.open(storage, "search", SPACE, cost="params", identity={})


def candidate(number: int) -> Candidate:
    return Candidate(number, 0, Proposal(SPACE.largest(), "sample"), 9, 90, 0.5, 0.1, 0.5, 20)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("studies.txt", "neither a URL such as sqlite:///studies.db nor a journal file"),
        ("nosuchdb://host/name", "cannot be opened: .*nosuchdb"),
        ("://", "cannot be opened"),
        ("sqlite:////no/such/folder/studies.db", "no folder ./no/such/folder. for the storage"),
        ("/no/such/folder/studies.journal", "no folder ./no/such/folder. for the storage"),
    ],
)
def test_what_is_no_storage_is_said(address: str, said: str):
    with pytest.raises(InputError, match=said):
        record_in(address)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "mysql+pymysql"])
def test_a_server_s_password_is_never_shown(scheme: str):
    address = f"{scheme}://me:secret@127.0.0.1:1/studies"  # pragma: allowlist secret
    assert StudyStorage(address).name == f"{scheme}://me:***@127.0.0.1:1/studies"
    with pytest.raises(InputError, match=r"me:\*\*\*@127.0.0.1") as caught:
        record_in(address)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said(tmp_path):
    (tmp_path / "studies.db").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="cannot be opened: file is not a database"):
        record_in(f"sqlite:///{tmp_path}/studies.db")


@pytest.mark.parametrize("address", sweep(["sqlite:///{}/studies.db", "{}/studies.journal"]))
def test_a_storage_that_disappears_is_waited_for_and_then_said(tmp_path, address: str):
    notes: list[str] = []
    record = record_in(address.format(tmp_path), notes)
    record.add_generation([candidate(0)])
    (file,) = (p for p in tmp_path.iterdir() if p.name.startswith("studies."))
    away = file.with_name("away")
    file.rename(away)
    with pytest.raises(InputError, match=r"is gone; when it can, start the same command again to go on"):
        record.add_generation([candidate(1)])
    assert [note.rpartition("; ")[2] for note in notes] == ["again in 0.01 s", "again in 0.02 s"]
    assert not file.exists()
    away.rename(file)
    again = record_in(address.format(tmp_path))
    assert [c.number for c in again.candidates()] == [0]
    again.add_generation([candidate(0), candidate(1)])
    assert [c.number for c in again.candidates()] == [0, 1]


def test_a_database_that_is_locked_for_a_while_ends_nothing(tmp_path):
    file = tmp_path / "studies.db"
    notes: list[str] = []
    # Optuna waits 5 s for a lock by itself; the address says less.
    record = record_in(f"sqlite:///{file}?timeout=0.05", notes, delays=(0.2, 0.4, 0.8, 1.6))
    locked = threading.Event()

    def lock() -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            locked.set()
            time.sleep(0.6)
        connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    locked.wait()
    record.add_generation([candidate(0)])
    thread.join()
    assert [c.number for c in record.candidates()] == [0]
    assert any("locked" in note for note in notes)


def test_a_database_that_stays_locked_is_said(tmp_path):
    file = tmp_path / "studies.db"
    record = record_in(f"sqlite:///{file}?timeout=0.05")
    connection = sqlite3.connect(file)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError, match="cannot be reached: database is locked"):
        record.add_generation([candidate(0)])
    connection.rollback()
    connection.close()


def test_where_the_file_is():
    assert StudyStorage("sqlite:///studies.db").file == Path("studies.db")
    assert StudyStorage("runs/x.journal").file == Path("runs/x.journal")
    assert StudyStorage("postgresql://host/name").file is None


def test_an_entry_that_another_process_is_writing_is_waited_for(tmp_path):
    journal = tmp_path / "studies.journal"
    record_in(str(journal), []).add_generation([candidate(0)])
    before = journal.read_bytes()
    first = before.splitlines(keepends=True)[0]
    lock = JournalFileOpenLock(str(journal))
    lock.acquire()
    journal.write_bytes(before + first[:9])

    def end_the_entry() -> None:
        with journal.open("ab") as file:
            file.write(first[9:])
        lock.release()

    writer = threading.Timer(0.3, end_the_entry)
    writer.start()
    StudyStorage(str(journal)).open()
    writer.join()
    assert journal.read_bytes() == before + first


def test_half_an_entry_that_nobody_is_writing_is_removed(tmp_path):
    journal = tmp_path / "studies.journal"
    record_in(str(journal), []).add_generation([candidate(0)])
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"op_code": 4, "wor')
    StudyStorage(str(journal)).open()
    assert journal.read_bytes() == before
