"""Images of a source with their labels and parts, before any image is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a wrong data set is reported before torch is imported
    from PIL import Image
    from torch import Tensor

ToTensor: TypeAlias = "Callable[[Image.Image], Tensor]"
"""The backbone's preprocessing: a PIL image in RGB to uint8 (3, H, W)."""

GIVEN = "given"


@dataclass(frozen=True)
class Item:
    """One image that can be loaded.

    Attributes:
        name: name in errors: the path of the image, or its place in the source.
        label: index into the class names.
        load: decodes the image to uint8 (3, H, W), or raises ``UnreadableImage``.
        domain: the domain that the source names for the image, or None.
        file: the image's file, where it has one of its own; by its size and time a change is noticed.
    """

    name: str
    label: int
    load: Callable[[], Tensor]
    domain: str | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Listing:
    """The images of a data set by part, in a fixed order.

    Splits and few shots are drawn from a listing, so that only images that are used get decoded.

    Attributes:
        name: name of the data set in reports.
        source: origin of the data set, for the record.
        classes: class names; a label is an index into them.
        train: training images.
        val: validation images, or None if the source has none and they must be split off.
        test: test images, or None if the source has none and they must be split off.
        origin: description of how each part was made; parts not named here were given by the source.
        ignored: files and folders beside the data that were not read.
        left_out: paths within the data that were not read, by reason.
        notes: sentences on how the source was read, if it could also be read in another way.
        version: text that changes with the images of a source that has no file for each; ``None`` if nothing
            tells whether they have changed.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: tuple[Item, ...]
    val: tuple[Item, ...] | None
    test: tuple[Item, ...] | None
    origin: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: str | None = None

    def parts(self) -> Iterator[tuple[str, tuple[Item, ...]]]:
        """Name and images of each part that exists."""
        yield "train", self.train
        if self.val is not None:
            yield "val", self.val
        if self.test is not None:
            yield "test", self.test

    def class_counts(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Number of items of each class, shape (number of classes,)."""
        return np.bincount(labels_of(items), minlength=len(self.classes)).astype(np.int64)


def labels_of(items: Sequence[Item]) -> NDArray[np.int64]:
    """Labels of the items, shape (number of items,)."""
    return np.array([item.label for item in items], dtype=np.int64)


def counted(listing: Listing, report: Callable[[int, int], None]) -> Callable[[], None]:
    """A function to call after each image of a listing, which reports the images so far and in all."""
    total = sum(len(items) for _, items in listing.parts())
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        report(done, total)

    return count
