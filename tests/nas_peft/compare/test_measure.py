"""The metric of the runs decides what a comparison shows, and who won."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from nas_peft.compare.contests import compare_runs, contest
from nas_peft.compare.measure import Measure
from nas_peft.compare.runs import ComparedRun
from nas_peft.compare.side_by_side import side_by_side
from nas_peft.compare.table import contests_table, means_table, score_tables, side_tables
from nas_peft.run.results import SeedResult
from nas_peft.settings.metric import METRICS
from nas_peft.settings.search_config import SearchConfig

SEARCHED, SINGLE = "searched subnet", "LoRA alone"
FIELDS = ("accuracy", "balanced_accuracy", "macro_f1", "loss")


def run_of(metric: str, dataset: str, *, seeds: int = 2, **config: Any) -> ComparedRun:
    """A run in which the searched subnet is ahead in accuracy and behind by all other measures."""

    def seed(i: int, *scores: float) -> dict[str, Any]:
        found: dict[str, Any] = {"seed": i}
        for part in ("val", "test"):
            found |= {f"{part}_{name}": score for name, score in zip(FIELDS, scores, strict=True)}
        return found

    rows = [
        (SEARCHED, [seed(i, 0.9 + i / 100, 0.5, 0.4, 0.8) for i in range(seeds)]),
        (SINGLE, [seed(i, 0.8, 0.6, 0.55 + i / 100, 0.7) for i in range(seeds)]),
    ]
    return ComparedRun.model_validate(
        {
            "run": f"runs/{dataset}-{metric}",
            "protocol": "validation",
            "config": SearchConfig.of(dataset=dataset, metric=metric, **config).to_dict(),
            "dataset": {"classes": 10, "counts": {"train": 80, "val": 20, "test": 400}},
            "backbone": {"name": "vit", "digest": "0" * 64},
            "rows": [{"name": n, "label": n, "selected": n == SEARCHED, "seeds": s} for n, s in rows],
        }
    )


def printed(*tables: Any) -> str:
    console = Console(width=110, file=io.StringIO())
    for table in tables:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("metric", METRICS)
def test_tables_show_the_metric_of_the_runs(metric: str) -> None:
    (found,) = compare_runs([run_of(metric, "dtd"), run_of(metric, "svhn")], {})
    assert found.to_dict()["measure"] == metric
    text = printed(*score_tables(found, 110), means_table(found))
    title, mean, best = {
        "accuracy": ("test %", "90.5 ± 0.7*", SEARCHED),
        "balanced-accuracy": ("test bal %", "60.0 ± 0.0*", SINGLE),
        "macro-f1": ("test F1 %", "55.5 ± 0.7*", SINGLE),
        "log-loss": ("test loss", "0.700 ± 0.000*", SINGLE),
    }[metric]
    assert f"{title} " in text
    assert f"mean {title} over 2 data sets" in text
    assert mean in text
    of_row = {row.label: row for row in found.rows}
    assert of_row[best].cells["dtd"].best
    against = of_row[SINGLE].against[SEARCHED]
    assert (against.wins, against.losses) == ((2, 0) if metric == "accuracy" else (0, 2))


def test_one_seed_decides_by_accuracy_alone() -> None:
    a, b = {(0, 0): 0.9}, {(0, 0): 0.1}
    assert contest(a, b, 400) == 1
    assert contest(a, b, 400, Measure("macro-f1")) is None
    found = compare_runs([run_of("log-loss", name, seeds=1) for name in ("dtd", "svhn")], {})[0]
    text = printed(contests_table(found))
    assert "0/0/0" in text
    assert "data sets with one seed are not" in " ".join(text.split())


def test_settings_of_one_metric_are_compared_by_it_and_others_by_accuracy() -> None:
    same = side_by_side([run_of("log-loss", "dtd"), run_of("log-loss", "dtd", epochs="4")])
    assert same is not None
    assert same.to_dict()["measure"] == "log-loss"
    text = printed(*side_tables(same, 110))
    assert "val loss" in text
    assert "+0.000" in text
    other = side_by_side([run_of("log-loss", "dtd"), run_of("macro-f1", "dtd")])
    assert other is not None
    assert other.measure.metric == "accuracy"


def test_every_measure_is_a_field_of_results() -> None:
    for metric in METRICS:
        measure = Measure(metric)
        assert {measure.field("val"), measure.field("test")} <= SeedResult.model_fields.keys()
