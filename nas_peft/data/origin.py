"""How the images of a data set were read, so that they can be read again at another size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas_peft.data.decoded_set import ImageStore
from nas_peft.data.listing import Listing, ToTensor
from nas_peft.data.partition import complete, few_shot
from nas_peft.data.source import Reading, list_source


@dataclass(frozen=True)
class Origin:
    """The arguments of `load_dataset` that decide which images there are, and what it left out.

    Attributes:
        spec: name or path of the data set.
        root: folder of timm data sets.
        reading: options for reading class folders.
        seed: seed of the splits and of the draw of ``shots``.
        shots: training images per class; ``None`` for all.
        max_pixels: largest image to decode, in pixels.
        skipped: names of unreadable images that were left out.
        dropped: by part, ascending indices of images that were left out as copies of others.
        pictures: files of the training images, before any were ``dropped``; empty unless each has its own.
        store: where decoded images are kept.
    """

    spec: str
    root: Path | None
    reading: Reading
    seed: int
    shots: int | None
    max_pixels: int
    skipped: Sequence[str]
    dropped: Mapping[str, Sequence[int]]
    pictures: Sequence[Path]
    store: ImageStore

    def listing(self, to_tensor: ToTensor) -> Listing:
        """The same images in the same order, by another preprocessing, with those that were ``dropped``."""
        listing = list_source(self.spec, to_tensor, self.root, self.reading)
        return chosen(without(listing, self.skipped), self.seed, self.shots)


def without(listing: Listing, names: Collection[str]) -> Listing:
    """The listing without the images of these names."""
    gone = set(names)
    parts = {part: tuple(i for i in items if i.name not in gone) for part, items in listing.parts()}
    return replace(listing, train=parts["train"], val=parts.get("val"), test=parts.get("test"))


def chosen(listing: Listing, seed: int, shots: int | None) -> Listing:
    """The listing with all three parts, and of the training images the few shots."""
    listing = complete(listing, seed)
    return listing if shots is None else few_shot(listing, shots, seed)
