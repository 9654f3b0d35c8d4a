"""``nas-peft compare`` on folders of real runs, and what it prints."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.results import SearchResult


def compare(*arguments: str | Path, width: int = 160) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": str(width)})


@pytest.fixture
def other_run(finished_run: SearchResult, tmp_path: Path):
    """Writes a copy of the finished run as if of another data set, seed, or configuration."""

    def write(name: str, **config: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(Path(finished_run.run) / "config.yaml", folder)
        content = read_json(Path(finished_run.run) / "results.json")
        assert content is not None
        content["config"] |= config
        write_json(folder / "results.json", content)
        return folder

    return write


def line_of(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if label in line)


def test_one_table_over_data_sets(finished_run: SearchResult, other_run):
    shown = compare(finished_run.run, other_run("second", dataset="digits"))
    assert shown.exit_code == 0, shown.output
    assert "stripes" in shown.stdout
    assert "digits" in shown.stdout
    for row in finished_run.rows:
        line = line_of(shown.stdout, row.label)
        assert line.count(f"{100 * row.mean('test_accuracy'):.1f}") == 2
    means = shown.stdout[shown.stdout.index("mean test % over 2 data sets") :]
    probing = next(row for row in finished_run.rows if row.name == "linear")
    assert f"{100 * probing.mean('test_accuracy'):.1f}" in line_of(means, "linear probing")
    contests = means[means.index("data sets won/tied/lost by the") :]
    assert "/" in line_of(contests, "linear probing")
    assert "a tie: with several seeds" in " ".join(contests.split())


def test_pooled_seeds_have_a_spread(finished_run: SearchResult, other_run):
    shown = compare(finished_run.run, other_run("second", seed=1))
    assert shown.exit_code == 0, shown.output
    assert "2 seeds" in shown.stdout
    assert "± 0.0" in line_of(shown.stdout, "linear probing")


def test_runs_of_one_time_are_comparable_whatever_their_plans_set(other_run):
    runs = []
    for number, name in enumerate(("digits", "dtd"), 1):
        run = other_run(name, dataset=name, epochs=[number], lr_grid=[1.0])
        content = read_json(run / "results.json")
        assert content is not None
        write_json(
            run / "results.json", content | {"plan": {"time": "5m", "set_options": {"epochs": [number]}}}
        )
        runs.append(run)
    shown = compare(*runs)
    assert shown.exit_code == 0, shown.output
    assert "mean test % over 2 data sets" in shown.stdout
    assert "set by each run's own plan for --time 5m, and not alike: epochs" in " ".join(shown.stdout.split())
    without = other_run("third", dataset="third", epochs=[3], lr_grid=[1.0])
    refused = compare(runs[0], without)
    assert refused.exit_code == 2
    assert "time (5m and not given)" in refused.stderr
    equal = compare(runs[0], other_run("fourth", dataset="fourth", epochs=[1], lr_grid=[1.0]))
    assert equal.exit_code == 0, equal.output  # what the plan has set was given there


def test_groups_get_tables_and_means(finished_run: SearchResult, other_run):
    run = other_run("b", dataset="digits")
    shown = compare(finished_run.run, run, "--group", "a=stripes,digits", width=200)
    assert shown.exit_code == 0, shown.output
    assert "test %, a" in shown.stdout
    assert "group mean" in shown.stdout


def test_many_data_sets_are_cut_into_tables_that_fit(finished_run: SearchResult, other_run):
    runs = [other_run(f"run{i}", dataset=f"data{i}") for i in range(7)]
    shown = compare(*runs, width=100)
    assert shown.exit_code == 0, shown.output
    assert all(f"data{i}" in shown.stdout for i in range(7))
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())
    accuracy = f"{100 * finished_run.selected.mean('test_accuracy'):.1f}"
    chosen = [line for line in shown.stdout.splitlines() if "chosen by validation" in line]
    assert sum(line.count(accuracy) for line in chosen) >= 7


def test_json_has_every_cell(finished_run: SearchResult, other_run):
    shown = compare(finished_run.run, other_run("second", dataset="digits"), "--json")
    (comparison,) = json.loads(shown.stdout)
    assert [column["dataset"] for column in comparison["columns"]] == ["stripes", "digits"]
    rows = {row["label"]: row for row in comparison["rows"]}
    for row in finished_run.rows:
        assert rows[row.label]["cells"]["digits"]["mean"] == row.mean("test_accuracy")
    assert comparison["settings"]["budget"] == "0.75%"
    assert "tie" in comparison["tie_rule"]


def test_other_configurations_are_refused_or_get_tables_of_their_own(finished_run: SearchResult, other_run):
    other = other_run("second", dataset="digits", budget="2%")
    refused = compare(finished_run.run, other)
    assert refused.exit_code == 2
    assert "error: the runs" in refused.stderr
    assert "they differ in budget (0.75% and 2%)" in refused.stderr
    apart = compare(finished_run.run, other, "--apart")
    assert apart.exit_code == 0, apart.output
    assert "budget: 0.75%" in apart.stdout
    assert "budget: 2%" in apart.stdout


def test_settings_on_one_data_set_come_side_by_side(finished_run: SearchResult, other_run):
    other = other_run("second", budget="2%", epochs=[8])
    shown = compare(finished_run.run, other, width=80)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    for row in finished_run.rows:
        line = line_of(shown.stdout, row.label)
        assert line.count(f"{100 * row.mean('val_accuracy'):.1f}") >= 2
        assert line.count(f"{100 * row.mean('test_accuracy'):.1f}") >= 2
        assert line.rstrip().endswith("≈ +0.0")
    assert "A: budget 0.75%, epochs 1 (" in " ".join(shown.stdout.split())
    assert "B: budget 2%, epochs 8 (" in " ".join(shown.stdout.split())
    assert "mean test %" not in shown.stdout
    assert "won/tied/lost" not in shown.stdout
    assert "differ between the runs" not in shown.stdout
    refused = compare(finished_run.run, other, "--group", "a=stripes")
    assert refused.exit_code == 2
    assert "--group and --groups average over data sets, and the runs are on one" in refused.stderr
    assert compare(finished_run.run, other, "--group", "a=stripes", "--apart").exit_code == 0
    found = json.loads(compare(finished_run.run, other, "--json").stdout)
    assert [setting["options"]["budget"] for setting in found["settings"]] == ["0.75%", "2%"]


def test_one_data_set_has_neither_means_nor_contests(finished_run: SearchResult, other_run):
    shown = compare(finished_run.run, other_run("second", seed=1))
    assert "test %" in shown.stdout
    assert "mean test %" not in shown.stdout
    assert "won/tied/lost" not in shown.stdout


def test_splits_that_differ_by_seed_are_named(finished_run: SearchResult, other_run):
    other = other_run("second", seed=1)
    content = read_json(other / "results.json")
    assert content is not None
    content["dataset"]["splits"]["test"] = "another draw, seed 1"
    write_json(other / "results.json", content)
    text = " ".join(compare(finished_run.run, other).stdout.split())
    assert "stripes: the test images differ between the runs" in text
    assert "'another draw, seed 1'" in text
    assert "the val images differ" not in text
    (comparison,) = json.loads(compare(finished_run.run, other, "--json").stdout)
    (said,) = comparison["remarks"]
    assert said.startswith("stripes: the test images differ between the runs")


def test_what_is_no_finished_run(finished_run: SearchResult, other_run, tmp_path: Path):
    nothing = compare(tmp_path / "nothing")
    assert nothing.exit_code == 2
    assert "is not a run folder" in nothing.stderr
    running, broken = other_run("running"), other_run("broken")
    (running / "results.json").unlink()
    assert "has not ended" in compare(running).stderr
    (broken / "results.json").write_text('{"run": 3}')
    shown = compare(broken)
    assert shown.exit_code == 2
    assert "is not the result of a run: run:" in shown.stderr


def test_what_a_later_version_adds_is_no_matter(finished_run: SearchResult, other_run):
    run = other_run("later")
    content = read_json(run / "results.json")
    assert content is not None
    content["novelty"] = 1
    content["rows"][0]["novelty"] = content["rows"][0]["seeds"][0]["novelty"] = 1
    write_json(run / "results.json", content)
    assert compare(run).exit_code == 0
