"""Data sets as a table of image paths and labels: CSV, TSV or text with separators."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nas_peft.data.decoding import read_image
from nas_peft.data.image_files import readable_suffixes, shown_name
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.part_names import part_named, part_within
from nas_peft.data.table_columns import is_header, read_columns
from nas_peft.data.text_lists import class_names, find_file, find_moved, is_absolute, read_text
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
UNLABELLED_ROWS = "rows without a label"
_SEPARATORS = ("\t", ";", ",", "|")
_SPREADSHEET = re.compile(r"\"?sep=.\"?", re.IGNORECASE)  # a first line by which Excel knows the separator
_LINE_END = re.compile(r"\r\n|\r|\n")  # not the further ones of Unicode, which names of files may hold
_MISSING = {"nan", "na", "n/a", "none", "null", "?", "-", "-1"}
_FOLDERS = ("", "images", "train", "img", "imgs", "image", "data", "train_images")


class _Line(NamedTuple):
    number: int
    text: str


class _Cells(NamedTuple):
    line: int
    cells: list[str]


class _Found(NamedTuple):
    """The file of an image; ``moved`` says that the table has another whole path for it."""

    path: Path
    moved: bool


@dataclass(frozen=True)
class _Row:
    path: Path
    text: str
    moved: bool
    label: str
    part: str
    where: str
    domain: str | None


def list_label_table(file: Path, to_tensor: ToTensor) -> Listing:
    """The images that a table lists; each row has a path, a label, and optionally a part.

    The separator is a tab, semicolon, comma or bar, or else the last space of a line. Columns are found by
    `read_columns`: ``path``, ``image``, ``id`` ...; ``label``, ``class`` ...; ``split``, ``set`` ...; a table
    without a header has path, label and part, in this order. A column ``domain`` (or ``environment``,
    ``center``, ``location`` ...) names the domains of the images; rows may have none. Paths are absolute, or
    relative to the table's folder or to a folder such as ``images`` or ``train`` in it; a suffix may be
    missing. Rows without a label are left out. Parts have the names that `part_named` knows.

    Raises:
        InputError: there is no column of paths or of labels, an image is missing or has two labels or parts,
            or a part has another name.
    """
    text, note = read_text(file)
    lines = [_Line(number, line) for number, line in enumerate(_LINE_END.split(text), 1) if line.strip()]
    rows = _cells(file, lines[_lines_before([line.text for line in lines]) :])
    names, rows = _header(file, rows)
    columns = read_columns(str(file), names, [cells for _, cells in rows])
    needed = max(columns.path, columns.label, columns.split or 0, columns.domain or 0)
    found: dict[Path, _Row] = {}
    unlabelled: list[str] = []
    repeated: list[str] = []
    for number, row in rows:
        where = f"{file}:{number}"
        if len(row) <= needed or any(row[len(names) :]):
            raise InputError(
                f"{where}: {len(row)} cells and {len(names)} columns; correct the row, or put cells that "
                "hold the separator into quotation marks"
            )
        label = row[columns.label].strip()
        if not label:
            unlabelled.append(row[columns.path])
            continue
        part = "train" if columns.split is None else _part(row[columns.split], where)
        cell = row[columns.path].strip()
        path, moved = _image(file, cell, where)
        domain = None if columns.domain is None else shown_name(row[columns.domain].strip()) or None
        read = _Row(path, shown_name(cell), moved, label, part, where, domain)
        before = found.setdefault(path, read)
        if moved and before.moved and read.text != before.text:
            raise InputError(
                f"{where}: neither '{read.text}' nor '{before.text}' of {before.where} is there, and both "
                f"are found as '{shown_name(str(path))}'; correct the paths, or put the missing image there"
            )
        if (before.label, before.part) != (label, part):
            raise InputError(
                f"{where}: image '{shown_name(str(path))}' is '{label}' in {part} here and "
                f"'{before.label}' in {before.part} in {before.where}; remove one of the rows"
            )
        if before is not read:
            repeated.append(row[columns.path])
    if not found:
        raise InputError(f"table '{file}' has no rows with a label; it needs a row per image")
    beside = None if any(row.part == "test" for row in found.values()) else _tables_beside(file)
    about = (_moved(list(found.values())), _without_domain(list(found.values())))
    notes = [text for text in (note, *columns.notes, *about, beside) if text]
    return _listing(file, list(found.values()), notes, unlabelled, repeated, to_tensor)


def _listing(
    file: Path,
    rows: list[_Row],
    notes: list[str],
    unlabelled: list[str],
    repeated: list[str],
    to_tensor: ToTensor,
) -> Listing:
    classes, by_label, about = class_names(row.label for row in rows)

    def items(part: str) -> tuple[Item, ...]:
        return tuple(
            Item(
                str(row.path), by_label[row.label], partial(_load, row.path, to_tensor), row.domain, row.path
            )
            for row in rows
            if row.part == part
        )

    return Listing(
        file.stem,
        f"table {file}",
        tuple(shown_name(name) for name in classes),
        items("train"),
        items("val") or None,
        items("test") or None,
        left_out={
            reason: tuple(paths)
            for reason, paths in ((UNLABELLED_ROWS, unlabelled), ("rows that repeat an image", repeated))
            if paths
        },
        notes=(*notes, *(text for text in (about, _missing_labels(classes)) if text)),
    )


def _moved(rows: Sequence[_Row]) -> str | None:
    """A note on images that are not at their paths in the table."""
    moved = [row for row in rows if row.moved]
    if not moved:
        return None
    return (
        f"{len(moved):,} of {len(rows):,} images are not at their paths in the table and are found by the "
        f"ends of these, such as '{moved[0].text}' as '{shown_name(str(moved[0].path))}'"
    )


def _without_domain(rows: Sequence[_Row]) -> str | None:
    """A note on images without a domain in a table that names those of others."""
    none = sum(row.domain is None for row in rows)
    if none in (0, len(rows)):
        return None
    return (
        f"{none:,} of {len(rows):,} images have no domain in the table: no domain that is left out holds "
        "them; fill the cells to change that"
    )


def _tables_beside(file: Path) -> str | None:
    """A note on tables of other parts beside one that is called after the training set."""
    if part_within(file.stem) != "train":
        return None
    others = [
        shown_name(path.name)
        for path in sorted(file.parent.glob(f"*{file.suffix}"))
        if part_within(path.stem) in ("val", "test")
    ]
    if not others:
        return None
    names = " and ".join(f"'{name}'" for name in others[:2])
    return (
        f"{names} beside '{shown_name(file.name)}' {'is' if len(others) == 1 else 'are'} not read; to use "
        "them, put all rows into one table with a column 'split'"
    )


def _missing_labels(classes: Sequence[str]) -> str | None:
    """A note on a class whose name is how programs write a missing value."""
    found = [name for name in classes if name.casefold() in _MISSING]
    if not found:
        return None
    return f"'{found[0]}' is read as a class; leave the cell empty where an image has no label"


def _load(path: Path, to_tensor: ToTensor) -> Tensor:
    return to_tensor(read_image(path, str(path)))


def _lines_before(lines: Sequence[str]) -> int:
    """Number of lines before the table: Excel's separator, and comments, which have other columns."""
    first = next((line for line in lines if not line.startswith("#")), "#")

    def is_before(line: str) -> bool:
        is_comment = line.startswith("#") and first != "#"
        other = any(line.count(separator) != first.count(separator) for separator in _SEPARATORS)
        return (is_comment and other) or _SPREADSHEET.fullmatch(line.strip()) is not None

    return sum(1 for _ in itertools.takewhile(is_before, lines))


