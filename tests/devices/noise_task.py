"""A folder of images and a configuration of seconds, for whole searches on any device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import InProcess
from PIL import Image
from supernet_stages import small_model

from nas_peft.machine.devices import Devices
from nas_peft.main_job import search
from nas_peft.run.results import SearchResult
from nas_peft.settings.search_config import SearchConfig
from supernet import Backbone
from supernet.backbones import weights_digest


def write_noise(folder: Path) -> Path:
    """Three classes of eight noisy images, the later ones brighter."""
    rng = np.random.default_rng(0)
    for number in range(3):
        (folder / str(number)).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(40 * number, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(number) / f"{index}.png")
    return folder


def noise_values(folder: Path) -> dict[str, Any]:
    """The configuration; its budget has room for every single method of two layers."""
    return {
        "dataset": str(folder),
        "budget": "20%",
        "batch_size": 16,
        "supernet_epochs": 1,
        "generations": 2,
        "population": 4,
        "parents": 2,
        "retrain": 1,
        "epochs": 1,
        "head_epochs": 1,
        "linear_epochs": 1,
        "linear_lr": 1e-2,
    }


def search_in_process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., SearchResult]:
    """Runs a whole search with its separate trainings in this process, on a backbone of two layers."""
    values = noise_values(write_noise(folder / "noise"))

    def run(device: str, **changes: Any) -> SearchResult:
        model = small_model("shipped")
        backbone = Backbone("vit_micro_patch8_32", "random", model, weights_digest(model))
        monkeypatch.setattr("nas_peft.run.search_inputs.create_backbone", lambda *given: backbone)
        monkeypatch.setattr("nas_peft.main_job.resolve_devices", lambda *given: Devices(device, device))
        monkeypatch.setattr("nas_peft.protocol.comparison_stage.RayTrainings", InProcess)
        return search(SearchConfig.of(**values | changes), folder / device, device=device)

    return run
