"""``nas-peft predict``: probabilities of images, and each mistake as one line."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet, load_subnet, save_subnet

pytestmark = pytest.mark.slow


def predict(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def error_of(result: Result) -> str:
    """The one line that says what is wrong; nothing else is printed."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture(scope="module")
def checkpoint(backbone: Backbone, tmp_path_factory) -> Path:
    """A subnet of three classes, untrained."""
    network = Supernet(backbone.model, Architecture.uniform(8, "prompt_tokens", 2), 3, seed=5).eval()
    with torch.no_grad():
        network.head.weight.mul_(20)
    classes = ("across", "down", "slanting")
    file: Path = tmp_path_factory.mktemp("subnet") / "subnet.safetensors"
    save_subnet(Subnet(network, backbone, classes, Preprocessing.of(backbone.model), {}, {}), file)
    return file


def test_predictions_are_the_subnet_s_probabilities(checkpoint: Path, image_folder: Path):
    files = sorted(image_folder.rglob("*.png"))[::30]
    subnet = load_subnet(checkpoint)
    expected = subnet.probabilities([Image.open(file) for file in files])
    result = predict(checkpoint, *files, "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["image"] for line in lines] == [str(file) for file in files]
    for line, probabilities in zip(lines, expected, strict=True):
        assert list(line["classes"].values()) == sorted(line["classes"].values(), reverse=True)
        assert sum(line["classes"].values()) == pytest.approx(1)
        named = [line["classes"][name] for name in subnet.classes]
        assert named == pytest.approx(probabilities.tolist(), abs=1e-6)


def test_predictions_for_people(checkpoint: Path, image_folder: Path):
    file = sorted(image_folder.rglob("*.png"))[0]
    subnet = load_subnet(checkpoint)
    (probabilities,) = subnet.probabilities([Image.open(file)])
    best = int(probabilities.argmax())
    result = predict(checkpoint, file, "--top", "1")
    assert result.stdout == f"{file}: {subnet.classes[best]} {float(probabilities[best]):.1%}\n"


def test_the_number_of_classes_is_limited(checkpoint: Path, image_folder: Path):
    file = sorted(image_folder.rglob("*.png"))[0]
    for top, shown in ((1, 1), (2, 2), (9, 3)):
        result = predict(checkpoint, file, "--top", str(top), "--json")
        classes = json.loads(result.stdout)["classes"]
        assert len(classes) == shown
        assert sum(classes.values()) <= 1 + 1e-6


def test_mistakes_of_predict(checkpoint: Path, image_folder: Path, tmp_path: Path):
    image = sorted(image_folder.rglob("*.png"))[0]
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "half.safetensors").write_bytes(checkpoint.read_bytes()[:1000])
    mistakes = [
        (checkpoint, tmp_path / "none.png", "no image at"),
        (checkpoint, tmp_path, "no image at"),
        (checkpoint, tmp_path / "text.png", "text.png' cannot be decoded: it is not an image file"),
        (tmp_path / "none.safetensors", image, "no subnet checkpoint at"),
        (image, image, "is not a whole safetensors file"),
        (tmp_path / "half.safetensors", image, "is not a whole safetensors file"),
    ]
    for file, given, message in mistakes:
        assert message in error_of(predict(file, given))
    remedy = error_of(predict(checkpoint, tmp_path / "text.png"))
    assert remedy.endswith("give image files")  # and not an option that only search has


def test_weights_of_the_backbone_are_no_subnet(image_folder: Path, tmp_path: Path, backbone: Backbone):
    from safetensors.torch import save_file

    weights = tmp_path / "vit.safetensors"
    save_file(backbone.model.state_dict(), weights)
    image = sorted(image_folder.rglob("*.png"))[0]
    assert "but no subnet checkpoint" in error_of(predict(weights, image))


def test_all_images_are_read_before_anything_is_printed(checkpoint: Path, image_folder: Path, tmp_path: Path):
    image = sorted(image_folder.rglob("*.png"))[0]
    result = predict(checkpoint, image, tmp_path / "none.png")
    assert "none.png" in error_of(result)  # which checks that standard output is empty
