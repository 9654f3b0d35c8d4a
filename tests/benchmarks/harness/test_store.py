"""Store that two studies share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.bench import Bench, Line
from benchmarks.harness.jobs import TestJob, TrainingJob, freeze, opened_file
from benchmarks.harness.store import Store
from nas_peft.training.training import Training
from search_spaces import Architecture, InputError
from supernet import Recipe


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "lines.jsonl").read_text().splitlines()]


@pytest.mark.thorough
def test_studies_share_searches(compared: dict[str, Any], store: Path) -> None:
    lines = lines_of(store)
    assert len({line["key"] for line in lines}) == len(lines)
    defaults = [x for x in lines if x["kind"] == "search" and len(x["plan"]["ways"]) == 3]
    assert [x["seed"] for x in defaults] == [0, 1]


@pytest.fixture
def args(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(
        store=tmp_path / "store", backbone="vit_micro_patch8_32", device="cpu", workers=1
    )


def job(task: Path, lr: float) -> TrainingJob:
    architecture = Architecture.uniform(8, "lora_rank", 1)
    training = Training("one", "subnet", architecture, Recipe(1, lr), None, 0, "train_val")
    return TrainingJob(str(task), training)


class Answering(Bench):
    """Answers jobs without training, and notes which."""

    ran: tuple[str, ...] = ()

    def run(self, job: Any) -> Line:
        self.ran = (*self.ran, job.kind)
        line: Line = {"kind": job.kind, "key": job.key}
        if not isinstance(job, TestJob):
            return line | {"val": None}
        freeze(opened_file(self, job.study, job.task), job.decision)
        return line | {"of": {key: {"accuracy": 0.5} for key, _ in job.models}}


def test_a_study_that_has_read_a_test_part_trains_nothing_more_for_it(
    args: argparse.Namespace, insects: Path
) -> None:
    """The error came after hours of training, or was a traceback."""
    bench = Answering.load(args)
    first, second = job(insects, 1e-3), job(insects, 1e-2)
    store = Store(args, bench, [str(insects)], "study")
    store.run([first], "trainings")
    store.run([TestJob("study", str(insects), ((first.key, first.training),))], "test parts")
    again = Store(args, bench, [str(insects)], "study")
    again.run([first], "trainings")  # a finished study is read again
    bench.ran = ()
    with pytest.raises(InputError, match=r"of 'insects' for other models.*another --store"):
        again.run([first, second], "trainings")
    both = TestJob("study", str(insects), tuple((of.key, of.training) for of in (first, second)))
    with pytest.raises(InputError, match="read the test part of 'insects' for other models"):
        again.run([both], "test parts")
    assert bench.ran == ()
    Store(args, bench, [str(insects)], "another").run([second], "trainings")
    assert bench.ran == ("training",)


def test_lines_are_of_one_data_set_of_a_name(args: argparse.Namespace, insects: Path, tmp_path: Path) -> None:
    bench = Answering.load(args)
    other = tmp_path / "other" / "insects"
    for image in sorted(insects.glob("*/*"))[1:]:
        (other / image.parent.name).mkdir(parents=True, exist_ok=True)
        (other / image.parent.name / image.name).write_bytes(image.read_bytes())
    with pytest.raises(InputError, match="two data sets are called 'insects'"):
        Store(args, bench, [str(insects), str(other)])
    store = Store(args, bench, [str(insects)])
    assert list(store.setup["tasks"]) == ["insects"]
    assert Store(args, bench, [str(insects)]).setup == store.setup
    with pytest.raises(InputError, match="lines of other data called 'insects'; rename the folder"):
        Store(args, bench, [str(other)])
