"""A damaged file of a run is made again or named in one line; the benchmark tries each file in each way."""

import json
from pathlib import Path

import pytest
from sweep import sweep
from typer.testing import CliRunner

from benchmarks.faults.damaged_files import (
    DAMAGES,
    PASSES,
    SHORT,
    Case,
    cases,
    files_of,
    numbers,
    search_command,
    table,
)
from nas_peft.cli.app import app


@pytest.fixture(scope="module")
def options(insects: Path) -> dict:
    return {name: value for name, value in SHORT.items() if name != "shots"} | {"dataset": str(insects)}


@pytest.fixture(scope="module")
def run(options: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "undisturbed"
    done = CliRunner().invoke(app, search_command(folder, options))
    assert done.exit_code == 0, done.output
    return folder


# each file that a run keeps, and each damage, at least once; the files' kinds are those of the benchmark
@pytest.mark.parametrize(
    ("file", "damage", "outcome"),
    sweep(
        [
            ("config.yaml", "one bit", "one line"),
            ("config.yaml", "cut in half", "one line"),
            ("generations/000.safetensors", "one bit", "one line"),
            ("generations/001.safetensors", "removed", "same numbers"),
            ("stages/inputs.json", "emptied", "one line"),
            ("stages/probe.json", "one bit", "one line"),
            ("stages/search.json", "removed", "same numbers"),
            ("study.journal", "cut in half", "same numbers"),
            ("subnet.safetensors", "emptied", "same numbers"),
            ("supernet.safetensors", "cut in half", "one line"),
            ("supernet.safetensors", "removed", "same numbers"),
        ],
        2,
    ),
)
def test_a_run_without_its_results_goes_on_or_says_why_not(
    run: Path, options: dict, file: str, damage: str, outcome: str
):
    assert file in files_of(run)
    found = {case.command: case for case in cases(run, file, damage, options, seed=0)}
    case = found["search without results"]
    assert case.outcome == outcome, case
    if outcome == "one line":
        assert Path(file).name in case.said
    assert all(case.outcome in PASSES for case in found.values()), found


def test_other_numbers_are_noticed(run: Path, tmp_path: Path):
    results = json.loads((run / "results.json").read_text())
    results["rows"][0]["seeds"][0]["val_loss"] += 1e-12
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert numbers(tmp_path) != numbers(run)


def test_the_table_counts_what_does_not_pass():
    found = [Case("a", "one bit", "front", outcome, "") for outcome in (*PASSES, "traceback", "no line")]
    shown = table(found)
    assert [list(column.cells) for column in shown.columns[1:]] == [
        [str(count if damage == "one bit" else 0) for damage in DAMAGES] for count in (1, 1, 2)
    ]
