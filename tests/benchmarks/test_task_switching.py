"""The benchmark of mixed batches: what it compares, what it writes, what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import benchmarks.task_switching as script
from supernet import MultiTaskModel

SMALL = script.Setting("vit_micro_patch8_32", None, "large", 3, 6, 1)


def test_tasks_are_drawn_from_the_seed():
    drawn = SMALL.architectures(8)
    assert len(set(drawn)) == 3
    assert drawn == SMALL.architectures(8)


@pytest.mark.thorough
def test_every_way_computes_the_same_images(tmp_path: Path):
    backbone = SMALL.make_backbone()
    files = script.subnet_files(SMALL, backbone, tmp_path)
    model = MultiTaskModel(backbone, files)
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = script.ways(model, images, 1)
    assert tuple(found) == script.WAYS
    with torch.inference_mode():
        logits = {name: work(2) for name, work in found.items()}
    rows = sorted(row.tolist() for row in logits["mixed"])
    alone = sorted(row.tolist() for of_task in logits["sequence"] for row in of_task)
    assert rows == [pytest.approx(row, abs=1e-5) for row in alone]
    (of_single,) = logits["single"]
    torch.testing.assert_close(torch.stack(logits["single in model"]), of_single, atol=1e-5, rtol=1e-5)
    assert script.largest_difference(model, images) < 1e-5


def test_ratios_are_of_images_per_second():
    seconds = {name: {"clock": 1.0, "processor": 2.0} for name in script.WAYS}
    assert set(seconds) >= {way for pair in script.COMPARED.values() for way in pair}
    lines = [seconds | {"mixed": {"clock": clock, "processor": 1.0}} for clock in (0.5, 0.25, 0.2)]
    found = script.ratios(lines)
    assert found["mixed / sequence"] == {"clock": 4.0, "processor": 2.0}
    assert found["random / single"] == {"clock": 1.0, "processor": 1.0}


@pytest.mark.thorough
def test_it_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "switching.json"
    options = [
        "--tasks=2",
        "--batch-size=4",
        "--rounds=2",
        "--threads=1",
        "--backbone=vit_micro_patch8_32@16",
    ]
    assert script.main([*options, f"--out={out}"]) == 0
    report = json.loads(out.read_text())
    assert report["machine"]["threads"] == 1
    (found,) = report["measurements"]
    assert (len(found["tasks"]), len(found["rounds"]), found["image_size"]) == (2, 2, [16, 16])
    assert set(found["ratios_of_images_per_second"]) == set(script.COMPARED)
    assert found["memory"]["model / (backbone + files)"] <= 1.1
    assert "sequence" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["--batch-size=9"], ["--tasks=0"], ["--out=."], ["--space=none"], ["--backbone=a@b"]]
)
def test_mistakes_are_one_line(options: list[str], capsys: pytest.CaptureFixture[str]):
    assert script.main(options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
