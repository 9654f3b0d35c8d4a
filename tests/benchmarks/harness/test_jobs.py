"""Trainings that diverge, and test parts that are read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.bench import Bench
from benchmarks.harness.jobs import TestJob, TrainingJob
from nas_peft.training.training import Training
from search_spaces import Architecture, InputError
from supernet import Preprocessing, Recipe, create_backbone


def bench_in(folder: Path) -> Bench:
    backbone = create_backbone("vit_micro_patch8_32")
    return Bench(backbone, Preprocessing.of(backbone.model), folder, "cpu")


def test_a_test_part_is_read_for_one_decision_only(insects: Path, tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    a = Architecture.uniform(8, "lora_rank", 1)
    jobs = [
        TrainingJob(str(insects), Training("one", "subnet", a, Recipe(1, lr), None, 0, "train_val"))
        for lr in (1e-3, 1e-2)
    ]
    for job in jobs:
        bench.run(job)
    first, second = (TestJob("study", str(insects), ((job.key, job.training),)) for job in jobs)
    line = bench.run(first)
    assert line["images"] == 6
    assert bench.run(first)["of"] == line["of"]  # a reading that was cut short may begin again
    with pytest.raises(InputError, match="read once"):
        bench.run(second)


def test_a_training_that_diverges_loses(insects: Path, tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    a = Architecture.uniform(8, "lora_rank", 1)
    wild = TrainingJob(str(insects), Training("wild", "subnet", a, Recipe(3, 1e30), None, 0, "train"))
    line = bench.run(wild)
    assert "learning rate" in line["diverged"]
    assert line["val"] is None
