"""``nas-peft evaluate``: a finished run's subnet on labelled folders."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.run.results import SearchResult


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def checkpoint(finished_run: SearchResult) -> Path:
    return Path(finished_run.run) / "subnet.safetensors"


def test_the_test_accuracy_of_the_run(
    checkpoint: Path, finished_run: SearchResult, image_folder: Path, tmp_path: Path
):
    """On the same images: the split of the run is made again from its seed."""
    table, picture = tmp_path / "predictions.csv", tmp_path / "confusion.png"
    shown = evaluate(
        checkpoint, "--dataset", image_folder, "--predictions", table, "--confusion", picture, "--json"
    )
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    (seed,) = finished_run.selected.seeds
    assert found["overall"]["accuracy"]["value"] == pytest.approx(seed.test_accuracy)
    assert found["overall"]["log_loss"]["value"] == pytest.approx(seed.test_loss, rel=1e-4)
    assert "log_loss_calibrated" in found["overall"]
    assert "test part, split off with seed 0" in found["images"]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == sum(c["images"] for c in found["classes"])
    assert all(Path(row["path"]).parent.name == row["class"] for row in rows)
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(seed.test_accuracy)
    with Image.open(picture) as image:
        assert min(image.size) > 300


def test_another_folder_is_evaluated_whole(checkpoint: Path, image_folder: Path, tmp_path: Path):
    for name in ("down", "across"):
        shutil.copytree(image_folder / name, tmp_path / "new" / name)
    shown = evaluate(checkpoint, "--dataset", tmp_path / "new")
    assert shown.exit_code == 0, shown.output
    assert "48 images of" in shown.stdout.replace("\n", " ")
    assert "balanced accuracy %" in shown.stdout
    assert "95% intervals by bootstrap" in shown.stdout


def test_mistakes_of_evaluate(checkpoint: Path, image_folder: Path, tmp_path: Path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    for name in ("cats", "dogs"):
        Image.new("RGB", (32, 32)).save(tmp_path / name / "1.png")
    mistakes = [
        (("--dataset", tmp_path), "has 2 classes that the subnet does not have (such as 'cats')"),
        (("--dataset", "nowhere"), "unknown data set 'nowhere'"),
        (("--dataset", image_folder, "--confusion", "matrix.txt"), "is not a picture"),
        (("--dataset", image_folder, "--predictions", tmp_path / "none" / "a.csv"), "no folder"),
    ]
    for arguments, said in mistakes:
        shown = evaluate(checkpoint, *arguments)
        assert shown.exit_code == 2
        (line,) = shown.stderr.splitlines()
        assert said in line
