"""A finished run whose data have moved, and one that moved with its data."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from benchmarks.faults.hostile.ground import Ground, search_words
from nas_peft.cli.app import app
from nas_peft.deployment.run_subnet import subnet_of_run


def exported(run: Path, file: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["front", str(run), "--export", str(file), "--device", "cpu", *words])


@pytest.fixture
def moved(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with images and a run that names them by a relative path, moved after the run."""
    project = ground.here / "project"
    shutil.copytree(ground.images, project / "images")
    monkeypatch.chdir(project)
    done = CliRunner().invoke(app, search_words(Path("images"), Path("runs") / "first"))
    assert done.exit_code == 0, done.output
    monkeypatch.chdir(ground.here)
    return project.rename(ground.here / "elsewhere")


@pytest.mark.slow
def test_a_run_is_read_from_any_folder_and_beside_its_data(moved: Path):
    done = exported(moved / "runs" / "first", moved / "subnet.safetensors")
    assert done.exit_code == 0, done.output


@pytest.mark.thorough
def test_data_that_moved_are_named_and_compared(moved: Path):
    run, file = moved / "runs" / "first", moved / "subnet.safetensors"
    away = (moved / "images").rename(moved.parent / "pictures")
    done = exported(run, file)
    assert done.exit_code == 2
    assert "are not at 'images'; give the path where they are now with --dataset" in done.stderr
    assert exported(run, file, "--dataset", f"{away}/").exit_code == 0
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(away / "ant" / "0.png")
    file.unlink()
    other = exported(run, file, "--dataset", str(away))
    assert other.exit_code == 2
    assert "was started with another dataset" in other.stderr
    assert not file.exists()


@pytest.mark.thorough
def test_an_export_of_inherited_weights_takes_the_new_place_of_the_data(moved: Path):
    run, file = moved / "runs" / "first", moved / "candidate.safetensors"
    away = (moved / "images").rename(moved.parent / "pictures")

    def is_inherited(candidate: int) -> bool:
        subnet = subnet_of_run(run, candidate=candidate, dataset=str(away))
        return subnet.training["weights"] == "inherited"

    number = next(filter(is_inherited, (0, 1)))
    form = ["--to", "subnet", "--output", str(file)]
    words = ["export", str(run), "--candidate", str(number), *form]
    advice = "give the path where they are now with --dataset"
    assert advice in CliRunner().invoke(app, words).stderr
    done = CliRunner().invoke(app, [*words, "--dataset", str(away)])
    assert done.exit_code == 0, done.output
    of_file = CliRunner().invoke(app, ["export", str(file), *form, "--dataset", str(away)])
    assert "--dataset is for the data of a run" in of_file.stderr
