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
    """The text of a list, and a note on its encoding where that is neither UTF-8 nor marked.

    Such a text is read as Windows-1252 (Latin-1 where that has no such byte).

    Raises:
        InputError: it holds zero bytes, as no text does.
    """
    content = file.read_bytes()
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace"), None
    if b"\0" in content:
        raise InputError(f"list '{file}' is no text; save it as text in UTF-8")
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
    """The first file that a list's path means, or ``None``.

    Tried are the path as it stands, relative to each of ``bases`` in turn, with each of ``suffixes``
    appended; a Windows path with forward slashes; and names in the file system's other Unicode forms or in
    Latin-1.
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

    It is the one that agrees with the path in the most last components.
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
    """Class names, the class of each label, and a note where the numbers are not 0, 1, 2 and so on.

    Labels that are all whole numbers are sorted as such, others as texts; only labels that occur are classes.
    """
    distinct = set(labels)
    if all(is_whole_number(label) for label in distinct):
        numbers = sorted({int(label.removesuffix(".0")) for label in distinct})
        index = {number: i for i, number in enumerate(numbers)}
        note = None
        if numbers != list(range(len(numbers))):
            note = (
                f"labels are {len(numbers)} numbers from {numbers[0]} to {numbers[-1]}, not 0 to "
                f"{len(numbers) - 1}; a class is called by its number"
            )
        by_label = {label: index[int(label.removesuffix(".0"))] for label in distinct}
        return tuple(str(number) for number in numbers), by_label, note
    names = tuple(sorted(distinct))
    return names, {name: i for i, name in enumerate(names)}, None
