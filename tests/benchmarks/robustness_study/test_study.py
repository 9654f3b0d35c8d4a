"""The study of robustness: its tasks, halves and table; a whole study of seconds would train too much."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.harness.halves import half_of
from benchmarks.robustness_study import tasks
from benchmarks.robustness_study.run import main, parsed
from benchmarks.robustness_study.scatter import scatter
from benchmarks.robustness_study.study import METHODS, Study
from benchmarks.robustness_study.tables import against, by_task, rows_of, table, without_each
from benchmarks.robustness_study.tasks import study_task, tail_counts
from nas_peft.data import Part
from nas_peft.data.source import Reading, list_source
from nas_peft.settings.baselines import BASELINES


def test_the_tail_is_exponential_and_ends_at_a_twentieth():
    counts = tail_counts(200, 11)
    assert (counts[0], counts[-1]) == (200, 10)
    assert counts[5] == round(200 * 20**-0.5)
    assert tail_counts(10, 100)[-1] == 1  # as many as there can be


def test_a_long_tail_keeps_the_test_list(insects: Path, tmp_path: Path):
    """Made of a task folder of two classes of 15 images."""
    source = tmp_path / "data" / "cifar100"
    source.mkdir(parents=True)
    (source / "images").symlink_to(insects)
    names = [f"images/{c}/{i:02}.png {label}" for label, c in enumerate(("ant", "bee")) for i in range(15)]
    lists = {"train800.txt": [n for n in names if int(n[-8:-6]) < 8]}
    lists["val200.txt"] = [n for n in names if 8 <= int(n[-8:-6]) < 10]
    lists["train800val200.txt"] = lists["train800.txt"] + lists["val200.txt"]
    lists["test.txt"] = [n for n in names if int(n[-8:-6]) >= 10]
    for name, lines in lists.items():
        (source / name).write_text("\n".join(lines) + "\n")
    task = study_task("cifar100-tail", tmp_path / "data", tmp_path / "store")
    listing = list_source(task.dataset, lambda image: torch.empty(0), None, Reading())
    counted = {name: listing.class_counts(items).tolist() for name, items in listing.parts()}
    assert counted == {"train": [7, 1], "val": [3, 0], "test": [5, 5]}
    assert "8 training and 3 validation images are left; logit adjustment" in task.about
    assert "from 10 images of a class to 1, ratio 10:" in task.about  # as there is no half an image
    assert task.class_balance == "logit-adjusted"
    again = study_task("cifar100-tail", tmp_path / "data", tmp_path / "store")
    assert again == task


def test_a_domain_is_left_out_by_a_table(insects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tasks, "OF_CLASS", {"train": 6, "val": 2})
    for domain in ("photo", "art_painting", "cartoon"):
        (tmp_path / "pacs").mkdir(exist_ok=True)
        shutil.copytree(insects, tmp_path / "pacs" / domain)
    task = study_task("pacs-cartoon", tmp_path, tmp_path / "store")
    listing = list_source(task.dataset, lambda image: torch.empty(0), None, Reading())
    counted = {name: listing.class_counts(items).tolist() for name, items in listing.parts()}
    assert counted == {"train": [12, 12], "val": [4, 4], "test": [14, 14]}  # of 15 in each domain
    assert {item.domain for item in listing.train} == {"photo", "art_painting"}
    assert task.left_out == tmp_path / "pacs" / "cartoon"
    assert study_task("pacs-cartoon", tmp_path, tmp_path / "store") == task


def test_halves_share_no_image_and_stay_the_same():
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 3, 2, 2).contiguous()
    part = Part(images, torch.arange(40) % 4)
    halves = [half_of(part, half, "robustness study") for half in ("develop", "final")]
    seen = [set(half.images[:, 0, 0, 0].tolist()) for half in halves]
    assert seen[0].isdisjoint(seen[1])
    assert seen[0] | seen[1] == set(range(40))
    assert all(torch.bincount(half.labels).tolist() == [5] * 4 for half in halves)
    few = half_of(part, "develop", "robustness study", 6)
    assert len(few) == 6
    assert set(few.images[:, 0, 0, 0].tolist()) <= seen[0]


def line(task: str, seed: int, **shifted: float) -> dict[str, object]:
    rows = {name.replace("_", " "): {"in_domain": 0.9, "shifted": value} for name, value in shifted.items()}
    return {"task": task, "seed": seed, "rows": rows}


LINES = [
    line("a", 0, searched=0.7, searched_robustly=0.80, LoRA=0.6),
    line("a", 1, searched=0.7, searched_robustly=0.82, LoRA=0.8),
    line("a", 2, searched=0.7, searched_robustly=0.81, LoRA=0.7),
    line("b", 0, searched=0.5, searched_robustly=0.50),
    line("b", 1, searched=0.5, searched_robustly=0.52),
]


def test_wins_are_of_tasks_by_a_t_test_over_seeds():
    rows = rows_of(LINES)
    mean, error, won, lost = against(rows["searched robustly"], rows["searched"])
    assert mean == pytest.approx(0.06)  # of 0.11 and 0.01, whatever their numbers of seeds
    assert error == pytest.approx(0.05)
    assert (won, lost) == (1, 0)
    assert against(rows["searched"], rows["searched robustly"])[2:] == (0, 1)
    assert against(rows["LoRA"], rows["searched"])[2:] == (0, 0)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_win_needs_a_p_value_below_a_twentieth(seeds: int):
    """As SciPy's own test has it, on both sides of the bound."""
    rng = np.random.default_rng(seeds)
    seen = set()
    for shift in np.linspace(0, 0.2, 40):
        differences = rng.normal(shift, 0.02, seeds)
        ours = {("a", seed): {"shifted": 0.5 + d} for seed, d in enumerate(differences)}
        theirs = {pair: {"shifted": 0.5} for pair in ours}
        won = against(ours, theirs)[2]
        significant = stats.ttest_1samp(differences, 0).pvalue < 0.05
        assert won == (significant and differences.mean() > 0)
        seen.add(won)
    assert seen == {0, 1}


