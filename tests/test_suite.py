"""The ordinary and the thorough suite share out all tests, and nearly each file has ordinary ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from collected import COLLECTED, DESELECTED
from sweep import sweep

TESTS = Path(__file__).parent
ROOT = TESTS.parent

THOROUGH_ALONE = {
    "benchmarks/mini_vtab/test_report.py": "needs whole runs of two studies",
    "benchmarks/mini_vtab/test_study.py": "needs whole runs of two studies",
    "benchmarks/search_study/test_report.py": "needs a whole run of the study",
    "benchmarks/test_architecture_table.py": "needs a whole run of the study",
    "examples/test_six_calls.py": "runs the example; the finished run makes the same calls",
    "nas_peft/audit/test_stage.py": "needs a whole audit of a search",
    "nas_peft/stages/test_trained_supernet.py": "trains in two processes; test_supernet_parts.py in one",
    "nas_peft/tracking/test_mlflow_tracker.py": "needs MLflow, which the extra thorough installs",
    "nas_peft/tracking/test_wandb_tracker.py": "needs wandb, which the extra thorough installs",
    "nas_peft/training/test_ray_client.py": "starts a cluster of its own; test_ray_trainings.py has the laws",
    "nas_peft/training/test_two_machines.py": "starts two machines; test_supernet_on_ray.py has the laws",
    "test_commands.py": "needs a run of the digits, and runs twenty whole commands on it",
    "supernet/test_tracing.py": "traces every kind; deployment/test_exporting.py exports a program",
}
"""Files of which the ordinary suite has no test, and why."""


def test_each_file_is_in_the_ordinary_suite_or_in_the_list(request: pytest.FixtureRequest) -> None:
    """Of the files of this session, which may be a part of the tests."""
    collected = request.config.stash[COLLECTED]
    assert {file for file in collected if all(collected[file])} == THOROUGH_ALONE.keys() & collected.keys()


def test_the_list_names_files_and_reasons() -> None:
    assert [file for file in THOROUGH_ALONE if not (TESTS / file).is_file()] == []
    assert all(len(reason) > 8 for reason in THOROUGH_ALONE.values())


def test_what_is_selected_and_what_is_not_are_all_tests(request: pytest.FixtureRequest) -> None:
    stash, selected = request.config.stash, request.session.items
    thorough = [mark for marks in stash[COLLECTED].values() for mark in marks]
    assert len(selected) + stash.get(DESELECTED, 0) == len(thorough)
    if request.config.option.markexpr == "not thorough":
        assert stash.get(DESELECTED, 0) == sum(thorough)


def test_the_two_suites_complete_each_other(request: pytest.FixtureRequest) -> None:
    """Plain pytest runs the ordinary suite, and the command of the thorough one runs the rest."""
    words = request.config.getini("addopts")
    assert words[words.index("-m") + 1] == "not thorough"
    assert 'pytest -n 3 -m thorough "$@"' in (ROOT / ".ci" / "thorough").read_text()


def test_ci_runs_the_thorough_suite_after_the_test_command() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines.index('eval "$command"') < lines.index("bash .ci/thorough")


def test_the_thorough_suite_needs_an_environment_and_fails_as_its_parts_do(tmp_path: Path) -> None:
    def run() -> int:
        command = ["bash", str(ROOT / ".ci" / "thorough")]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode

    assert run() == 1
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    for failing, status in (("pip", 3), ("pytest", 3), ("neither", 0)):
        python.write_text(f'#!/bin/sh\n[ "$2" != {failing} ] || exit 3\n')
        python.chmod(0o755)
        assert run() == status


def test_a_sweep_leaves_the_first_cases_or_the_named_ones_to_the_ordinary_suite() -> None:
    def ordinary(cases: list[object]) -> list[object]:
        return [case.values for case in cases if not case.marks]  # type: ignore[attr-defined]

    assert ordinary(sweep("abc")) == [("a",)]
    assert ordinary(sweep({"x": 1, "y": 2, "z": 3}, 2)) == [("x",), ("y",)]
    assert ordinary(sweep("abc", ["c"])) == [("c",)]
    assert ordinary(sweep([(1, 2), (3, 4)])) == [(1, 2)]
    assert len(sweep("abc")) == 3
    with pytest.raises(ValueError, match="'d'"):
        sweep("abc", ["d"])
