"""Data sets in the form of a VTAB-1k task: a folder of images with a list for each part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas_peft.data.decoding import read_image
from nas_peft.data.image_files import shown_name
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.text_lists import (
    class_names,
    find_file,
    find_moved,
    is_absolute,
    is_whole_number,
    read_text,
)
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

TRAIN_LIST = "train800.txt"
_VAL_LIST, _TRAIN_VAL_LIST, _TEST_LIST = "val200.txt", "train800val200.txt", "test.txt"
_CLASS_NAMES = "classes.txt"


@dataclass(frozen=True)
class _Line:
    """One line of a list, and its place, ``FILE:LINE``."""

    path: str
    label: str
    where: str


def is_task_folder(root: Path) -> bool:
    """Whether the folder has the list of training images that a VTAB-1k task has."""
    return (root / TRAIN_LIST).is_file()


def list_task_folder(root: Path, to_tensor: ToTensor) -> Listing:
    """The images named by ``train800.txt``, ``val200.txt`` and ``test.txt``, each line ``path label``.

    Spaces or a tab separate path and label. Paths are relative to the folder, or absolute and inside it (or
    inside the place where it was before it moved). Labels are numbers or names. ``classes.txt`` names the
    classes in the order of their labels, from 0 or from 1; without this file a class is named after its
    label, and only labels that occur are classes. A class may lack training images: VTAB-1k draws its 1,000
    images at random.

    Raises:
        InputError: a list is missing or empty, a line is malformed, an image is missing or in two parts, or
            ``train800val200.txt`` is not the union of the two lists. Names the file and the line.
    """
    notes: list[str] = []
    train, val, both, test = (
        _read(root, n, notes) for n in (TRAIN_LIST, _VAL_LIST, _TRAIN_VAL_LIST, _TEST_LIST)
    )
    _check_one_kind_of_label([line for part in (train, val, both, test) for line in part.values()])
    _check_disjoint(train, val)
    _check_union(train | val, both)
    _check_disjoint(train | val, test)
    lines = [line for part in (train, val, test) for line in part.values()]
    classes, by_label, note = _classes(root, lines)

    def items(part: dict[str, _Line]) -> tuple[Item, ...]:
        return tuple(
            Item(str(path), by_label[line.label], partial(_load, path, to_tensor), file=path)
            for line in part.values()
            for path in [root / line.path]
        )

    return Listing(
        root.name,
        f"VTAB-1k task folder {root}",
        classes,
        items(train),
        items(val),
        items(test),
        notes=(*dict.fromkeys(notes), *([note] if note else [])),
    )


def _load(path: Path, to_tensor: ToTensor) -> Tensor:
    return to_tensor(read_image(path, str(path)))


def _read(root: Path, name: str, notes: list[str]) -> dict[str, _Line]:
    """The lines of a list by image path, in their order."""
    file = root / name
    if not file.is_file():
        raise InputError(
            f"task folder '{root}' has {TRAIN_LIST} but no {name}; a VTAB-1k task has "
            f"{TRAIN_LIST}, {_VAL_LIST}, {_TRAIN_VAL_LIST} and {_TEST_LIST}"
        )
    text, note = read_text(file)
    notes += [note] if note else []
    lines: dict[str, _Line] = {}
    for number, entry in enumerate(text.splitlines(), start=1):
        if not entry.strip():
            continue
        line = _parse(root, entry, f"{file}:{number}")
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
    # After a tab, a label may hold spaces; without tabs it is the last word, as a path may hold spaces.
    path, _, label = text.strip().rpartition("\t" if "\t" in text.strip() else " ")
    path, label = path.strip().strip('"'), label.strip().strip('"')
    if not path or not label or label.startswith("-"):
        raise _malformed(text, where)
    found = find_moved(root, path) if is_absolute(path) else find_file([root], path)
    if found is None and is_absolute(path):
        raise InputError(
            f"{where}: path '{path}' is absolute and not in '{root}'; write it relative to the folder"
        )
    if found is None:
        raise InputError(
            f"{where}: no such image '{shown_name(str(root / path))}'; add the file or remove the line"
        )
    return _Line(str(found.relative_to(root)), label, where)


def _malformed(text: str, where: str) -> InputError:
    return InputError(
        f"{where}: '{text.strip()}' is not 'path label' with a label from 0; "
        "write for example 'images/1.jpg 0'"
    )


def _check_one_kind_of_label(lines: list[_Line]) -> None:
    words = [line for line in lines if not is_whole_number(line.label)]
    if words and len(words) < len(lines):
        raise _malformed(f"{words[0].path} {words[0].label}", words[0].where)


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


def _classes(root: Path, lines: list[_Line]) -> tuple[tuple[str, ...], dict[str, int], str | None]:
    """Class names, the class of each label, and a note if the labels are not simply 0, 1, 2 and so on."""
    file = root / _CLASS_NAMES
    if not file.is_file():
        return class_names(line.label for line in lines)
    names = tuple(name.strip() for name in read_text(file)[0].rstrip().splitlines())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"list '{file}' names '{twice[0]}' more than once; give each class its own name")
    if not is_whole_number(lines[0].label):
        by_name = {name: index for index, name in enumerate(names)}
        stranger = next((line for line in lines if line.label not in by_name), None)
        if stranger is not None:
            raise InputError(f"{stranger.where}: label '{stranger.label}' is not in '{file}'; add it there")
        return names, by_name, None
    numbers = {line.label: int(line.label.removesuffix(".0")) for line in lines}
    first, last = min(numbers.values()), max(numbers.values())
    if first == 1 and last == len(names):
        note = f"labels are 1 to {last} and '{file.name}' has {last} names: label 1 is '{names[0]}'"
        return names, {label: number - 1 for label, number in numbers.items()}, note
    if last >= len(names):
        highest = next(line for line in lines if numbers[line.label] == last)
        raise InputError(
            f"{highest.where}: label {last} has no name, '{file}' names labels 0 to "
            f"{len(names) - 1}; add the missing names in label order"
        )
    return names, numbers, None
