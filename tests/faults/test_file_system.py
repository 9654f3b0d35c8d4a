"""A disk that is full, a folder that cannot be written, and a clock that nobody reads."""

import os
import re
import resource
import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nas_peft
import search_spaces
import supernet
from benchmarks.faults.hostile.attempt import files_below
from benchmarks.faults.hostile.ground import Ground, search_words
from nas_peft.cli.app import app

ROOMS = [Path(package.__file__).parent for package in (nas_peft, search_spaces, supernet)]


@pytest.mark.thorough
def test_where_no_file_can_grow_the_command_says_so_and_goes_on_later(ground: Ground):
    """RLIMIT_FSIZE stands for the full disk: each write beyond the limit fails."""
    words = search_words(ground.images, ground.here / "run")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        full = CliRunner().invoke(app, words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert full.exit_code == 2, full.output
    assert "start the same command again to go on" in full.stderr.splitlines()[-1]
    assert not [name for name in files_below(ground.here) if name.endswith(".partial")]
    assert CliRunner().invoke(app, words).exit_code == 0


@pytest.mark.parametrize("parent", ["/proc", "/dev/null"])
def test_a_place_that_takes_no_folder_is_one_line(ground: Ground, parent: str):
    done = CliRunner().invoke(app, search_words(ground.images, Path(parent) / "run"))
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_run_folder_is_one_line(ground: Ground):
    copy = ground.here / "run"
    shutil.copytree(ground.run, copy)
    (copy / "results.json").unlink()
    copy.chmod(0o500)
    done = CliRunner().invoke(app, search_words(ground.images, copy))
    copy.chmod(0o700)
    assert done.exit_code == 2
    assert "permission denied" in done.stderr


def test_nothing_is_decided_by_a_clock_that_may_jump():
    """``time.time`` serves to clear entries by age, ``datetime.now`` to date a record."""
    call = re.compile(r"\btime\.time\(|\bdatetime\.(?:utc)?now\(")
    read = {
        f"{path.parent.name}/{path.name}"
        for room in ROOMS
        for path in room.rglob("*.py")
        if call.search(path.read_text(encoding="utf-8"))
    }
    assert read == {"cli/cache.py", "data/sealed.py", "run/run_folder.py"}
