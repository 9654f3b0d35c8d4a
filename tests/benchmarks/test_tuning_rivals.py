"""The rivals of the plain command: as many trials as passes, within the budget, tested once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import optuna
import pytest

from benchmarks import tuning_rivals
from benchmarks.harness.bench import Bench
from benchmarks.tuning_rivals import RATES, RIVALS, UniformSubnets, main, table
from search_spaces import KINDS, count_params, load_space


def test_draws_are_alike_in_all_layers_and_within_the_budget(tmp_path: Path):
    bench = Bench.load(argparse.Namespace(backbone="vit_micro_patch8_32", store=tmp_path, device="cpu"))
    subnets = UniformSubnets(load_space("large", bench.backbone.depth), bench, "4%")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [subnets.drawn(study.ask()) for _ in range(40)]
    for architecture, recipe in drawn:
        assert count_params(architecture, bench.backbone.shape) <= 0.04 * bench.backbone.params
        assert architecture in subnets.space
        for kind in architecture.kinds:
            assert len(set(architecture[kind])) == 1 or KINDS[kind].first_layer_only
        assert RATES[0] <= recipe.lr <= RATES[1]
    assert {recipe.augmentation for _, recipe in drawn} == {"none", "crop"}
    assert len({len(architecture.kinds) for architecture, _ in drawn}) > 3


@pytest.mark.thorough
def test_a_study_has_the_passes_of_each_run_and_is_read_again(
    insects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(tuning_rivals, "EPOCHS", 1)
    monkeypatch.setattr(tuning_rivals, "GRID_EPOCHS", (1, 2))
    images = 30 * 0.64  # what remains of the folder for training
    exported = {"label": "searched subnet", "group": "searched", "params": 100, "test": 0.75}
    single = exported | {"label": "LoRA everywhere", "group": "single", "test": 0.5}
    run = {
        "task": "insects",
        "time": "5m",
        "seed": 0,
        "seconds": 60,
        "passes": 2 * images * 2.6,
        "budget": "4%",
    }
    run |= {"exported": "candidate-1", "portfolio": "lora-everywhere-8"}
    report = tmp_path / "plain.json"
    report.write_text(
        json.dumps({"lines": [run | {"rows": {"candidate-1": exported, "lora-everywhere-8": single}}]})
    )
    out = tmp_path / "out.json"
    options = [f"--task={insects}", f"--report={report}", f"--store={tmp_path}/store", f"--out={out}"]
    options += [f"--rival={name}" for name in RIVALS]
    assert main(options) == 0
    shown = capsys.readouterr().out
    (line,) = json.loads(out.read_text())["lines"]
    assert line["portfolio"] == {"test": 0.5, "params": 100, "label": "LoRA everywhere"}
    assert line["full"]["trials"] == 2  # of one epoch each, which is what the passes allow
    assert line["full"]["params"] > 10**6
    for name in RIVALS:
        assert line[name]["trials"] <= 2
        assert 0 <= line[name]["test"] <= 1
        assert f"{100 * (0.75 - line[name]['test']):+.2f}" in shown
    lines = (tmp_path / "store" / "lines.jsonl").read_text().splitlines()
    assert [json.loads(text)["kind"] for text in lines].count("test") == 1
    assert main(options) == 0
    assert (tmp_path / "store" / "lines.jsonl").read_text().splitlines() == lines


def test_a_missing_report_or_task_is_one_line(tmp_path: Path, capsys):
    assert main([f"--report={tmp_path}/none.json", f"--store={tmp_path}/store"]) == 2
    assert "benchmarks.plain_command makes one" in capsys.readouterr().err
    assert main(["--workers=2", f"--store={tmp_path}/store"]) == 2
    assert "each trial waits for the one before" in capsys.readouterr().err
    (tmp_path / "empty.json").write_text('{"lines": []}')
    assert main([f"--report={tmp_path}/empty.json", f"--store={tmp_path}/store"]) == 2
    assert "has no run on digits" in capsys.readouterr().err


def test_leads_are_over_all_runs():
    def line(seed: int, ours: float, tpe: float) -> dict:
        own = {"task": "t", "time": "5m", "seed": seed, "seconds": 250 + seed}
        of_all = {"exported": ours, "portfolio": 0.6, "tpe": tpe, "random": 0.5}
        return own | {name: {"test": test, "params": 10} for name, test in of_all.items()}

    shown = "\n".join(table([line(0, 0.9, 0.8), line(1, 0.8, 0.6)]))
    assert "| t | 5m | 2 | 250 | 85.0 | 10 | 60.0 | 10 | 70.0 | 10 | 50.0 | 10 |" in shown
    assert "Lead on TPE: +15.00 points ± 5.00 over 2 runs" in shown
