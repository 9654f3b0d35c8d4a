"""``nas-peft predict``: probabilities of images, and each mistake as one line."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.cli.predict import SKIPPED
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet, load_subnet, save_subnet

pytestmark = pytest.mark.slow


def predict(*arguments: str | Path, columns: int = 200) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], env={"COLUMNS": str(columns)})


def error_of(result: Result) -> str:
    """The one line that says what is wrong; nothing else is printed."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture(scope="module")
def checkpoint(backbone: Backbone, tmp_path_factory) -> Path:
    """A subnet of three classes, untrained, with a temperature."""
    network = Supernet(backbone.model, Architecture.uniform(8, "prompt_tokens", 2), 3, seed=5).eval()
    with torch.no_grad():
        network.head.weight.mul_(20)
    classes = ("across", "down", "slanting")
    file: Path = tmp_path_factory.mktemp("subnet") / "subnet.safetensors"
    preprocessing = Preprocessing.of(backbone.model)
    save_subnet(Subnet(network, backbone, classes, preprocessing, {}, {}, temperature=2.5), file)
    return file


@pytest.fixture(scope="module")
def second(checkpoint: Path) -> Path:
    """The same subnet with other class names and no temperature."""
    subnet = load_subnet(checkpoint)
    file = checkpoint.with_name("second.safetensors")
    save_subnet(replace(subnet, classes=("x", "y", "z"), temperature=None), file)
    return file


def test_predictions_are_the_subnet_s_calibrated_probabilities(checkpoint: Path, image_folder: Path):
    files = sorted(image_folder.rglob("*.png"))[::30]
    subnet = load_subnet(checkpoint)
    logits = subnet.logits([Image.open(file) for file in files])
    result = predict(checkpoint, *files, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["image"] for line in lines] == [str(file) for file in files]
    for line, row in zip(lines, logits, strict=True):
        assert list(line["classes"].values()) == sorted(line["classes"].values(), reverse=True)
        assert sum(line["classes"].values()) == pytest.approx(1)
        named = [line["classes"][name] for name in subnet.classes]
        assert named == pytest.approx((row / 2.5).softmax(-1).tolist(), abs=1e-6)


def test_a_folder_is_walked_and_shown_as_a_table(checkpoint: Path, image_folder: Path, tmp_path: Path):
    """At any depth, in order of path, whatever the batches; the widths are those of a narrow terminal."""
    folder = tmp_path / "photos"
    shutil.copytree(image_folder / "down", folder / "deep" / "er")
    (folder / "notes.txt").write_text("no image")
    names = sorted(str(path) for path in folder.rglob("*.png"))
    result = predict(checkpoint, folder, columns=220)
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["image", "class", "%", "next"]
    assert [row.split()[0] for row in rows] == names
    assert "left out of the folders, not images: 1 .txt" in result.stderr
    narrow = predict(checkpoint, folder, "--top", "1", columns=60).stdout.splitlines()
    assert max(map(len, narrow)) <= 60
    assert "next" not in narrow[0]


def test_csv_has_a_line_for_each_image(checkpoint: Path, image_folder: Path, tmp_path: Path):
    files = sorted(image_folder.rglob("*.png"))[:3]
    out = tmp_path / "answers.csv"
    result = predict(checkpoint, *files, "--top", "2", "--output", out)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["image"] for row in rows] == [str(file) for file in files]
    assert list(rows[0]) == ["image", "model", "class_1", "probability_1", "class_2", "probability_2"]
    assert float(rows[0]["probability_1"]) >= float(rows[0]["probability_2"])
    assert "\r" not in out.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["answers.csv"]
    assert predict(checkpoint, *files, "--top", "2", "--format", "csv").stdout == out.read_text()


@pytest.mark.thorough
def test_several_subnets_answer_at_once(checkpoint: Path, second: Path, image_folder: Path):
    files = sorted(image_folder.rglob("*.png"))[:2]
    both = predict(checkpoint, files[0], second, files[1], "--format", "json")  # in any order
    lines = [json.loads(line) for line in both.stdout.splitlines()]
    assert [(line["image"], line["model"]) for line in lines] == [
        (str(file), str(model)) for file in files for model in (checkpoint, second)
    ]
    alone = [json.loads(line) for line in predict(second, *files, "--json").stdout.splitlines()]
    assert [line for line in lines if line["model"] == str(second)] == alone
    shown = predict(checkpoint, second, *files, columns=300).stdout.splitlines()
    assert shown[0].split()[:2] == ["image", "model"]


@pytest.mark.thorough
def test_progress_is_on_standard_error_and_on_a_terminal_only(checkpoint: Path, image_folder: Path):
    command = ["predict", str(checkpoint), str(image_folder), "--json"]
    quiet = CliRunner().invoke(app, command)
    shown = CliRunner().invoke(app, command, env={"TTY_COMPATIBLE": "1"})  # as rich sees a terminal
    assert quiet.stderr == ""
    assert "/72" in shown.stderr
    assert shown.stdout == quiet.stdout
    assert len(shown.stdout.splitlines()) == 72


