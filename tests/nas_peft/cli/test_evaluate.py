"""``nas-peft evaluate``: a finished run's subnet on labelled folders."""

import csv
import json
import shutil
from dataclasses import replace
from math import log
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.run.results import SearchResult
from supernet import load_subnet, save_subnet


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
    # the probabilities are those of the calibrated loss
    losses = [-log(float(row["probability_of_class"])) for row in rows]
    assert fmean(losses) == pytest.approx(found["overall"]["log_loss_calibrated"]["value"], rel=1e-3)
    with Image.open(picture) as image:
        assert min(image.size) > 300


@pytest.mark.thorough
def test_images_that_were_trained_on_are_called_so(checkpoint: Path, image_folder: Path):
    """Their accuracy says nothing about other images."""
    for part, said in (
        ("train", "the subnet was trained on them"),
        ("val", "the subnet was trained on them"),
        ("all", "the subnet was trained on most of them"),
    ):
        shown = evaluate(checkpoint, "--dataset", image_folder, "--part", part, "--json")
        assert json.loads(shown.stdout)["images"].endswith(f"; {said})")
    lines = evaluate(checkpoint, "--dataset", image_folder, "--part", "all", "--progress", "json").stdout
    events = [json.loads(line) for line in lines.splitlines()]
    assert events[0]["event"] == "stage"
    assert events[-1].items() > {"event": "result", **json.loads(shown.stdout)}.items()


def test_another_folder_is_evaluated_whole(checkpoint: Path, image_folder: Path, tmp_path: Path):
    for name in ("down", "across"):
        shutil.copytree(image_folder / name, tmp_path / "new" / name)
    shown = evaluate(checkpoint, "--dataset", tmp_path / "new")
    assert shown.exit_code == 0, shown.output
    assert "trained on" not in shown.stdout
    assert "48 images of" in shown.stdout.replace("\n", " ")
    assert "balanced accuracy %" in shown.stdout
    assert "95% intervals over images" in shown.stdout.replace("\n", " ")


