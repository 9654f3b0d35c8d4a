"""A data set as one folder of images per class."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas_peft.data.decoding import read_image
from nas_peft.data.folder_layout import Layout, classes_or_groups, read_layout, require_no_parts_below
from nas_peft.data.folder_walk import FolderWalk
from nas_peft.data.image_files import shown_name, why_no_image
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.part_names import part_named
from nas_peft.data.splits import too_few_images
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

UNLABELLED = "images without labels (no class folders)"
LOOSE = "images beside the class folders"
EMPTY = "folders without images"


def list_class_folders(
    root: Path, to_tensor: ToTensor, *, layout: Layout = "auto", domains: bool = False
) -> Listing:
    """The images below ``root``, by class folder.

    The layout is ``root/CLASS/**/IMAGE`` or ``root/PART/CLASS/**/IMAGE``; `read_layout` tells the two apart,
    and `part_named` lists the names of parts. With ``domains`` there is one more folder above the classes,
    DOMAIN/CLASS/**/IMAGE, and a class takes its images from all domains. Class names and images are sorted. A
    validation or test folder without class folders has no labels and is left out. It may lack classes, or
    have empty folders for them.

    Raises:
        InputError: there are no class folders, two folders for one part, a class without images, a class of
            val or test that train lacks, or two possible layouts.
    """
    walk = FolderWalk(root)
    read = read_layout(walk, layout)
    notes, parts = list(read.notes), dict(read.parts)
    if not parts:
        classes = _class_folders(walk, root, domains)
        if layout == "auto" and domains:
            _require_no_parts_in_domains(walk, classes)
        elif layout == "auto":
            require_no_parts_below(walk, classes)
        if not domains:
            notes += classes_or_groups(walk, classes, layout)
        listed = {
            "train": _items(walk, classes, tuple(classes), ["train", "val", "test"], to_tensor, domains)
        }
    else:
        by_part = {part: _class_folders(walk, folder, domains) for part, folder in parts.items()}
        classes = by_part["train"]
        if not domains:
            notes += classes_or_groups(walk, classes, layout)
        for part in [part for part in parts if part != "train"]:
            lacks = "class folders"
            if not _unlabelled(walk, parts[part], by_part[part], classes):
                lacks, by_part[part] = "images", _without_empty(walk, by_part[part])
                if by_part[part]:
                    continue
            notes.append(f"'{parts[part].name}' has no {lacks}, so it cannot serve as {part}")
            del parts[part], by_part[part]
        missing = [part for part in ("val", "test") if part not in parts]
        for part in parts.keys() - {"train"}:
            _require_counterparts(by_part[part], classes, parts["train"])
        listed = {
            part: _items(
                walk,
                folders,
                tuple(classes),
                ["train", *missing] if part == "train" else [part],
                to_tensor,
                domains,
            )
            for part, folders in by_part.items()
        }
    used = list(read.parts.values()) or [folder for folders in classes.values() for folder in folders]
    return Listing(
        root.name,
        f"class folders in {root}",
        tuple(classes),
        listed["train"],
        listed.get("val"),
        listed.get("test"),
        ignored=_beside(walk, used),
        left_out={reason: tuple(paths) for reason, paths in walk.left_out.items() if paths},
        notes=tuple(notes),
    )


def _class_folders(walk: FolderWalk, base: Path, domains: bool) -> dict[str, list[Path]]:
    """Folders of each class, in order of name; several if domains share it or its name has two spellings."""
    _leave_out_loose(walk, base)
    bases = [base]
    if domains:
        bases = walk.folders(base)
        for domain in bases:
            _leave_out_loose(walk, domain)
    found: dict[str, list[Path]] = {}
    for folder in [child for above in bases for child in walk.folders(above)]:
        if walk.holds_only_other_files(folder):
            walk.leave_out(folder, EMPTY)
        else:
            found.setdefault(shown_name(folder.name), []).append(folder)
    if domains and not found:
        _require_classes_in_domains(walk, bases)
    _require_several_folders(walk, base, found)
    return dict(sorted(found.items()))


def _require_classes_in_domains(walk: FolderWalk, domains: list[Path]) -> None:
    """Raise `InputError` if folders that are read as ``domains`` hold images, as folders of classes do."""
    holding = [
        f"'{shown_name(folder.name)}'"
        for folder in domains
        if any(path.is_file() and why_no_image(path) is None for path in walk.files(folder))
    ]
    if holding:
        more = f" and {len(holding) - 3} more" if len(holding) > 3 else ""
        raise InputError(
            f"--domains needs DOMAIN/CLASS/IMAGE, and {', '.join(holding[:3])}{more} "
            f"{'holds' if len(holding) == 1 else 'hold'} images directly; leave --domains out"
        )


def _require_no_parts_in_domains(walk: FolderWalk, classes: dict[str, list[Path]]) -> None:
    """Raise `InputError` if the folders in the domains are parts, DOMAIN/PART/CLASS/IMAGE."""
    named = [part_named(name) for name in classes]
    if "train" in named and all(named):
        example = f"{shown_name(classes[next(iter(classes))][0].parent.name)}/{', '.join(classes)}"
        raise InputError(
            f"the domains of '{walk.root}' hold part folders (such as {example}), which must be above them: "
            "arrange the images as PART/DOMAIN/CLASS/IMAGE, or give --layout classes if these are the classes"
        )


def _leave_out_loose(walk: FolderWalk, base: Path) -> None:
    for path in walk.files(base):
        if path.is_file() and why_no_image(path) is None:
            walk.leave_out(path, LOOSE)


def _require_several_folders(walk: FolderWalk, base: Path, found: dict[str, list[Path]]) -> None:
    if base != walk.root:
        return
    if not found:
        tables = [path.name for path in walk.files(base) if path.suffix.lower() in (".csv", ".tsv")]
        table = f", or give the table of labels itself: --dataset {base / tables[0]}" if tables else ""
        raise InputError(
            f"folder '{base}' has no class folders; arrange the images as CLASS/IMAGE, one folder per class"
            + table
        )
    if len(found) == 1:
        (only,) = (folders[0] for folders in found.values())
        if len(walk.folders(only)) > 1:
            raise InputError(
                f"folder '{base}' has only one folder, '{shown_name(only.name)}'; if the classes or parts "
                f"are in that one, give --dataset {base / only.name}"
            )


def _unlabelled(
    walk: FolderWalk, folder: Path, found: dict[str, list[Path]], classes: dict[str, list[Path]]
) -> bool:
    """Whether a val or test folder has no labels; its images are then left out.

    A folder has no labels if it has no class folders, or a single one that is not a class of train.
    """
    known = {name.casefold() for name in classes}
    if found and (len(found) > 1 or known & {name.casefold() for name in found}):
        return False
    for path in walk.images(folder):
        walk.leave_out(path, UNLABELLED)
    for unlabelled in walk.left_out.get(UNLABELLED, {}):
        walk.left_out.get(LOOSE, {}).pop(unlabelled, None)
    return True


def _without_empty(walk: FolderWalk, found: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """The class folders of a val or test folder that hold a file; the others count as missing."""
    filled = {name: [f for f in folders if walk.holds_file(f)] for name, folders in found.items()}
    for name, folders in found.items():
        if not filled[name]:
            for folder in folders:
                walk.leave_out(folder, EMPTY)
    return {name: folders for name, folders in filled.items() if folders}


def _require_counterparts(found: dict[str, list[Path]], classes: dict[str, list[Path]], train: Path) -> None:
    strangers = [name for name in found if name not in classes]
    if strangers:
        alike = [name for name in classes if name.casefold() == strangers[0].casefold()]
        hint = f" ('{alike[0]}' differs in case: give both one spelling)" if alike else ""
        raise InputError(
            f"class folder '{found[strangers[0]][0]}' has no counterpart in '{train}'{hint}; "
            "every class needs training images: add them, or take the folder out"
        )


def _items(
    walk: FolderWalk,
    folders: dict[str, list[Path]],
    classes: tuple[str, ...],
    serves: list[str],
    to_tensor: ToTensor,
    domains: bool,
) -> tuple[Item, ...]:
    """The images of one part; with ``domains`` each has the name of the folder above its class.

    ``serves`` names the parts that are made of these images, for the error of a class that has none.
    """
    items: list[Item] = []
    for label, name in enumerate(classes):
        if name not in folders:
            continue
        images = [(path, folder) for folder in folders[name] for path in walk.images(folder)]
        if not images:
            raise _no_images(walk, folders[name][0], serves)
        items.extend(
            Item(
                str(path),
                label,
                partial(_load, path, to_tensor),
                shown_name(folder.parent.name) if domains else None,
                path,
            )
            for path, folder in images
        )
    return tuple(items)


def _no_images(walk: FolderWalk, folder: Path, serves: list[str]) -> InputError:
    error = too_few_images(str(folder), 0, len(serves), serves)
    inside = f"{shown_name(str(folder.relative_to(walk.root)))}/"
    unread = {
        reason: sum(path.startswith(inside) for path in paths) for reason, paths in walk.left_out.items()
    }
    held = ", ".join(f"{count} {reason}" for reason, count in unread.items() if count)
    return InputError(f"{error}; it holds {held}") if held else error


def _load(path: Path, to_tensor: ToTensor) -> Tensor:
    return to_tensor(read_image(path, str(path)))


def _beside(walk: FolderWalk, used: list[Path]) -> tuple[str, ...]:
    """Entries of the root that were not read, except hidden ones."""
    names = {folder.relative_to(walk.root).parts[0] for folder in used}
    beside = [child.name for child in walk.root.iterdir() if child.name not in names]
    return tuple(sorted(shown_name(name) for name in beside if not name.startswith(".")))
