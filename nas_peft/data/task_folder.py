"""A task in the form of VTAB-1k: a folder of images with lists of the parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from torch import Tensor

from nas_peft.data.decoding import read_image
from nas_peft.data.listing import Item, Listing, ToTensor
from search_spaces.errors import InputError

TRAIN_LIST = "train800.txt"
_VAL_LIST, _TRAIN_VAL_LIST, _TEST_LIST = "val200.txt", "train800val200.txt", "test.txt"
_CLASS_NAMES = "classes.txt"


@dataclass(frozen=True)
class _Line:
    """One line of a list, and where it stands."""

    path: str
    label: int
    where: str


def is_task_folder(root: Path) -> bool:
    """Whether the folder has the list of training images that a VTAB-1k task has."""
    return (root / TRAIN_LIST).is_file()


def list_task_folder(root: Path, to_tensor: ToTensor) -> Listing:
    """The images named by ``train800.txt``, ``val200.txt`` and ``test.txt``, each line ``path label``.

    Paths are relative to the folder. ``classes.txt`` names the classes in the order of their labels; without
    it a class is called by its number. A class may lack training images: VTAB-1k draws its 1,000 images at
    random.

    Raises:
        InputError: a list is missing or empty, a line is malformed, an image is missing or stands in two
            parts, or ``train800val200.txt`` is not the two lists together. Names the file and the line.
    """
    train, val, both, test = (_read(root, n) for n in (TRAIN_LIST, _VAL_LIST, _TRAIN_VAL_LIST, _TEST_LIST))
    _check_disjoint(train, val)
    _check_union(train | val, both)
    _check_disjoint(train | val, test)
    highest = max(
        (line for part in (train, val, test) for line in part.values()), key=lambda line: line.label
    )

    def items(lines: dict[str, _Line]) -> tuple[Item, ...]:
        return tuple(
            Item(str(root / line.path), line.label, partial(_load, root / line.path, to_tensor))
            for line in lines.values()
        )

    return Listing(
        root.name,
        f"VTAB-1k task folder {root}",
        _class_names(root, highest),
        items(train),
        items(val),
        items(test),
    )


def _load(path: Path, to_tensor: ToTensor) -> Tensor:
    return to_tensor(read_image(path, str(path)))


def _read(root: Path, name: str) -> dict[str, _Line]:
    """The lines of a list by image path, in their order."""
    file = root / name
    if not file.is_file():
        raise InputError(
            f"task folder '{root}' has {TRAIN_LIST} but no {name}; a VTAB-1k task has "
            f"{TRAIN_LIST}, {_VAL_LIST}, {_TRAIN_VAL_LIST} and {_TEST_LIST}"
        )
    lines: dict[str, _Line] = {}
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        line = _parse(root, text, f"{file}:{number}")
        if line.path in lines:
            raise InputError(
                f"{line.where}: image '{line.path}' is listed before, in line "
                f"{lines[line.path].where.rpartition(':')[2]}; remove one of the lines"
            )
        lines[line.path] = line
    if not lines:
        raise InputError(f"list '{file}' is empty; it needs a line 'path label' per image")
    return lines


def _parse(root: Path, text: str, where: str) -> _Line:
    # The label is the last word: a path may hold spaces.
    path, _, label = text.strip().rpartition(" ")
    path = path.strip()
    if not path or not (label.isascii() and label.isdigit()):
        raise InputError(
            f"{where}: '{text.strip()}' is not 'path label' with a label from 0; "
            "write for example 'images/1.jpg 0'"
        )
    if PurePosixPath(path).is_absolute():
        raise InputError(f"{where}: path '{path}' is absolute; write it relative to '{root}'")
    if not (root / path).is_file():
        raise InputError(f"{where}: no such image '{root / path}'; add the file or remove the line")
    return _Line(path, int(label), where)


def _check_disjoint(earlier: dict[str, _Line], later: dict[str, _Line]) -> None:
    for path, line in later.items():
        if path in earlier:
            raise InputError(
                f"{line.where}: image '{path}' is also in {earlier[path].where}; "
                "the parts of a task have no image in common: remove one of the lines"
            )


def _check_union(parts: dict[str, _Line], both: dict[str, _Line]) -> None:
    for path, line in parts.items():
        if path not in both:
            raise InputError(f"{line.where}: image '{path}' is not in {_TRAIN_VAL_LIST}; add it there")
        if both[path].label != line.label:
            raise InputError(
                f"{line.where}: image '{path}' has label {line.label} here and {both[path].label} in "
                f"{both[path].where}; correct one of them"
            )
    for path, line in both.items():
        if path not in parts:
            raise InputError(
                f"{line.where}: image '{path}' is neither in {TRAIN_LIST} nor in {_VAL_LIST}; "
                "add it to one of them or remove the line"
            )


def _class_names(root: Path, highest: _Line) -> tuple[str, ...]:
    file = root / _CLASS_NAMES
    if not file.is_file():
        return tuple(str(label) for label in range(highest.label + 1))
    names = tuple(name.strip() for name in file.read_text(encoding="utf-8").rstrip().splitlines())
    if len(names) <= highest.label:
        raise InputError(
            f"{highest.where}: label {highest.label} has no name, '{file}' names labels 0 to "
            f"{len(names) - 1}; add the missing names in label order"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"list '{file}' names '{twice[0]}' more than once; give each class its own name")
    return names
