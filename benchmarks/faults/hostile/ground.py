"""Good inputs that hostile ones are made of: images, a finished run, and a folder for each try."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from nas_peft.cli.app import app
from search_spaces.streams import stream

SHORT: dict[str, Any] = {
    "epochs": 1,
    "supernet-epochs": 1,
    "generations": 1,
    "population": 2,
    "linear-epochs": 1,
    "linear-lr": 0.01,
    "head-epochs": 0,
}
"""Options of a search of about a second."""

_PER_CLASS = 5


@dataclass(frozen=True)
class Ground:
    """Folder of small images in two classes, a finished run on it, and the folder of the current try."""

    images: Path
    run: Path
    here: Path

    @property
    def picture(self) -> Path:
        """A good image."""
        return self.images / "ant" / "0.png"

    @property
    def subnet(self) -> Path:
        """A good subnet checkpoint."""
        return self.run / "subnet.safetensors"


def words(options: dict[str, Any]) -> list[str]:
    """The words of a command line for options."""
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def search_words(dataset: Path, out: Path, changed: dict[str, Any] | None = None) -> list[str]:
    """The words of a short search on the CPU without separate trainings."""
    options = {"dataset": dataset, **SHORT, "device": "cpu", "out": out} | (changed or {})
    return ["search", *words(options), "--no-retrain"]


def write_images(folder: Path) -> None:
    """Write two classes of five small noisy images."""
    rng = stream(0, "images of the ground")
    for name, darkest in (("ant", 0), ("bee", 60)):
        (folder / name).mkdir(parents=True)
        for number in range(_PER_CLASS):
            pixels = rng.integers(darkest, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def make_ground(folder: Path) -> Ground:
    """Make the images and the run; tries get folders beside them."""
    ground = Ground(folder / "good" / "images", folder / "good" / "run", folder / "good")
    write_images(ground.images)
    done = CliRunner().invoke(app, search_words(ground.images, ground.run))
    assert done.exit_code == 0, done.output
    return ground
