"""``nas-peft robustness``: a finished run's models and a file, on corruptions, domains and rare classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.run.config_file import write_config
from nas_peft.run.results import SearchResult


def robustness(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["robustness", *map(str, arguments)], env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def checkpoint(finished_run: SearchResult) -> Path:
    return Path(finished_run.run) / "subnet.safetensors"


@pytest.fixture(scope="module")
def blurred(image_folder: Path, tmp_path_factory) -> Path:
    """Two domains of other images: blurred ones, and turned ones."""
    root: Path = tmp_path_factory.mktemp("shifted") / "domains"
    for file in sorted(image_folder.glob("*/0*.png"))[::3]:
        with Image.open(file) as image:
            for domain, changed in (
                ("blurred", image.filter(ImageFilter.GaussianBlur(1))),
                ("mirrored", image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
            ):
                target = root / domain / file.parent.name
                target.mkdir(parents=True, exist_ok=True)
                changed.save(target / file.name)
    return root


@pytest.mark.thorough
def test_all_models_of_a_run(finished_run: SearchResult, blurred: Path, tmp_path: Path):
    """The clean accuracy is the run's own; every tested row is there, and the picture of all."""
    picture = tmp_path / "robustness.png"
    asked = ("--corruptions", "contrast,jpeg_compression", "--severities", "2,5", "--shifted", blurred)
    shown = robustness(finished_run.run, *asked, "--plot", picture, "--json", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    models = {model["name"]: model for model in found["models"]}
    for row in finished_run.rows:
        if row.tested:
            test = row.seeds[0].test_accuracy
            assert models[row.name]["clean"]["accuracy"] == pytest.approx(test), row.name
    assert models[finished_run.selected.name]["label"].endswith("(exported)")
    assert set(models) | set(found["left_out"]) == {row.name for row in finished_run.rows}
    rows = {row.name: row for row in finished_run.rows}
    alone = {name for name, model in models.items() if model["trained_without_val"]}
    assert alone == {name for name in models if not rows[name].tested and rows[name].error is None}
    one = models[finished_run.selected.name]
    assert list(one["corruptions"]) == ["contrast", "jpeg_compression"]
    assert list(one["corruptions"]["contrast"]["by_severity"]) == ["2", "5"]
    assert set(one["domains"]) == {"blurred", "mirrored"}
    worst = min(scores["accuracy"] for scores in one["domains"].values())
    assert one["worst_domain_accuracy"] == worst <= one["average_domain_accuracy"]
    assert found["corrupted_at_pixels"] == [32, 32]
    with Image.open(picture) as image:
        assert min(image.size) > 300


def test_a_file_in_tables_of_eighty_columns(checkpoint: Path, image_folder: Path, blurred: Path):
    given = (checkpoint, "--dataset", image_folder, "--images", "9", "--severities", "1", "--device", "cpu")
    shown = robustness(*given, "--shifted", f"soft={blurred / 'blurred'}")
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "9 of the" in shown.stdout
    assert "elastic_transform" in shown.stdout
    assert "soft" in shown.stdout
    assert "CIFAR-C" in shown.stdout


def test_rare_classes_have_a_recall_of_their_own(
    checkpoint: Path, finished_run: SearchResult, image_folder: Path, tmp_path: Path, monkeypatch
):
    """Counts are those that the checkpoint's record has of its training images."""
    from nas_peft.robustness import command

    real = command.load_subnet

    def uneven(*arguments, **more):
        subnet = real(*arguments, **more)
        subnet.training["dataset"]["class_counts"]["train"] = [40, 10, 3]
        return subnet

    monkeypatch.setattr(command, "load_subnet", uneven)
    given = (checkpoint, "--dataset", image_folder, "--corruptions", "contrast", "--severities", "1")
    shown = robustness(*given, "--json", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    groups = json.loads(shown.stdout)["models"][0]["class_frequency"]
    assert [(g["name"], g["classes"], g["most"]) for g in groups] == [
        ("many", 1, 40),
        ("medium", 1, 10),
        ("few", 1, 3),
    ]
    table = robustness(*given, "--device", "cpu")
    assert "few (1)" in table.stdout


def test_a_run_is_tested_on_its_test_part_though_its_data_have_moved(
    finished_run: SearchResult, image_folder: Path, tmp_path: Path
):
    """The checkpoint's record names the old place, so that the data are not known as its own by that."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(finished_run.run, run)
    shutil.copytree(image_folder, moved)
    text = (run / "config.yaml").read_text().partition("\n")[2]  # below the checksum
    write_config(run / "config.yaml", text.replace(str(image_folder), str(moved)))
    given = ("--corruptions", "contrast", "--severities", "1", "--json", "--device", "cpu")
    shown = robustness(run, *given)
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    test = finished_run.dataset["counts"]["test"]
    assert found["images"].startswith(f"{test} images of ")
    models = {model["name"]: model["clean"]["accuracy"] for model in found["models"]}
    selected = finished_run.selected
    assert models[selected.name] == pytest.approx(selected.seeds[0].test_accuracy)


@pytest.mark.thorough
def test_a_run_is_tested_with_its_own_limit_of_pixels(finished_run: SearchResult, tmp_path: Path):
    """Images that the run has left out as too large were not in its split."""
    run = tmp_path / "run"
    shutil.copytree(finished_run.run, run)
    text = (run / "config.yaml").read_text().partition("\n")[2]  # below the checksum
    write_config(run / "config.yaml", text.replace("max_pixels: 89478485", "max_pixels: 1000"))
    given = ("--corruptions", "contrast", "--severities", "1", "--json", "--device", "cpu")
    shown = robustness(run, *given)
    assert shown.exit_code == 2
    assert "1,024 pixels" in shown.stderr.replace("\n", " "), shown.stderr


@pytest.mark.thorough
def test_a_run_is_not_tested_on_images_of_its_training(
    finished_run: SearchResult, image_folder: Path, tmp_path: Path
):
    """One image more draws another test part."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(finished_run.run, run)
    shutil.copytree(image_folder, moved)
    shutil.copy(moved / "down" / "00.png", moved / "down" / "new.png")
    text = (run / "config.yaml").read_text().partition("\n")[2]  # below the checksum
    write_config(run / "config.yaml", text.replace(str(image_folder), str(moved)))
    shown = robustness(run, "--corruptions", "contrast", "--severities", "1", "--device", "cpu")
    assert shown.exit_code == 2
    assert "another draw tests on images of the training" in shown.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--corruptions", "speckle_noise"), "'speckle_noise' is kept for choosing"),
        (("--corruptions", "frst"), "did you mean 'frost'"),
        (("--severities", "0,1"), "allowed are 1 to 5"),
        (("--corruptions", "none"), "there is nothing to test on"),
        (("--plot", "picture.png"), "--plot compares the models of a run"),
        (("--images", "2"), "fewer than the 3 classes"),
        (("--shifted", "x=nowhere"), "unknown data set 'nowhere'"),
    ],
)
def test_mistakes_are_one_line_before_the_work(
    arguments: tuple[str, ...], message: str, checkpoint: Path, image_folder: Path
):
    shown = robustness(checkpoint, "--dataset", image_folder, *arguments)
    assert shown.exit_code == 2
    assert message in shown.stderr.replace("\n", " ")
    assert not shown.stdout