def _cells(file: Path, lines: Sequence[_Line]) -> list[_Cells]:
    """The cells of each row, with the number of the row's first line in the file."""
    if not lines:
        raise InputError(f"table '{file}' is empty; it needs a row with path and label per image")
    separator = next((s for s in _SEPARATORS if s in lines[0].text), None)
    if separator is None:
        # Lists of paths and labels with a space: the label is the last word, as paths may hold spaces.
        return [_Cells(line.number, line.text.strip().rsplit(None, 1)) for line in lines]
    reader = csv.reader((line.text for line in lines), delimiter=separator)
    found: list[_Cells] = []
    read = 0  # a cell in quotation marks may go on in the next line
    try:
        for row in reader:
            found.append(_Cells(lines[read].number, [cell.strip() for cell in row]))
            read = reader.line_num
    except csv.Error as error:  # above all a quotation mark that is never closed
        raise InputError(
            f"{file}:{lines[read].number}: {error}; correct the row, or its quotation marks"
        ) from error
    return found


def _header(file: Path, rows: list[_Cells]) -> tuple[list[str], list[_Cells]]:
    """Names of the columns, and the rows of data."""
    names = rows[0].cells
    if not is_header(names) and len(names) in (2, 3) and _find(file, names[0]) is not None:
        return ["path", "label", "split"][: len(names)], rows
    return names, rows[1:]


def _part(text: str, where: str) -> str:
    part = part_named(text)
    if part is None and not text:
        raise InputError(
            f"{where}: the column of parts is empty here; write train, val or test into every row, or take "
            "the column out, and the parts are drawn"
        )
    if part is None:
        raise InputError(f"{where}: '{text}' is not a part; allowed are train, val and test")
    return part


def _find(file: Path, text: str) -> _Found | None:
    bases = [file.parent / folder for folder in _FOLDERS]
    if (found := find_file(bases, text)) is not None:
        return _Found(found, moved=False)
    if is_absolute(text):
        found = find_moved(file.parent, text)
        return None if found is None else _Found(found, moved=True)
    if not Path(text).suffix and (found := find_file(bases, text, sorted(readable_suffixes()))) is not None:
        return _Found(found, moved=False)
    return None


def _image(file: Path, text: str, where: str) -> _Found:
    found = _find(file, text) if text else None
    if found is None:
        raise InputError(
            f"{where}: no such image '{shown_name(text)}' in '{file.parent}'; add the file or remove the row"
        )
    return found
