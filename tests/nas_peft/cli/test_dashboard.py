"""``nas-peft dashboard`` as a command: its address, its end at Ctrl-C, mistakes in one line."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.run.results import SearchResult


def test_ctrl_c_ends_it_in_one_line(finished_run: SearchResult) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answered: list[int] = []

    def ask_and_stop() -> None:
        stop = threading.Event()
        while not answered and not stop.wait(0.05):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                    answered.append(answer.status)
            except urllib.error.URLError:
                continue
        os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask_and_stop, daemon=True)
    asking.start()
    result = CliRunner().invoke(app, ["dashboard", finished_run.run, "--port", str(port)])
    asking.join()
    assert (result.exit_code, answered) == (0, [200]), result.output
    assert result.stdout.splitlines() == [
        f"dashboard: http://127.0.0.1:{port}/dashboard/studies/0 (Ctrl+C ends)",
        "ended; the run is as it was",
    ]


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["dashboard", *words, "--port", "0"])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


def test_mistakes_are_one_line(finished_run: SearchResult, tmp_path: Path) -> None:
    assert "is not a run folder" in refused(str(tmp_path))
    assert "leave --storage out" in refused(finished_run.run, "--storage", "sqlite:///x.db")
    assert "no address of this machine" in refused(finished_run.run, "--host", "192.0.2.1")
    (tmp_path / "config.yaml").write_text("dataset: digits\n")
    assert "searches nothing" in refused(str(tmp_path))


def test_the_extra_is_named_where_it_is_missing(
    finished_run: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_peft.deployment.extra.EXTRAS", {"dashboard": ("no_such_library",)})
    assert "pip install 'nas-peft[dashboard]'" in refused(finished_run.run)
