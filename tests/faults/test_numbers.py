"""Data at the edge: a class that a part lacks, batches of one, one image a class, weights that overflow."""

import shutil
from pathlib import Path

import pytest
from sweep import sweep
from typer.testing import CliRunner, Result

from benchmarks.faults.hostile.ground import Ground, search_words
from nas_peft.cli.app import app
from nas_peft.run.json_file import read_json


def searched(ground: Ground, dataset: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*search_words(dataset, ground.here / "run"), *words])


def in_parts(ground: Ground) -> Path:
    """The images with each part given: three, one and one of each class."""
    folder = ground.here / "parts"
    for name in ("ant", "bee"):
        for index, image in enumerate(sorted((ground.images / name).iterdir())):
            part = ("train", "train", "train", "val", "test")[index]
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(image, folder / part / name)
    return folder


@pytest.mark.parametrize("part", sweep(["val", "test"]))
def test_a_class_that_a_part_lacks_is_no_fault(ground: Ground, part: str):
    folder = in_parts(ground)
    shutil.rmtree(folder / part / "ant")
    done = searched(ground, folder)
    assert done.exit_code == 0, done.output
    results = read_json(ground.here / "run" / "results.json")
    assert results["dataset"]["class_counts"][part] == [0, 1]


@pytest.mark.parametrize(
    "words",
    [
        ("--batch-size", "1"),
        pytest.param(("--batch-size", "5"), marks=pytest.mark.thorough),
        pytest.param(("--shots", "1"), marks=pytest.mark.thorough),
    ],
)
def test_batches_of_one_and_one_image_a_class_are_trained_on(ground: Ground, words: tuple[str, ...]):
    done = searched(ground, in_parts(ground), *words)  # batches of five leave a last one of a single image
    assert done.exit_code == 0, done.output


def test_weights_that_overflow_in_the_last_step_are_one_line(ground: Ground):
    done = searched(ground, ground.images, "--linear-lr", "1e38", "--supernet-lr", "1e38")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: the loss is ") or "not finite" in done.stderr
    assert not (ground.here / "run" / "results.json").exists()
