"""Columns of a table of paths and labels: which is which, by name or by what the cells hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_peft.data.part_names import part_named
from search_spaces.errors import InputError

_PATHS = (
    *("path", "image", "file", "filename", "filepath", "imagepath", "imagefile", "imagename", "img"),
    *("imgpath", "imgname", "name", "imageid", "id", "picture", "photo", "uri"),
)
_LABELS = (
    *("label", "class", "classname", "classid", "target", "category", "categoryname", "species"),
    *("breed", "diagnosis", "classlabel", "labelname", "y"),
)
_SPLITS = ("split", "part", "set", "subset", "partition")
_DOMAINS = (
    *("domain", "domainid", "environment", "env", "hospital", "center", "centre", "site"),
    *("location", "locationremapped", "camera", "region"),
)


@dataclass(frozen=True)
class TableColumns:
    """Numbers of the columns that are read.

    Attributes:
        path: column of the image paths.
        label: column of the labels.
        split: column of the parts, or ``None``.
        domain: column of the domains, or ``None``.
        notes: sentences on a choice that is not certain, with the way to the other one.
    """

    path: int
    label: int
    split: int | None
    domain: int | None
    notes: tuple[str, ...] = ()


def is_header(names: Sequence[str]) -> bool:
    """Whether the cells of a first row are names of columns: two of them are known ones."""
    return sum(_find([name], (*_PATHS, *_LABELS, *_SPLITS)) is not None for name in names) >= 2


def read_columns(table: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> TableColumns:
    """The columns of a table, by their names, whose plurals count alike.

    Without a column called ``split`` or alike, a column whose cells are all names of parts, ``train`` among
    them, has the parts.

    Raises:
        InputError: there is no column of paths or of labels, or several could have the parts.
    """
    path, label, split, domain = (_find(names, known) for known in (_PATHS, _LABELS, _SPLITS, _DOMAINS))
    if path is None or label is None:
        missing = "paths" if path is None else "labels"
        raise InputError(
            f"table '{table}' has no column of {missing} among {', '.join(names)}; call the columns 'path' "
            "and 'label', and if there are parts 'split'"
        )
    notes = [_other_labels(names, rows, label)]
    if split is None:
        of_parts = [at for at in range(len(names)) if at not in (path, label) and _names_parts(rows, at)]
        if len(of_parts) > 1:
            two = " and ".join(f"'{names[at]}'" for at in of_parts[:2])
            raise InputError(
                f"table '{table}' has no column 'split', and the cells of {two} are names of parts; call "
                "the one that is meant 'split'"
            )
        if of_parts:
            split = of_parts[0]
            notes.append(
                f"column '{names[split]}' is read as the parts, as its cells are names of parts; without "
                "that column the parts are drawn"
            )
        else:
            notes.append(_flags(names))
    return TableColumns(path, label, split, domain, tuple(note for note in notes if note))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _find(names: Sequence[str], known: Sequence[str]) -> int | None:
    """The first column that has the first of the known names, in the singular or the plural."""
    plain = [_plain(name) for name in names]
    spelled = (spelling for name in known for spelling in (name, f"{name}s"))
    return next((plain.index(name) for name in spelled if name in plain), None)


def _names_parts(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Whether all cells of a column are names of parts, and of several."""
    cells = {row[column] for row in rows if len(row) > column}
    parts = {part_named(cell) for cell in cells}
    return None not in parts and "train" in parts and len(parts) > 1


def _other_labels(names: Sequence[str], rows: Sequence[Sequence[str]], label: int) -> str | None:
    """A note on another column of labels, unless it says the same in other words."""
    for at, name in enumerate(names):
        if at == label or _find([name], _LABELS) is None:
            continue
        pairs = {(row[label], row[at]) for row in rows if len(row) > max(label, at)}
        if not len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs}):
            return (
                f"the labels are those of column '{names[label]}' and not of '{name}'; to use these, call "
                f"that column 'label' and '{names[label]}' otherwise"
            )
    return None


def _flags(names: Sequence[str]) -> str | None:
    """A note on a column such as ``is_train``, which may tell parts and is not read."""
    for name in names:
        if part_named(name) or (name.casefold().startswith("is") and part_named(name[2:])):
            return (
                f"column '{name}' is not read, and the parts are drawn; if it tells the parts, add a column "
                "'split' with train, val or test in each row"
            )
    return None