def test_the_folder_of_the_run_is_recognised_by_any_path(
    checkpoint: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(image_folder.parent)
    for dataset in (
        image_folder.name,
        f"{image_folder}/",
        f"../{image_folder.parent.name}/{image_folder.name}",
    ):
        shown = evaluate(checkpoint, "--dataset", dataset, "--json")
        assert "(test part, split off with seed 0)" in json.loads(shown.stdout)["images"]


def test_another_draw_than_the_run_s_is_refused(checkpoint: Path, image_folder: Path, tmp_path: Path):
    """Images that were added or removed since would bring images of the training into the test part."""
    folder, own = tmp_path / "stripes", tmp_path / "own.safetensors"
    shutil.copytree(image_folder, folder)
    subnet = load_subnet(checkpoint)
    save_subnet(
        replace(subnet, training={"dataset": subnet.training["dataset"] | {"path": str(folder)}}), own
    )
    assert evaluate(own, "--dataset", folder).exit_code == 0
    shutil.copy(folder / "down" / "00.png", folder / "down" / "new.png")
    for part in ("test", "val"):
        shown = evaluate(own, "--dataset", folder, "--part", part)
        assert shown.exit_code == 2
        assert "another draw tests on images of the training; put the images back" in shown.stderr
    assert evaluate(own, "--dataset", folder, "--part", "all").exit_code == 0


def test_a_moved_data_set_may_be_that_of_the_training(checkpoint: Path, image_folder: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(image_folder, moved)
    for part, said in (
        ("all", "the subnet may have been trained on most of them: its own data set has the same classes"),
        ("train", "the subnet may have been trained on them: its own data set has the same classes"),
        ("test", "split off with seed 0)"),
    ):
        shown = evaluate(checkpoint, "--dataset", moved, "--part", part, "--json")
        assert said in json.loads(shown.stdout)["images"]
    next(moved.rglob("*.png")).unlink()
    shown = evaluate(checkpoint, "--dataset", moved, "--json")
    assert json.loads(shown.stdout)["images"] == f"71 images of '{moved}' (all images)"


def test_folders_are_read_as_search_reads_them(checkpoint: Path, image_folder: Path, tmp_path: Path):
    """Domains above the classes, and a class that is called like a part."""
    for domain, numbers in (("sketch", "0*"), ("photo", "1*")):
        for name in ("down", "across"):
            (tmp_path / domain / name).mkdir(parents=True)
            for file in (image_folder / name).glob(f"{numbers}.png"):
                shutil.copy(file, tmp_path / domain / name)
    shown = evaluate(checkpoint, "--dataset", tmp_path, "--domains", "--json")
    assert shown.exit_code == 0, shown.output
    assert [c["images"] for c in json.loads(shown.stdout)["classes"]] == [20, 20, 0]
    without = evaluate(checkpoint, "--dataset", tmp_path)
    assert "'photo', 'sketch' are the classes, or each of them holds the classes" in without.stderr
    without = evaluate(checkpoint, "--dataset", tmp_path, "--layout", "classes")
    assert "has 2 classes that the subnet does not have (such as 'photo')" in without.stderr
    parts = evaluate(checkpoint, "--dataset", image_folder, "--layout", "parts")
    assert parts.exit_code == 2
    assert "arrange the images as train/CLASS/IMAGE" in parts.stderr


@pytest.mark.thorough
def test_a_contact_sheet_of_mistakes(checkpoint: Path, image_folder: Path, tmp_path: Path):
    sheet = tmp_path / "mistakes.png"
    shown = evaluate(checkpoint, "--dataset", image_folder, "--part", "all", "--mistakes", sheet)
    assert shown.exit_code == 0, shown.output
    with Image.open(sheet) as image:
        assert min(image.size) > 300


@pytest.mark.thorough
def test_unreadable_images_are_left_out_before_the_split(
    checkpoint: Path, image_folder: Path, tmp_path: Path
):
    folder = tmp_path / "stripes"
    shutil.copytree(image_folder, folder)
    (folder / "down" / "99.png").write_text("no image")
    shown = evaluate(checkpoint, "--dataset", folder)
    assert shown.exit_code == 2
    assert "99.png' cannot be decoded" in shown.stderr
    assert "--skip-bad-images" in shown.stderr
    shown = evaluate(checkpoint, "--dataset", folder, "--skip-bad-images", "--json")
    found = json.loads(shown.stdout)["images"]
    said = f"72 images of '{folder}' (all images; unreadable and left out of the data set: 1; the subnet may"
    assert found.startswith(said)
    # a run that left images out has split the others
    subnet = load_subnet(checkpoint)
    record = subnet.training["dataset"] | {"path": str(folder), "skipped": ["down/99.png"]}
    own = tmp_path / "own.safetensors"
    save_subnet(replace(subnet, training={"dataset": record}), own)
    said = evaluate(own, "--dataset", folder)
    assert "left out 1 unreadable images" in said.stderr
    assert evaluate(own, "--dataset", folder, "--skip-bad-images").exit_code == 0


def test_mistakes_of_evaluate(checkpoint: Path, image_folder: Path, tmp_path: Path):
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    (tmp_path / "pets" / "dogs").mkdir()
    for name in ("cats", "dogs"):
        Image.new("RGB", (32, 32)).save(tmp_path / "pets" / name / "1.png")
    (tmp_path / "own").mkdir()
    table, image = tmp_path / "own" / "table.csv", tmp_path / "own" / "image.png"
    shutil.copy(next(image_folder.glob("across/*.png")), image)
    table.write_text(f"path,label\n{image},across\n")
    before = image.read_bytes(), checkpoint.read_bytes()
    mistakes = [
        (("--dataset", tmp_path / "pets"), "has 2 classes that the subnet does not have (such as 'cats')"),
        (("--dataset", "nowhere"), "unknown data set 'nowhere'"),
        (("--dataset", image_folder, "--confusion", "matrix.txt"), "is not a picture"),
        (("--dataset", image_folder, "--mistakes", "sheet.jpg"), "is not a picture"),
        (("--dataset", "digits", "--domains"), "--domains is for class folders"),
        (("--dataset", image_folder, "--device", "tpu"), "device is 'tpu'; give auto, cpu or cuda"),
        (("--dataset", image_folder, "--predictions", tmp_path / "none" / "a.csv"), "no folder"),
        (("--dataset", image_folder, "--predictions", checkpoint), "is a file of the run"),
        (("--dataset", table, "--predictions", table), "is a file that the command reads"),
        (("--dataset", table, "--confusion", image), "is a file that the command reads"),
    ]
    for arguments, said in mistakes:
        shown = evaluate(checkpoint, *arguments)
        assert shown.exit_code == 2
        (line,) = shown.stderr.splitlines()
        assert said in line
    assert (image.read_bytes(), checkpoint.read_bytes()) == before


def test_pictures_that_show_next_to_nothing_are_warned_of(
    checkpoint: Path, image_folder: Path, tmp_path: Path
):
    """Of 12 bits in a file of 16 little more than black is left; the accuracy says nothing then."""
    deep = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    for folder in sorted(image_folder.iterdir()):
        (tmp_path / "set" / folder.name).mkdir(parents=True)
        Image.fromarray(deep * 16).save(tmp_path / "set" / folder.name / "sixteen.png")
    whole = evaluate(checkpoint, "--dataset", tmp_path / "set", "--part", "all", "--json")
    assert (whole.exit_code, "warning" in whole.stderr) == (0, False)
    Image.fromarray(deep).save(tmp_path / "set" / "down" / "twelve.png")
    shown = evaluate(checkpoint, "--dataset", tmp_path / "set", "--part", "all", "--json", "--quiet")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["overall"]
    (warning,) = [line for line in shown.stderr.splitlines() if "warning" in line]
    assert "1 of 4 images have almost a single colour" in warning
    assert "twelve.png'), and their answers mean little; if their files hold more than 8 bits" in warning


def test_names_in_brackets_and_colons_are_names(checkpoint: Path, image_folder: Path, tmp_path: Path):
    subnet = load_subnet(checkpoint)
    own = tmp_path / "own.safetensors"
    names = ("[/b]", "[m3]", ":car:")
    save_subnet(replace(subnet, classes=names), own)
    table = tmp_path / "labels [v2] :car:.csv"
    images = [next((image_folder / name).glob("*.png")) for name in subnet.classes]
    lines = [f"{image},{name}" for image, name in zip(images, names, strict=True)]
    table.write_text("\n".join(["path,label", *lines]))
    shown = evaluate(own, "--dataset", table)
    assert shown.exit_code == 0, shown.output
    assert "labels [v2] :car:.csv" in " ".join(shown.stdout.split())
    for name in names:
        assert any(line.startswith(name) for line in shown.stdout.splitlines())