def test_what_belongs_to_a_file_or_to_a_run_alone(checkpoint: Path, finished_run: SearchResult):
    assert "give --dataset, or a run folder" in robustness(checkpoint).stderr
    assert "leave them out" in robustness(finished_run.run, "--module-file", "x.py").stderr.replace("\n", " ")
    for option in (("--domains",), ("--max-pixels", "1000")):
        shown = robustness(finished_run.run, *option)
        assert "the run's own data set is read as the run read it" in shown.stderr.replace("\n", " ")


def test_a_shifted_set_of_trained_images_is_refused(checkpoint: Path, image_folder: Path):
    shown = robustness(checkpoint, "--dataset", image_folder, "--shifted", f"x={image_folder}")
    assert shown.exit_code == 2
    assert "are in the data that the models were trained on" in shown.stderr.replace("\n", " ")


def test_trained_images_are_refused_whatever_is_tested_on(
    checkpoint: Path, finished_run: SearchResult, image_folder: Path, blurred: Path, tmp_path: Path
):
    """The record of a file, or the configuration of a run, names them; a copy is one of them."""
    table, copies = tmp_path / "art.csv", tmp_path / "copies"
    images = sorted(image_folder.glob("*/1*.png"))
    lines = ["path,label", *(f"{image},{image.parent.name}" for image in images)]
    table.write_text("\n".join(lines))
    for image in images[::5]:
        target = copies / image.parent.name / f"{image.stem}-copy.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    given = ("--dataset", blurred / "blurred", "--corruptions", "none", "--device", "cpu")
    for source in (checkpoint, finished_run.run):
        for shifted in (table, copies):
            shown = robustness(source, *given, "--shifted", f"art={shifted}")
            assert shown.exit_code == 2, shown.output
            assert "images of the shifted set 'art' are in the data" in shown.stderr.replace("\n", " ")


def test_data_of_the_training_that_are_gone_are_named(
    checkpoint: Path, blurred: Path, monkeypatch: pytest.MonkeyPatch
):
    from nas_peft.robustness import command

    real = command.load_subnet

    def moved(*arguments, **more):
        subnet = real(*arguments, **more)
        subnet.training["dataset"]["path"] = "/nowhere/photos"
        return subnet

    monkeypatch.setattr(command, "load_subnet", moved)
    given = ("--dataset", blurred / "blurred", "--shifted", f"m={blurred / 'mirrored'}")
    shown = robustness(checkpoint, *given, "--corruptions", "none", "--json", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    (note,) = json.loads(shown.stdout)["notes"]
    assert note.startswith("the data set '/nowhere/photos' that the models were trained on is not there")
    assert f"note: {note}" in shown.stderr
    plain = robustness(checkpoint, *given[:2], "--corruptions", "contrast", "--severities", "1", "--json")
    assert json.loads(plain.stdout)["notes"] == []  # nothing was to be compared


def test_a_run_without_results_is_named(finished_run: SearchResult, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(finished_run.run, run)
    (run / "results.json").unlink()
    shown = robustness(run)
    assert shown.exit_code == 2
    assert "has no results yet" in shown.stderr.replace("\n", " ")
