"""What going through all pixels of a data set has found, kept beside stored images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from nas_peft.data.blank_images import are_blank
from nas_peft.data.duplicates import Duplicates, find_duplicates
from nas_peft.data.image_rows import chunks
from nas_peft.data.listing import Listing
from nas_peft.data.part import Part
from nas_peft.data.picture_hashes import PictureHash


@dataclass(frozen=True)
class Findings:
    """Facts about all images of a data set.

    Attributes:
        duplicates: images that several parts share.
        blank: number of images of almost a single colour.
        blank_example: name of the first of them, or an empty text.
        fingerprint: see `ImageDataset.fingerprint`.
        fingerprint_without_copies: the same without the images that a later part also has.
    """

    duplicates: Duplicates
    blank: int
    blank_example: str
    fingerprint: str
    fingerprint_without_copies: str

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Part],
        listing: Listing,
        hashes: Mapping[str, Sequence[PictureHash | None]],
    ) -> Findings:
        """Go through the images of all ``parts``, which are those of ``listing``, with ``hashes``."""
        names = {part: [item.name for item in items] for part, items in listing.parts()}
        empty = [name for part, of in parts.items() for name in _blank(of, names[part])]
        found, of_all = find_duplicates(parts, names, hashes), fingerprint(listing.classes, parts)
        of_rest = of_all
        if any(found.copies.values()):
            of_rest = fingerprint(listing.classes, without_copies(parts, found.copies))
        return cls(found, len(empty), empty[0] if empty else "", of_all, of_rest)

    @classmethod
    def nothing(cls) -> Findings:
        """Of images in which nothing was looked for."""
        return cls(Duplicates({}, {}, 0, [], {}), 0, "", "", "")

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Findings:
        """The findings from `to_dict`."""
        of = content["duplicates"]
        examples = [(one, other) for one, other in of["examples"]]
        return cls(**{**content, "duplicates": Duplicates(**{**of, "examples": examples})})


def without_copies(parts: Mapping[str, Part], copies: Mapping[str, Sequence[int]]) -> dict[str, Part]:
    """The parts without images that a later part also has, see `Duplicates.copies`."""
    kept = dict(parts)
    for name, indices in copies.items():
        stays = torch.ones(len(parts[name]), dtype=torch.bool)
        stays[list(indices)] = False
        kept[name] = parts[name].take(stays.nonzero().flatten())
    return kept


def fingerprint(classes: tuple[str, ...], parts: Mapping[str, Part]) -> str:
    """SHA-256 over class names, images and labels of all parts, in their order."""
    digest = hashlib.sha256("\n".join(classes).encode())
    for name, part in parts.items():
        digest.update(f"\n{name} {tuple(part.images.shape)}\n".encode())
        for some in chunks(part.images):
            digest.update(some.contiguous().numpy().data)
        digest.update(part.labels.contiguous().numpy().data)
    return digest.hexdigest()


def _blank(part: Part, names: list[str]) -> list[str]:
    found: list[str] = []
    done = 0
    for some in chunks(part.images):
        found += [names[done + index] for index in are_blank(some).nonzero().flatten().tolist()]
        done += len(some)
    return found
