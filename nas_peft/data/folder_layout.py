"""Meaning of a data set's folders: parts, classes or domains."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nas_peft.data.folder_walk import FolderWalk
from nas_peft.data.image_files import shown_name, why_no_image
from nas_peft.data.part_names import part_named, part_within
from search_spaces.errors import InputError

Layout = Literal["auto", "parts", "classes"]
"""``parts``: PART/CLASS/IMAGE; ``classes``: CLASS/IMAGE; ``auto``: decided by the names of the folders."""

_NUMBERED = re.compile(r"(.*\D)\d{1,4}")
_YEAR = re.compile(r"(?:19|20)\d\d")


class TwoReadings(InputError):
    """Folders that are classes or groups of classes; ``layout`` is the one that makes them classes."""

    def __init__(self, message: str, layout: Layout) -> None:
        super().__init__(message)
        self.layout = layout


@dataclass(frozen=True)
class FolderLayout:
    """Layout of a data set's folders.

    Attributes:
        parts: the folder of each part; empty if the class folders lie in the root itself.
        notes: sentences on a layout that is not certain, with the option that gives the other layout.
    """

    parts: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_layout(walk: FolderWalk, layout: Layout) -> FolderLayout:
    """Decide whether the folders in the root of ``walk`` are parts or classes.

    They are parts if one of them has the name of a training set, and sub-folders, or if all have longer names
    with a word for a part, and the same sub-folders. Otherwise they are classes, since a class may be called
    "train".

    Raises:
        InputError: two layouts are possible and nothing tells which is meant, two folders have names of one
            part, or ``layout`` asks for parts and there are none.
    """
    if layout == "classes":
        return FolderLayout()
    root = walk.root
    folders = walk.folders(root)
    named, notes = _named_parts(root, folders)
    others = [f for f in folders if f not in named.values() and walk.has_image(f)]
    if others and (within := _parts_within_names(walk, [*named.values(), *others])):
        return within
    if "train" in named and walk.folders(named["train"]):
        if layout == "auto" and others:
            return _parts_or_classes(walk, named, others, notes)
        return FolderLayout(named, notes)
    if layout == "parts" or (named and not [f for f in folders if f not in named.values()]):
        present = ", ".join(sorted(shown_name(folder.name) for folder in folders)) or "no folders"
        raise InputError(
            f"folder '{root}' has {present} but no class folders in 'train'; "
            "arrange the images as train/CLASS/IMAGE, or give --layout classes if these are the classes"
        )
    unclear = [f for part, f in named.items() if part != "train" and walk.has_image(f)]
    if unclear and others:
        name = shown_name(unclear[0].name)
        raise InputError(
            f"folder '{root}' has class folders and '{name}', which is the name of a part: give --layout "
            f"classes if '{name}' is a class; otherwise move '{name}' out of the folder, or arrange the "
            "images as train/CLASS/IMAGE beside it"
        )
    return FolderLayout()


def _named_parts(root: Path, folders: list[Path]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Folders with names of parts, and a note if a name could mean another part."""
    by_part: dict[str, list[Path]] = {}
    for folder in folders:
        if part := part_named(shown_name(folder.name)):
            by_part.setdefault(part, []).append(folder)
    notes: tuple[str, ...] = ()
    evaluation = [f for f in by_part.get("val", []) if f.name.casefold().startswith("eval")]
    if evaluation and "test" not in by_part:
        name = evaluation[0].name
        if len(by_part["val"]) == 2:
            by_part["val"].remove(evaluation[0])
            by_part["test"] = evaluation
            notes = (f"'{name}' is read as the test set, as '{by_part['val'][0].name}' is for validation",)
        else:
            notes = (f"'{name}' is read as the validation set; call it 'test' if it is the test set",)
    return _one_folder_each(root, by_part), notes


def _one_folder_each(root: Path, by_part: dict[str, list[Path]]) -> dict[str, Path]:
    for part, found in by_part.items():
        if len(found) > 1:
            first, second = (shown_name(folder.name) for folder in found[:2])
            raise InputError(
                f"folder '{root}' has two {part} folders, '{first}' and '{second}'; keep one of them, "
                "or give --layout classes if these are classes"
            )
    return {part: found[0] for part, found in by_part.items()}


def _parts_within_names(walk: FolderWalk, folders: list[Path]) -> FolderLayout | None:
    """Parts whose folders all have a word for a part in longer names, as ``pets_train`` and ``pets_test``.

    ``None`` unless there is a training set, another part, and the same class folders in all.
    """
    by_part: dict[str, list[Path]] = {}
    for folder in folders:
        by_part.setdefault(part_within(shown_name(folder.name)) or "", []).append(folder)
    if "" in by_part or "train" not in by_part or len(by_part) < 2:
        return None
    inside = [{shown_name(child.name) for child in walk.folders(folder)} for folder in folders]
    if len(set.intersection(*inside)) < 2:
        return None
    parts = _one_folder_each(walk.root, by_part)
    read = ", ".join(f"'{shown_name(folder.name)}' as {part}" for part, folder in parts.items())
    return FolderLayout(parts, (f"parts: {read}; give --layout classes if these are classes",))


