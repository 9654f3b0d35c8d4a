"""Labelled images of other domains, which models are tested on beside their own test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas_peft.data.folder_layout import TwoReadings
from nas_peft.data.image_files import shown_name
from nas_peft.data.label_table import TABLE_SUFFIXES
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.source import Reading, list_source
from nas_peft.robustness.own_images import OwnImages
from search_spaces import InputError


@dataclass(frozen=True)
class ShiftedSet:
    """Images of one domain, with labels in the order of the models' classes."""

    name: str
    items: tuple[Item, ...]


def read_shifted_sets(
    given: Sequence[str], classes: Sequence[str], to_tensor: ToTensor, own: OwnImages
) -> tuple[ShiftedSet, ...]:
    """The domains that the texts ``given`` name; no image is decoded.

    ``NAME=PATH`` is one domain: a folder with a folder for each class, or a table of paths and labels. A
    ``PATH`` alone holds several: a folder of the form DOMAIN/CLASS/IMAGE, or a table with a column
    ``domain`` (or another name of such a column, as in the metadata of WILDS). All parts of a source are
    read. A domain may lack classes of the models and may have no others.

    A domain may have none of the models' ``own`` images: a test on what was trained on, or chosen by, says
    nothing about a shift.

    Raises `InputError` for a source that cannot be read, a class that the models do not have, a source
    without domains, two domains of one name, and one of the ``own`` images.
    """
    found: list[ShiftedSet] = []
    for text in given:
        name, separator, path = text.partition("=")
        if separator and not name:
            raise InputError(f"--shifted {text} has no name before the equals sign; give NAME=FOLDER")
        found += _single(name, path, classes, to_tensor) if separator else _several(text, classes, to_tensor)
    names = [one.name for one in found]
    for one in found:
        if names.count(one.name) > 1:
            raise InputError(f"two shifted sets are called '{one.name}'; give each a name of its own")
        if shared := [item.name for item in one.items if own.has(item)]:
            raise InputError(
                f"{len(shared)} images of the shifted set '{one.name}' are in the data that the models were "
                f"trained on, chosen by or tested on, or copies of them (such as '{shown_name(shared[0])}'); "
                "give images of another origin"
            )
    return tuple(found)


def _single(name: str, path: str, classes: Sequence[str], to_tensor: ToTensor) -> list[ShiftedSet]:
    try:
        listing = list_source(path, to_tensor, None, Reading())
    except TwoReadings as error:  # with a name the folder has a folder for each class
        listing = list_source(path, to_tensor, None, Reading(error.layout))
    return [ShiftedSet(name, _labelled(listing, path, classes))]


def _several(path: str, classes: Sequence[str], to_tensor: ToTensor) -> list[ShiftedSet]:
    table = Path(path).suffix.lower() in TABLE_SUFFIXES
    listing = list_source(path, to_tensor, None, Reading() if table else Reading(domains=True))
    items = _labelled(listing, path, classes)
    domains = sorted({item.domain for item in items if item.domain is not None})
    if not domains:
        raise InputError(
            f"'{path}' names no domains; give NAME={path} for a single one, or add a column 'domain' to "
            "a table"
        )
    return [ShiftedSet(name, tuple(i for i in items if i.domain == name)) for name in domains]


def _labelled(listing: Listing, path: str, classes: Sequence[str]) -> tuple[Item, ...]:
    """All images of the listing, with the labels of the models."""
    if unknown := [name for name in listing.classes if name not in classes]:
        raise InputError(
            f"the shifted set '{path}' has the class '{unknown[0]}', which the models do not have; "
            f"theirs are {', '.join(classes[:10])}{' ...' if len(classes) > 10 else ''}; a folder of several "
            "domains is given without a name: --shifted FOLDER"
        )
    place = [list(classes).index(name) for name in listing.classes]
    return tuple(replace(item, label=place[item.label]) for _, part in listing.parts() for item in part)
