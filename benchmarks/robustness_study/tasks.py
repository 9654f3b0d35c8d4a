"""The tasks of the study: their training data, and the shift under which their models are measured."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from search_spaces import InputError

RATIO = 20
"""Images of the largest class over those of the smallest, in a long tail of enough images.

A class keeps one image at least, so that of 10 images of the largest class the ratio is 10.
"""

DOMAINS = ("photo", "art_painting", "cartoon")
OF_CLASS = {"train": 60, "val": 15}
"""Training and validation images of a class and a domain of PACS; the rest are test images."""

HELD_OUT = 3
"""One of so many images of a class is for validation in the long tail."""

NAMES = ("digits", "cifar100", "dtd10", *(f"pacs-{domain}" for domain in DOMAINS), "cifar100-tail")
"""``pacs-cartoon`` is trained on the other two domains and tested on cartoons."""

_TRAIN, _VAL, _BOTH, _TEST = "train800.txt", "val200.txt", "train800val200.txt", "test.txt"


@dataclass(frozen=True)
class StudyTask:
    """A data set as ``nas-peft search`` reads it, and what shifts its test images.

    ``shift`` is ``corruptions``, ``domain`` (with the folder of the ``left_out`` one) or ``rare`` (the third
    of the classes with fewest images). ``about`` says in words what was made of the data.
    """

    name: str
    dataset: str
    shift: Literal["corruptions", "domain", "rare"]
    about: str
    left_out: Path | None = None
    class_balance: str = "none"


def study_task(name: str, data: Path, store: Path) -> StudyTask:
    """The task of a name; tables and lists that it needs are made in ``store``.

    ``data`` is the folder with ``cifar100``, ``dtd10`` and ``pacs``. Raises `InputError` for data that are
    not there and for an unknown name.
    """
    if name not in NAMES:
        raise InputError(f"there is no task '{name}'; give one of {', '.join(NAMES)}")
    if name == "digits":
        return StudyTask(name, name, "corruptions", "all training images")
    source = data / name.partition("-")[0]
    if not source.is_dir():
        raise InputError(f"task '{name}' needs the folder '{source}', which is not there; give --data")
    if name.startswith("pacs-"):
        left_out = name.removeprefix("pacs-")
        others = [domain for domain in DOMAINS if domain != left_out]
        table = _domain_table(store / "data" / f"without_{left_out}.csv", [source / d for d in others])
        about = (
            f"trained on {' and '.join(others)}: {OF_CLASS['train']} training and {OF_CLASS['val']} "
            "validation images of each class and domain"
        )
        return StudyTask(name, str(table), "domain", about, left_out=source / left_out)
    if name == "cifar100-tail":
        folder, about = _long_tail(store / "data" / name, source)
        # whatever is trained without it finds next to none of the rare classes, and nothing can be compared
        return StudyTask(name, str(folder), "rare", about, class_balance="logit-adjusted")
    return StudyTask(name, str(source), "corruptions", "all training images")


def tail_counts(images: int, classes: int) -> list[int]:
    """The number of images of each class of an exponential long tail, from ``images`` down; at least 1."""
    last = max(1, classes - 1)
    return [max(1, round(images * RATIO ** (-label / last))) for label in range(classes)]


def _domain_table(file: Path, domains: Sequence[Path]) -> Path:
    """A table of the images of some domains with fixed parts, drawn by the names of the files."""
    lines = [("path", "label", "domain", "split")]
    for domain in domains:
        for folder in sorted(path for path in domain.iterdir() if path.is_dir()):
            images = sorted(folder.iterdir(), key=lambda image: sha256(image.name.encode()).digest())
            for number, image in enumerate(images):
                held_out = number - OF_CLASS["train"]
                part = "train" if held_out < 0 else "val" if held_out < OF_CLASS["val"] else "test"
                lines.append((str(image.resolve()), folder.name, domain.name, part))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    return file


def _long_tail(folder: Path, source: Path) -> tuple[Path, str]:
    """A task folder of which classes keep ever fewer training and validation images; the test list stays.

    Of the images that a class keeps a third, rounded down, is for validation: a fifth would leave next to
    none to choose by.
    """
    by_class: dict[str, list[str]] = defaultdict(list)
    for name in (_TRAIN, _VAL):
        for line in (source / name).read_text(encoding="utf-8").splitlines():
            by_class[line.rpartition(" ")[2]].append(line)
    labels = sorted(by_class, key=int)
    kept: dict[str, list[str]] = {_TRAIN: [], _VAL: []}
    counts = tail_counts(max(map(len, by_class.values())), len(labels))
    for label, count in zip(labels, counts, strict=True):
        held_out = count // HELD_OUT
        kept[_TRAIN] += by_class[label][: count - held_out]
        kept[_VAL] += by_class[label][count - held_out : count]
    folder.mkdir(parents=True, exist_ok=True)
    lists = {**kept, _BOTH: kept[_TRAIN] + kept[_VAL]}
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for entry in source.iterdir():
        if entry.name not in lists and not os.path.lexists(folder / entry.name):
            (folder / entry.name).symlink_to(entry.resolve())
    about = (
        f"exponential long tail from {counts[0]} images of a class to {counts[-1]}, ratio "
        f"{counts[0] / counts[-1]:g}: "
        f"{len(kept[_TRAIN])} training and {len(kept[_VAL])} validation images are left; logit adjustment"
    )
    return folder, about
