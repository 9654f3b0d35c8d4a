"""Progress: bars on a terminal, lines elsewhere, JSON for programs, log records for libraries."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nas_peft.run.progress import ScoredModel, StageBars


def training(label: str, accuracy: float | None, loss: float | None = 0.5, **rest: Any) -> ScoredModel:
    return ScoredModel("training", label, label, accuracy, loss, "8 epochs, rate 0.01", **rest)


def candidate(number: int, loss: float, **rest: Any) -> ScoredModel:
    return ScoredModel("candidate", f"candidate-{number}", f"candidate {number}", 0.9, loss, **rest)


def a_run(bars: StageBars) -> None:
    """Stages as a run has them, one of which was finished before."""
    with bars:
        bars.expect([{"supernet": 1.0, "search": 1.0, "recipes": 3.0}], measured=True)
        bars.say("data: [3 classes]")
        with bars.counted("supernet (epochs)", 3) as bar:
            bar.find(3)
        with bars.counted("search (candidates)", 2) as bar:
            bar()
            bar()
            bars.scored(candidate(0, 0.7))
            bars.scored(candidate(1, 0.6))
        with bars.counted("recipes (models)", 4) as bar:
            bar()
            bars.scored(training("LoRA everywhere", 0.965))
            bar()
            bars.scored(training("full fine-tuning", 0.99, eligible=False))
            bar()
            bars.scored(training("searched subnet", 0.965, 0.6))
            bar()
            bars.scored(training("VPT alone", None, None, eligible=False))


def test_the_metric_of_the_run_decides_what_is_best_so_far():
    worse = training("VPT alone", 0.99, metric="balanced-accuracy", score=0.5)
    better = training("LoRA alone", 0.8, metric="balanced-accuracy", score=0.75)
    assert better.order < worse.order
    assert better.in_words() == "LoRA alone, validation balanced accuracy 75.0% (8 epochs, rate 0.01)"
    loss = training("SSF alone", 0.8, metric="log-loss", score=-0.25)
    assert loss.in_words() == "SSF alone, validation log loss 0.250 (8 epochs, rate 0.01)"


def test_elsewhere_a_stage_is_a_line_on_standard_error(capsys):
    a_run(StageBars())
    shown = capsys.readouterr()
    assert shown.out == ""
    first, supernet, search, recipes = shown.err.splitlines()
    assert first == "data: [3 classes]"
    assert supernet == "supernet: finished before"
    assert search.startswith("search: 2 candidates in 1 s; about ")
    assert search.endswith(
        " to go; best so far: candidate 1, loss 0.600 with inherited weights; 2 of 2 candidates"
    )
    assert recipes.startswith("recipes: 4 models in 1 s")
    assert "to go" not in recipes
    assert recipes.endswith(
        "best so far: LoRA everywhere, validation 96.5% (8 epochs, rate 0.01); 4 of 4 trainings"
    )


def test_a_long_stage_says_how_far_it_has_got(capsys):
    bars = StageBars(style="plain")
    bars._display._silence = 0.0  # type: ignore[attr-defined]  # instead of waiting for a minute
    with bars, bars.counted("supernet (epochs)", 3) as bar:
        for _ in range(3):
            bar()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines[:3]] == [
        "supernet: 0 of 3 epochs", "supernet: 1 of 3 epochs", "supernet: 2 of 3 epochs"
    ]  # fmt: skip
    assert lines[-1].startswith("supernet: 3 epochs in ")


def test_a_stage_without_steps_has_its_time_alone(capsys):
    bars = StageBars(style="plain")
    with bars, bars.stage("speeds of this machine"):
        pass
    assert re.fullmatch(r"speeds of this machine: [^ ]+ m?s\n", capsys.readouterr().err)


def test_a_stage_that_ends_early_has_fewer_steps(capsys):
    with StageBars() as bars, bars.counted("search (candidates)", 12) as bar:
        bar.move_to(8)
        bar.end()  # a space that was exhausted
    assert capsys.readouterr().err.startswith("search: 8 candidates in ")


def test_a_stage_that_fails_says_nothing(capsys):
    def fail() -> None:
        with StageBars() as bars, bars.stage("data") as advance:
            advance(1, 3)
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        fail()
    assert capsys.readouterr().err == ""


def test_a_stage_of_one_step_is_in_the_singular(capsys):
    with StageBars() as bars:
        for name in ("supernet (epochs)", "linear probe (learning rates)"):
            with bars.stage(name) as advance:
                advance(1, 1)
    supernet, probe = capsys.readouterr().err.splitlines()
    assert supernet.startswith("supernet: 1 epoch in ")
    assert probe.startswith("linear probe: 1 learning rate in ")


def test_json_is_one_object_a_line_on_standard_output(capsys):
    a_run(StageBars(style="json"))
    shown = capsys.readouterr()
    assert shown.err == ""
    events = [json.loads(line) for line in shown.out.splitlines()]
    assert {"event", "time"} <= set.intersection(*(set(event) for event in events))
    stages = [(e["stage"], e["state"]) for e in events if e["event"] == "stage"]
    assert stages == [
        ("supernet", "began"),
        ("supernet", "finished before"),
        ("search", "began"),
        ("search", "ended"),
        ("recipes", "began"),
        ("recipes", "ended"),
    ]
    assert [e["text"] for e in events if e["event"] == "message"] == ["data: [3 classes]"]
    steps = [e for e in events if e["event"] == "step"]
    assert {(e["stage"], e["done"], e["total"]) for e in steps} >= {("supernet", 3, 3), ("recipes", 4, 4)}
    assert all(e["run_seconds_left"] >= 0 for e in steps)
    scores = [(e["name"], e["accuracy"], e["loss"]) for e in events if e["event"] == "training"]
    assert scores[0] == ("LoRA everywhere", 0.965, 0.5)
    assert scores[-1] == ("VPT alone", None, None)
    assert [e["loss"] for e in events if e["event"] == "candidate"] == [0.7, 0.6]


def test_json_says_when_a_command_was_stopped_and_has_no_endless_numbers(capsys):
    def stop() -> None:
        with StageBars(style="json") as bars:
            bars.scored(candidate(0, float("inf"), eligible=False))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    scored, stopped = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert scored["loss"] is None
    assert (stopped["event"], stopped["by"]) == ("stopped", "KeyboardInterrupt")


def test_many_quick_steps_are_few_lines(capsys):
    with StageBars(style="json") as bars, bars.counted("data (images)", 5000) as bar:
        for _ in range(5000):
            bar()
    steps = [e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["event"] == "step"]
    assert len(steps) <= 10
    assert steps[-1]["done"] == 5000


def test_libraries_show_nothing_and_log(capsys, caplog):
    with caplog.at_level(logging.DEBUG, logger="nas_peft"):
        a_run(StageBars(quiet=True))
    assert capsys.readouterr() == ("", "")
    said = [record.message for record in caplog.records if record.levelno == logging.INFO]
    assert {record.name for record in caplog.records} == {"nas_peft"}
    assert said[:2] == ["data: [3 classes]", "supernet: finished before"]
    assert said[2].startswith("search: ended after ")
    assert any("training LoRA everywhere: accuracy 0.965" in record.message for record in caplog.records)


def test_stages_of_another_search_are_named_after_it(capsys):
    with StageBars() as bars:
        with bars.within("NOAH's"), bars.counted("supernet (epochs)", 1) as bar:
            bar()
        with bars.counted("test (models)", 1) as bar:
            bar()
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "NOAH's supernet", "test"
    ]  # fmt: skip


TERMINAL = """
import time
from nas_peft.run.progress import ScoredModel, StageBars
with StageBars() as bars:
    bars.expect([{"supernet": 1.0, "recipes": 600.0}], measured=True)
    with bars.counted("supernet (epochs)", 2) as bar:
        bar.find(2)
    with bars.counted("recipes (models)", 40) as bar:
        for n in range(12):
            bar()
        bars.scored(ScoredModel("training", "a", "LoRA everywhere", 0.965, 0.1, "8 epochs, rate 0.01"))
        time.sleep(0.4)
"""


@pytest.fixture
def on_terminal() -> Callable[[str], str]:
    """Runs Python code on a terminal of 80 columns; returns what it showed."""

    def run(code: str) -> str:
        ours, theirs = pty.openpty()
        environment = os.environ | {
            "COLUMNS": "80",
            "LINES": "24",
            "TERM": "xterm",
            "PYTHONIOENCODING": "utf-8",
        }
        with subprocess.Popen(
            [sys.executable, "-c", code], stderr=theirs, stdout=theirs, env=environment
        ) as done:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # the terminal's other end was closed
                    break
                if not part:
                    break
                shown += part
            assert done.wait() == 0, shown.decode()
        os.close(ours)
        return shown.decode()

    return run


def test_a_terminal_shows_bars_the_time_left_and_the_best_so_far(on_terminal):
    shown = on_terminal(TERMINAL)
    assert "supernet (epochs)" in shown
    assert "finished before" in shown
    assert "12/40" in shown
    assert " left" in shown
    assert "whole run: 0:00:0" in shown
    assert "about 0:" in shown
    assert "best so far: LoRA everywhere, validation 96.5% (8 epochs, rate 0.01); 12 of 40" in shown
    assert " taken" in shown