def test_the_lead_without_a_task_is_that_of_the_others():
    assert without_each(LINES) == [
        "| without | searched robustly, minus searched |",
        "|---|---:|",
        "| a | +1.0 |",
        "| b | +11.0 |",
    ]


def test_the_table_has_the_best_shifted_accuracy_first_and_says_what_is_missing():
    lines = table(LINES)
    assert [text.split(" | ")[0].strip("| ") for text in lines[2:]] == [
        "LoRA",
        "searched robustly",
        "searched",
    ]
    assert "| 3 of 5 |" in lines[2]
    assert "| 66.0 ± 15.0 |" in lines[3]
    assert "+6.0 ± 5.0 (1, 0)" in lines[3]


def test_tasks_and_the_picture_have_the_means_of_seeds(tmp_path: Path):
    shown = by_task(LINES)
    assert shown[0] == "| method | a | b |"
    assert shown[2:] == [
        "| searched | 70.0 | 50.0 |",
        "| searched robustly | 81.0 | 51.0 |",
        "| LoRA | 70.0 |  |",
    ]
    scatter(tmp_path / "plot.svg", LINES, {"a": "corruptions", "b": "rare"})
    text = (tmp_path / "plot.svg").read_text()
    for words in ("accuracy % on corruptions", "accuracy % on rare classes", "2  searched robustly"):
        assert f"<!-- {words} -->" in text
    assert "another domain" not in text
    scatter(tmp_path / "half.svg", LINES[:4], {"a": "corruptions", "b": "corruptions"})
    assert "LoRA" not in (tmp_path / "half.svg").read_text()  # it has no line of b


def test_a_finished_line_is_found_again(tmp_path: Path):
    """A line is known by its options, as they come back from its file."""
    options = Study(parsed(["--lines", str(tmp_path / "lines.jsonl"), "--task", "digits"])).options()
    assert json.loads(json.dumps(options)) == options
    assert options["severities"] == [1, 3, 5]
    others = Study(parsed(["--severities", "2", "--noah-seeds", "3"])).options()
    assert {name for name in options if options[name] != others[name]} == {"severities", "noah_seeds"}


def test_rows_are_baselines_of_the_product_and_mistakes_are_one_line(tmp_path: Path, capsys):
    assert {name for name in METHODS if not name.startswith("full-")} <= set(BASELINES)
    assert main(["--task", "dtd10", "--data", str(tmp_path), "--store", str(tmp_path / "store")]) == 2
    assert "needs the folder" in capsys.readouterr().err
    assert main(["--half", "both"]) == 2
    assert main(["--severities", "1,6"]) == 2
