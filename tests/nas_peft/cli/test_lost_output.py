"""Terminals and readers that go away while a command works on."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas_peft.cli.app import app
from nas_peft.run.results import SearchResult

SCRIPT = """
import sys
from pathlib import Path
from nas_peft.cli.lost_output import outlive_reader, outlive_terminal
for way in sys.argv[2:]:
    {"terminal": outlive_terminal, "reader": outlive_reader}[way]()
print("begun ►", flush=True)
sys.stdin.readline()  # until the other end has gone
for number in range(2000):
    print("line", number)
    print("progress", number, file=sys.stderr)
sys.stdout.flush()
Path(sys.argv[1]).write_text(f"{sys.stdout.isatty()} {sys.stdout.encoding}")
"""


def begun(command: list[str], out: int, err: int, ours: int, **options: Any) -> subprocess.Popen[bytes]:
    """The command, with SIGHUP ignored as by ``nohup``, after its first line; ``ours`` is then closed."""
    running = subprocess.Popen(
        command,
        stdout=out,
        stderr=err,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        **options,
    )
    os.close(err)
    if out != err:
        os.close(out)
    shown = b""
    while b"\n" not in shown:
        shown += os.read(ours, 1000)
    os.close(ours)
    return running


@pytest.mark.parametrize("lost", ["terminal", "pipe"])
@pytest.mark.parametrize("ways", [["terminal"], ["terminal", "reader"], []])
def test_the_work_goes_on_without_the_other_end(tmp_path: Path, lost: str, ways: list[str]):
    """Standard output to a pipe has a reader that only some commands outlive; without a way all end."""
    ours, theirs = pty.openpty() if lost == "terminal" else os.pipe()
    done = tmp_path / "done"
    script = [sys.executable, "-c", SCRIPT, str(done), *ways]
    running = begun(script, theirs, theirs, ours, stdin=subprocess.PIPE)
    running.communicate(b"\n", timeout=60)
    if ways and (lost == "terminal" or "reader" in ways):
        assert running.returncode == 0
        assert done.read_text() == "False utf-8"
    else:
        assert running.returncode != 0
        assert not done.exists()


def test_remarks_for_a_reader_that_has_gone_end_nothing(tmp_path: Path):
    """Standard error alone is lost, and standard output goes on."""
    ours, theirs = os.pipe()
    product = tmp_path / "product"
    script = SCRIPT.replace('print("begun ►", flush=True)', 'print("begun ►", file=sys.stderr, flush=True)')
    command = [sys.executable, "-c", script, str(tmp_path / "done"), "terminal"]
    with product.open("wb") as file:
        running = begun(command, os.dup(file.fileno()), theirs, ours, stdin=subprocess.PIPE)
        running.communicate(b"\n", timeout=60)
    assert running.returncode == 0
    assert product.read_text().splitlines() == [f"line {number}" for number in range(2000)]


def test_other_outputs_stay():
    script = (
        "import sys; before = sys.stdout; from nas_peft.cli.lost_output import outlive_terminal; "
        "outlive_terminal(); print(sys.stdout is before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def status_without_a_reader(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of a command into a pipe whose reader, such as ``head``, has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as lost, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", lost)
        status: int = app(words, standalone_mode=False)
    return status


@pytest.mark.parametrize(
    "words", [["show"], ["show", "--json", "--section", "costs"], ["compare"], ["front"]]
)
def test_a_command_whose_product_is_its_output_ends_as_by_sigpipe(
    finished_run: SearchResult, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command, *options = words
    options += ["--plot", str(tmp_path / "front.svg")] if command == "front" else []
    assert status_without_a_reader(monkeypatch, command, finished_run.run, *options) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["show", "--help"], ["cache", "--cache", "FOLDER"]])
def test_a_full_disk_under_the_output_is_one_line(words: list[str], tmp_path: Path):
    """Also where the output is so short that Python would write it at its end."""
    command = [str(tmp_path) if word == "FOLDER" else word for word in words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nas_peft", *command], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "no space left on the disk; free some" in line


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_front_is_exported_and_drawn_though_its_reader_has_gone(
    finished_run: SearchResult,
    form: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    subnet, picture = tmp_path / "s.safetensors", tmp_path / "f.svg"
    words = ["front", finished_run.run, "--export", str(subnet), "--plot", str(picture), *form]
    assert status_without_a_reader(monkeypatch, *words) == 141
    assert subnet.is_file()
    assert picture.is_file()
    said = capsys.readouterr().err
    assert f"subnet: {subnet} (" in said
    assert f"picture: {picture}" in said


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("progress", ["auto", "json"])
@pytest.mark.parametrize("lost", ["terminal", "pipe"])
def test_a_search_ends_as_if_it_were_watched(
    tiny_values: dict[str, Any], tmp_path: Path, lost: str, progress: str
):
    ours, theirs = pty.openpty() if lost == "terminal" else os.pipe()
    run = tmp_path / "run"
    options = [
        f"--{name.replace('_', '-')}={value}" for name, value in tiny_values.items() if name != "retrain"
    ]
    command = [sys.executable, "-m", "nas_peft", "search", *options, "--no-retrain", "--out", str(run)]
    running = begun([*command, "--progress", progress], theirs, theirs, ours, stdin=subprocess.DEVNULL)
    assert not (run / "results.json").exists()
    assert running.wait(timeout=300) == 0
    results = (run / "results.json").read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "supernet (epochs)" not in again.stderr  # nothing is left to be done
    assert str(run / "subnet.safetensors") in again.stdout.replace("\n", "")
    assert (run / "results.json").read_bytes() == results
