"""Lists of images and labels as editors, spreadsheets and older systems write them."""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

from search_spaces.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(file: Path) -> tuple[str, str | None]:
    """The text of a list, and a note on its encoding if that had to be guessed.

    A text that is not UTF-8 and has no byte-order mark is read as Windows-1252, or as Latin-1 if it holds
    bytes that Windows-1252 does not define.

    Raises:
        InputError: the file holds zero bytes, so it is not text.
    """
    content = file.read_bytes()
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace"), None
    if b"\0" in content:
        raise InputError(f"list '{file}' is not text; save it as text in UTF-8")
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text, f"'{file.name}' is not UTF-8 and is read as Windows-1252"


def find_file(bases: Iterable[Path], text: str, suffixes: Sequence[str] = ("",)) -> Path | None:
    """The first file that a path in a list may mean, or ``None``.

    The path is tried below each of ``bases`` in turn, with each of ``suffixes`` appended: as written, with
    forward slashes if it is a Windows path, in the other Unicode forms, and in Latin-1.
    """
    spellings = [text]
    if "\\" in text:
        spellings.append(PureWindowsPath(text).as_posix())
    for spelling in list(spellings):
        spellings += [unicodedata.normalize(form, spelling) for form in ("NFC", "NFD")]
        try:
            spellings.append(os.fsdecode(spelling.encode("latin-1")))
        except UnicodeEncodeError:
            continue
    for base in bases:
        for spelling in dict.fromkeys(spellings):
            for suffix in suffixes:
                path = base / f"{spelling}{suffix}"
                try:
                    if path.is_file():
                        return path
                except (OSError, ValueError):  # too long, or with a zero byte
                    continue
    return None


def find_moved(base: Path, text: str) -> Path | None:
    """The file below ``base`` that an absolute path meant before its folder moved, or ``None``.

    Of several files, the one that shares the most last components with the path.
    """
    parts = PureWindowsPath(text).parts[1:] if "\\" in text else Path(text).parts[1:]
    tails = (Path(*parts[start:]) for start in range(len(parts)))
    return next((found for tail in tails if (found := find_file([base], str(tail)))), None)


def is_absolute(text: str) -> bool:
    """Whether a path in a list is absolute, on this system or on Windows."""
    return Path(text).is_absolute() or PureWindowsPath(text).is_absolute()


def is_whole_number(text: str) -> bool:
    """Whether the text is a whole number from 0; a spreadsheet's ``3.0`` is one."""
    number = text.removesuffix(".0")
    return number.isascii() and number.isdigit()


def class_names(labels: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int], str | None]:
    """Class names, the class of each label, and a note if labels are numbers other than 0, 1, 2 and so on.

    Labels that are all whole numbers are sorted as numbers, others as text. Only labels that occur are
    classes.
    """
    distinct = set(labels)
    if all(is_whole_number(label) for label in distinct):
        numbers = sorted({int(label.removesuffix(".0")) for label in distinct})
        index = {number: i for i, number in enumerate(numbers)}
        note = None
        if numbers != list(range(len(numbers))):
            note = (
                f"labels are {len(numbers)} numbers from {numbers[0]} to {numbers[-1]}, not 0 to "
                f"{len(numbers) - 1}; each class is named after its number"
            )
        by_label = {label: index[int(label.removesuffix(".0"))] for label in distinct}
        return tuple(str(number) for number in numbers), by_label, note
    names = tuple(sorted(distinct))
    return names, {name: i for i, name in enumerate(names)}, None