@pytest.mark.thorough
def test_the_number_of_classes_is_limited(checkpoint: Path, image_folder: Path):
    file = sorted(image_folder.rglob("*.png"))[0]
    for top, shown in ((1, 1), (2, 2), (9, 3)):
        result = predict(checkpoint, file, "--top", str(top), "--json")
        classes = json.loads(result.stdout)["classes"]
        assert len(classes) == shown
        assert sum(classes.values()) <= 1 + 1e-6


def test_pictures_that_show_next_to_nothing_are_warned_of(checkpoint: Path, tmp_path: Path):
    """Of 12 bits in a file of 16 little more than black is left; such a picture has an answer."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    draws = np.random.default_rng(0)
    deep = draws.integers(0, 4096, (40, 40)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "twelve.png")
    Image.fromarray(deep * 16).save(folder / "sixteen.png")
    found = predict(checkpoint, folder)
    assert found.exit_code == 0
    (warning,) = [line for line in found.stderr.splitlines() if "warning" in line]
    assert "1 of 2 images have almost a single colour" in warning
    assert "twelve.png" in warning
    assert "if their files hold more than 8 bits, scale them to the full range first" in warning


def test_unreadable_images_are_named_and_left_out(checkpoint: Path, image_folder: Path, tmp_path: Path):
    """The others are answered, and the exit status says that not all were."""
    for name in ("a.png", "c.png"):
        shutil.copy(sorted(image_folder.rglob("*.png"))[0], tmp_path / name)
    (tmp_path / "b.png").write_text("not an image")
    (tmp_path / "d.cr2").write_bytes(b"raw")
    result = predict(checkpoint, tmp_path, "--json")
    assert result.exit_code == SKIPPED
    assert [Path(json.loads(line)["image"]).name for line in result.stdout.splitlines()] == ["a.png", "c.png"]
    assert result.stderr.splitlines() == [
        f"skipped: image '{tmp_path / 'b.png'}' cannot be decoded: it is not an image file",
        "skipped: 1 .cr2 (camera raw; export them as JPEG or PNG)",
        "2 of 4 images were skipped",
    ]
    alone = predict(checkpoint, tmp_path / "b.png", "--max-pixels", "5")
    assert (alone.exit_code, alone.stdout) == (SKIPPED, "")
    large = predict(checkpoint, tmp_path / "a.png", "--max-pixels", "5")
    assert large.exit_code == SKIPPED
    assert "it has 1,024 pixels and the limit is 5" in large.stderr
    Image.new("L", (1, 5000)).save(tmp_path / "line.png")
    line = predict(checkpoint, tmp_path / "line.png")
    assert (line.exit_code, line.stdout) == (SKIPPED, "")
    assert "1 × 5,000 pixels; one side is over 100 times the other" in line.stderr


def test_mistakes_of_predict(checkpoint: Path, image_folder: Path, tmp_path: Path):
    image = sorted(image_folder.rglob("*.png"))[0]
    (tmp_path / "half.safetensors").write_bytes(checkpoint.read_bytes()[:1000])
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    shutil.copy(checkpoint, tmp_path / "run" / "subnet.safetensors")
    (tmp_path / "run" / "config.yaml").write_text("")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("")
    mistakes: list[tuple[list[str | Path], str]] = [
        ([checkpoint, tmp_path / "none.png"], "no image or folder at"),
        ([checkpoint, image, tmp_path / "none.png"], "none.png'; give image files, or folders"),
        ([checkpoint, tmp_path / "empty"], "no image in the folder"),
        ([checkpoint, tmp_path / "notes"], "which holds 1 .txt; give a folder of images"),
        ([checkpoint], "no image is given"),
        ([image, image], "no subnet file is given; its name ends in .safetensors"),
        ([tmp_path / "run", image], f"is a run folder; give its subnet file, {tmp_path / 'run'}/subnet.safe"),
        ([tmp_path / "none.safetensors", image], "no subnet checkpoint at"),
        ([tmp_path / "half.safetensors", image], "is not a whole safetensors file"),
        ([checkpoint, image, "--json", "--format", "csv"], "ask for two formats"),
        ([checkpoint, image, "--output", tmp_path / "none" / "a.csv"], "no folder"),
        ([checkpoint, image, "--output", tmp_path], "is a folder; give the name of a file"),
        ([checkpoint, image, "--output", image], "is a file that the command reads; give another path"),
        ([checkpoint, image, "--output", checkpoint], "is a file that the command reads"),
        ([checkpoint, image, "--device", "tpu"], "device is 'tpu'; give auto, cpu or cuda"),
    ]
    for given, message in mistakes:
        assert message in error_of(predict(*given))


def test_weights_of_the_backbone_are_no_subnet(image_folder: Path, tmp_path: Path, backbone: Backbone):
    from safetensors.torch import save_file

    weights = tmp_path / "vit.safetensors"
    save_file(backbone.model.state_dict(), weights)
    image = sorted(image_folder.rglob("*.png"))[0]
    assert "but no subnet checkpoint" in error_of(predict(weights, image))
