"""``nas-peft show`` on a finished run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.protocol.cost_ledger import stage_costs
from nas_peft.protocol.sections import SECTIONS
from nas_peft.run.results import SearchResult


def show(*arguments: str | Path, width: int = 80) -> Result:
    return CliRunner().invoke(app, ["show", *map(str, arguments)], env={"COLUMNS": str(width)})


def test_all_tables_of_a_run_are_whole_at_80_columns(finished_run: SearchResult):
    shown = show(finished_run.run)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    for title in ("chosen ", "modules by layer", "recipes", "cost", "data: "):
        assert any(line.startswith(title) for line in lines), title
    for row in finished_run.rows:
        assert row.label in shown.stdout
    for stage in finished_run.stages:
        assert stage in shown.stdout
    numbers = set(shown.stdout.split())
    for stage_cost in stage_costs(finished_run):
        assert {f"{stage_cost.forward:,.0f}", f"{stage_cost.seconds:,.0f}"} <= numbers
    for row in finished_run.rows:
        if row.tested:
            scores = (row.mean("val_accuracy"), row.mean("test_accuracy"))
            assert {f"{100 * score:.1f}" for score in scores} <= numbers
            assert f"{row.module_params:,}" in numbers
    headers = ("method", "val %", "test %", "params", "MFLOPs", "points", "90%", "better", "verdict", "start")
    for header in (*headers, "epochs", "rate", "augmentation", "tried", "stage", "forward", "backward"):
        assert header in shown.stdout
    for name in finished_run.inputs().classes:
        assert any(line.startswith(f"  {name} ") for line in lines)


def test_sections_can_be_chosen(finished_run: SearchResult):
    shown = show(finished_run.run, "--section", "recipes")
    assert shown.stdout.startswith("recipes")
    assert "cost" not in shown.stdout
    unknown = show(finished_run.run, "--section", "recipe")
    assert unknown.exit_code == 2
    assert "unknown section 'recipe'; did you mean 'recipes'?" in unknown.stderr


def test_json_has_the_sections(finished_run: SearchResult):
    found = json.loads(show(finished_run.run, "--json").stdout)
    assert list(found) == ["run", *SECTIONS]
    assert found["decision"]["exported"] == finished_run.selected.name
    assert {row["name"] for row in found["rows"]} == {row.name for row in finished_run.rows}
    assert found["costs"]["stages"].keys() == finished_run.stages.keys()
    assert found["data"]["class_names"] == finished_run.inputs().classes
    assert list(json.loads(show(finished_run.run, "--json", "--section", "costs").stdout)) == ["run", "costs"]


def test_a_run_that_was_moved_names_its_place(finished_run: SearchResult, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(finished_run.run, moved)
    found = json.loads(show(moved, "--json", "--section", "decision").stdout)
    assert found["decision"]["file"] == f"{moved}/subnet.safetensors"


def test_what_is_no_finished_run_is_said(finished_run: SearchResult, tmp_path: Path):
    nothing = show(tmp_path)
    assert nothing.exit_code == 2
    assert "is not a run folder" in nothing.stderr
    shutil.copy(Path(finished_run.run) / "config.yaml", tmp_path)
    running = show(tmp_path)
    assert running.exit_code == 2
    assert "has not ended" in running.stderr
    assert "start its command again to go on" in running.stderr


def test_neither_torch_nor_ray_is_needed(finished_run: SearchResult):
    code = (
        "import sys\nfrom nas_peft.cli.app import app\n"
        f"try: app({['show', finished_run.run]!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('torch', 'timm', 'ray', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
