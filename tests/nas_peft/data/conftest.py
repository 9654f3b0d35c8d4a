"""Real image files of a known colour, an honest preprocessing, and stand-ins for optional packages."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch import Tensor

from nas_peft.data import timm_datasets


def _to_tensor(image: Image.Image) -> Tensor:
    assert image.mode == "RGB"
    return torch.from_numpy(np.asarray(image.resize((4, 4))).copy()).permute(2, 0, 1).contiguous()


@pytest.fixture
def to_tensor() -> Callable[[Image.Image], Tensor]:
    return _to_tensor


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Writes an image of one colour, creating folders."""

    def write(
        path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (6, 5)
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
        return path

    return write


@pytest.fixture
def write_classes(write_image: Callable[..., Path]) -> Callable[[Path, dict[str, int]], None]:
    """Writes class folders with that many PNG files each; no two images of a folder have the same colour."""

    def write(folder: Path, counts: dict[str, int]) -> None:
        for label, (name, count) in enumerate(counts.items()):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                write_image(folder / name / f"{index:03}.png", (index, label, 7))

    return write


def _png(value: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (5, 5), (value, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


class _StandIn:
    """What is behind the optional packages: splits of (image bytes, label), opened through timm's call."""

    def __init__(self, splits: dict[str, list[tuple[bytes, object]]], classes=("ant", "bee")) -> None:
        self.splits = splits
        self.classes = {name: index for index, name in enumerate(classes)}
        self.opened: list[tuple[str, str, str | None, dict]] = []
        self.features: dict | None = {"img": "image", "label": "class"}
        self.declared: int | None = None

    def create_dataset(self, spec, root, split, **options):
        self.opened.append((spec, split, root, options))
        if split not in self.splits:
            raise ValueError(f"Unknown split {split}\nand more")
        rows = self.splits[split]
        info = SimpleNamespace(splits=dict.fromkeys(self.splits))
        if spec.startswith("hfds/"):
            return SimpleNamespace(reader=_Rows(rows, options["target_key"], info, self.classes))
        stream = _Stream((Image.open(io.BytesIO(image)), label) for image, label in rows)
        stream.reader = SimpleNamespace(
            class_to_idx=self.classes,
            info={"splits": dict.fromkeys(self.splits)},
            builder=SimpleNamespace(info=info),
            num_samples=len(rows) if self.declared is None else self.declared,
        )
        return stream

    def module(self) -> ModuleType:
        module = ModuleType("datasets")
        kinds = {
            "image": type("Image", (), {}),
            "class": type("ClassLabel", (), {}),
            "text": type("Text", (), {}),
        }
        module.Image, module.ClassLabel = kinds["image"], kinds["class"]
        features = self.features and {name: kinds[kind]() for name, kind in self.features.items()}
        module.load_dataset = lambda name, split, cache_dir: SimpleNamespace(features=features)
        info = SimpleNamespace(features=features)
        module.load_dataset_builder = lambda name, cache_dir: SimpleNamespace(info=info)
        return module


class _Rows:
    def __init__(self, rows, target_key, info, classes) -> None:
        self.rows = rows
        self.class_to_idx = classes
        self.dataset = {target_key: [label for _, label in rows]}
        self.dataset = type("Table", (dict,), {"info": info})(self.dataset)

    def __getitem__(self, index):
        image, label = self.rows[index]
        return io.BytesIO(image), label


class _Stream:
    def __init__(self, rows) -> None:
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def _rows(number: int, first: int = 0) -> list[tuple[bytes, int]]:
    return [(_png(first + index), index % 2) for index in range(number)]


@pytest.fixture
def stand_in(monkeypatch):
    """Puts a stand-in with the given splits where timm and the optional packages are looked for."""

    def install(splits, **changes) -> _StandIn:
        made = _StandIn(splits)
        for name, value in changes.items():
            setattr(made, name, value)
        monkeypatch.setattr(timm.data, "create_dataset", made.create_dataset)
        monkeypatch.setattr(timm_datasets, "find_spec", lambda name: object())
        monkeypatch.setitem(sys.modules, "datasets", made.module())
        return made

    return install


@pytest.fixture
def rows() -> Callable[..., list[tuple[bytes, int]]]:
    """Makes that many rows of an encoded image and its label, no two images alike."""
    return _rows