def _parts_or_classes(
    walk: FolderWalk, named: dict[str, Path], others: list[Path], notes: tuple[str, ...]
) -> FolderLayout:
    """Layout where other folders with images lie beside folders with names of parts."""
    beside = ", ".join(f"'{shown_name(folder.name)}'" for folder in others[:3])
    train = shown_name(named["train"].name)
    inside = {shown_name(child.name) for child in walk.folders(named["train"])}
    alike = all({shown_name(child.name) for child in walk.folders(f)} & inside for f in others)
    if alike and len(named) == 1:
        return FolderLayout(
            notes=(
                f"'{train}' is read as a class, as {beside} beside it {_have(others)} sub-folders of "
                f"the same names; give --layout parts if '{train}' is the training set",
            )
        )
    tested = [folder for part, folder in named.items() if part != "train"]
    confirmed = any({shown_name(child.name) for child in walk.folders(f)} & inside for f in tested)
    if alike or not confirmed:
        raise InputError(
            f"folder '{walk.root}' can be read in two ways: '{train}' is the training set, or a class like "
            f"{beside} beside it; give --layout parts or --layout classes"
        )
    for folder in others:
        walk.leave_out(folder, "folders beside the parts")
    return FolderLayout(
        named,
        (
            *notes,
            f"{beside} beside the parts {'is' if len(others) == 1 else 'are'} not read; "
            "give --layout classes if all of these are classes",
        ),
    )


def require_no_parts_below(walk: FolderWalk, classes: dict[str, list[Path]]) -> None:
    """Raise `InputError` if class folders hold part folders, CLASS/train/IMAGE, which would be pooled."""
    found = []
    for folders in classes.values():
        inside = [child for folder in folders for child in walk.folders(folder)]
        if "train" in {part_named(shown_name(child.name)) for child in inside} and len(inside) > 1:
            found.append(folders[0])
    if len(found) > 1:
        raise InputError(
            f"the class folders of '{walk.root}' hold part folders (such as '{shown_name(found[0].name)}/"
            "train'), which must be above them: arrange the images as PART/CLASS/IMAGE, or give --layout "
            "classes to pool the parts of each class"
        )


def classes_or_groups(walk: FolderWalk, classes: dict[str, list[Path]], layout: Layout) -> tuple[str, ...]:
    """A note if all class folders have the same sub-folders, which may then be the classes.

    Domains, copies (``original``, ``augmented``), folds, and parts whose names are not known lie above the
    classes in this way; read as the classes they would give a model that tells them apart. Folders by camera
    or session lie below the classes in the same way.

    Raises:
        TwoReadings: ``layout`` is ``auto``, and the names do not show that the sub-folders only divide the
            images of a class.
    """
    inside = [
        {shown_name(child.name) for folder in folders for child in walk.folders(folder)}
        for folders in classes.values()
    ]
    shared = sorted(set.intersection(*inside)) if inside else []
    if len(shared) < 2:
        return ()
    names, below = _listed(list(classes)), _listed(shared)
    rename = "call the folders train, val and test if they are parts"
    if layout != "auto" or _only_divide(walk, classes, shared):
        return (
            f"{names} are read as the classes, with all images in their sub-folders; each has {below}: "
            f"give --domains if {_joined(shared)} are the classes, or {rename}",
        )
    trained = [name for name in classes if part_named(name) == "train"]
    alone = f", --layout parts if '{trained[0]}' alone is the training set" if trained else ""
    above = next(iter(classes.values()))[0].parent
    as_given: Layout = "classes" if above == walk.root else "parts"
    raise TwoReadings(
        f"folder '{above}' can be read in two ways: {names} are the classes, or each of them holds the "
        f"classes {below}; give --layout {as_given} if they are the classes, --domains if they are "
        f"domains{alone}, or {rename}",
        as_given,
    )


def _only_divide(walk: FolderWalk, classes: dict[str, list[Path]], shared: list[str]) -> bool:
    """Whether the sub-folders ``shared`` by all ``classes`` divide the images of a class, by their names.

    They do if they differ by a number alone, as ``cam1`` and ``cam2``, unless the folders above them do so as
    well, or are called like parts; a class may be a train. They do if images lie beside them. Letters divide
    three classes or more: two folders are rather copies or parts of one data set.
    """
    above = [folder for folders in classes.values() for folder in folders]
    if any(path.is_file() and why_no_image(path) is None for folder in above for path in walk.files(folder)):
        return True
    if _differ_by_number(list(classes)):
        return False
    if any(part_named(name) for name in classes if name.casefold() != "train"):
        return False
    if _differ_by_number(shared):
        return True
    return len(classes) > 2 and all(len(name) == 1 and name.isalpha() for name in shared)


def _differ_by_number(names: list[str]) -> bool:
    """Whether all names are one word with a short number (``fold0``, ``fold1``), or all are years."""
    if all(_YEAR.fullmatch(name) for name in names):
        return True
    words = {found[1].casefold() if (found := _NUMBERED.fullmatch(name)) else "" for name in names}
    return len(words) == 1 and "" not in words


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{name}'" for name in names[:3]) + more


def _joined(names: list[str]) -> str:
    """At most three names in a sentence, with ``and`` before the last."""
    if len(names) > 3:
        return _listed(names)
    *others, last = [f"'{name}'" for name in names]
    return f"{', '.join(others)} and {last}"


def _have(folders: list[Path]) -> str:
    return "has" if len(folders) == 1 else "have"
