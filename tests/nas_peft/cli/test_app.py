"""The entry point, as the installed script calls it."""

import random
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nas_peft
from nas_peft.cli.app import COMMANDS, app, main


@pytest.mark.slow
def test_debug_shows_the_traceback_and_no_debug_does_not(run_program):
    wrong = ["search", "--dataset", "digits", "--seeds", "0"]
    command = ["-c", "from nas_peft.cli.app import main; main()", *wrong]
    plain, debug = (run_program(*command, *more) for more in ([], ["--debug"]))
    assert (plain.returncode, plain.stdout) == (2, "")
    message = "error: seeds is 0: input should be greater than or equal to 1"
    assert plain.stderr.splitlines() == [message]
    assert debug.returncode != 0
    assert "Traceback (most recent call last)" in debug.stderr
    assert "InputError: seeds is 0" in debug.stderr


def test_the_package_runs_as_a_module_and_says_its_version():
    said = subprocess.run([sys.executable, "-m", "nas_peft", "--version"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, f"nas-peft {nas_peft.__version__}\n")


def test_the_package_lists_its_public_names():
    public = [name for name in dir(nas_peft) if not name.startswith("_")]
    assert public == sorted(set(nas_peft.__all__) - {"__version__"})
    assert {"SearchConfig", "load_subnet", "search"} <= set(public)


def test_a_public_name_leaves_the_random_stream_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "module_that_draws.py").write_text("import random\nthing = random.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(nas_peft._HOMES, "thing", "module_that_draws")
    before = random.getstate()
    assert 0 <= nas_peft.thing < 1
    assert random.getstate() == before


def test_without_a_command_it_says_what_to_start_with():
    shown = CliRunner().invoke(app, [], env={"COLUMNS": "120"}).output
    assert "nas-peft search --dataset FOLDER --time 20m --dry-run" in shown
    assert "nas-peft predict RUN/subnet.safetensors PHOTO.jpg" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fills_its_lines(command: str):
    """No line ends early because the source breaks there, and nothing in brackets is taken for markup."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).output
    prose = [line.strip() for line in re.split(r"\n(?=\S+.*:\n)", shown)[0].splitlines()]
    assert len(prose) > 2
    for line, following in pairwise(prose[1:]):
        if line and following:
            assert len(f"{line} {following.split()[0]}") > 75, line
    if command == "serve":
        assert "pip install 'nas-peft[serve]'" in shown


def test_a_current_folder_that_was_removed_is_said(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr("sys.argv", ["nas-peft", "spaces"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith("error: the current folder was removed; change to another")
