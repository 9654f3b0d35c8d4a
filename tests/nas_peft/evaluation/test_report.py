"""The files that an evaluation writes, whatever the names of images and classes are."""

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image

from nas_peft.evaluation.measures import measure
from nas_peft.evaluation.report import plot_confusion, write_predictions

CLASSES = ("cost$^$us", "$fox", "[/b]")
LABELS = np.array([0, 0, 1, 2, 2, 1])
LOGITS = np.random.default_rng(0).normal(size=(6, 3))


def test_a_file_name_that_is_not_utf8_keeps_its_bytes(tmp_path: Path):
    names = [os.fsdecode(b"photos/caf\xe9.jpg"), *(f"photos/{i}.jpg" for i in range(5))]
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    file = tmp_path / "predictions.csv"
    write_predictions(file, names, shares, LABELS, CLASSES)
    assert b"photos/caf\xe9.jpg,cost$^$us," in file.read_bytes()
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        assert [row["path"] for row in csv.DictReader(lines)] == names


def test_dollars_and_odd_bytes_in_names_are_drawn(tmp_path: Path):
    """matplotlib would read a formula, which these are not, and end with an error."""
    measures = measure(LOGITS, LABELS, CLASSES, 1.0)
    for title in ("6 images of '/data/photos $^$'", os.fsdecode(b"6 images of '/data/caf\xe9'")):
        plot_confusion(tmp_path / "confusion.png", measures, title)
        with Image.open(tmp_path / "confusion.png") as image:
            assert min(image.size) > 300
