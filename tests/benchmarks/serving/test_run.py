"""The benchmark of the server: a small run of a real server, and what counts as a failure."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import run as script
from benchmarks.serving.clients import Hostile, hostile_status
from benchmarks.serving.hostile_requests import HostileRequests, random_images


@pytest.mark.thorough
def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "serving.json"
    options = ["--seconds=0.2", "--clients=2", "--answers=60", "--hostile=30", "--tasks=2", "--images=6"]
    assert script.main([*options, "--send-seconds=0.3", f"--out={out}"]) == 0
    found = json.loads(out.read_text())
    assert found["failures"] == []
    assert found["answers"] == {"asked": 60, "own": 60, "lost": 0, "mixed_up": 0}
    assert found["hostile"]["refused_with_4xx"] == 30
    assert len(found["hostile"]["statuses"]) == 10
    (load,) = found["load"]
    assert load["clients"] == 2
    assert 0 < load["milliseconds"]["50%"] <= load["milliseconds"]["99%"]
    said = capsys.readouterr().out
    assert "60 of 60 own, 0 lost, 0 mixed up" in said
    assert "30 of 30 refused" in said


def test_answers_of_another_image_or_task_are_noticed() -> None:
    case = script.Case(b"", "task1", np.array([1.0, 3.0, -2.0]))
    right = {"task": "task1", "logits": [1.0, 3.0005, -2.0], "classes": [{"name": "class 1.1"}]}
    assert script._is_own((200, right), case)
    wrong = [
        (503, right),
        (200, right | {"task": "task0"}),
        (200, right | {"logits": [1.0, 3.0, -2.1]}),
        (200, right | {"logits": [1.0, 3.0]}),
        (200, right | {"classes": [{"name": "class 1.0"}]}),
    ]
    assert [script._is_own(answer, case) for answer in wrong] == [False] * 5


def test_failures_are_named() -> None:
    good = {
        "load": [{"wrong": 0}],
        "answers": {"asked": 9, "own": 9},
        "hostile": {"sent": 5, "refused_with_4xx": 5, "unpickled": False, "memory_flat": True},
        "answers_after_hostile": {"own": 100},
    }
    assert script.failures(good) == []
    bad = good | {"answers": {"asked": 9, "own": 8}, "hostile": good["hostile"] | {"memory_flat": False}}
    assert script.failures(bad) == ["answers were lost or mixed up", "memory grew"]


def test_a_server_that_answers_nothing_has_status_zero() -> None:
    async def silent() -> int:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await hostile_status(port, Hostile("any", (b"x",)), 5.0)

    assert asyncio.run(silent()) == 0


def test_hostile_requests_are_of_all_kinds_and_repeatable() -> None:
    def drawn() -> list[Hostile]:
        rng = np.random.default_rng(0)
        images = random_images(3, np.random.default_rng(1))
        return HostileRequests("birds", images, 1000, "marker", rng).draw(40)

    requests = drawn()
    assert requests == drawn()
    assert set(Counter(r.kind for r in requests).values()) == {4}
    assert any(b"touch marker" in piece for r in requests for piece in r.pieces)


@pytest.mark.parametrize("options", [["--clients=0"], ["--answers=none"], ["--out=."]])
def test_mistakes_are_one_line(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
