"""Larger copies of the training images, of which crops are cut."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from nas_peft.data.dataset import ImageDataset
from nas_peft.data.decoding import pixel_limit
from nas_peft.data.findings import without_copies
from nas_peft.data.image_files import register_heic
from nas_peft.data.listing import ToTensor, counted
from nas_peft.data.materialise import materialise
from nas_peft.data.part import Part
from nas_peft.data.source_digest import source_digest
from supernet.images import TwoSizes

FACTOR = 1.25
"""Side of the larger copies, relative to the backbone's images.

A crop shows 0.7 to 1 of a side (`supernet.augmentation.CROP_AREA`), so 1.25 lies in the middle between too
few pixels for the smallest crop and too many for the largest, and costs 1.6 times the space of the images.
"""

_LOOKED_AT = 32  # pictures, evenly spaced, of which the size is read


def with_larger_images(
    dataset: ImageDataset, to_tensor: ToTensor, on_progress: Callable[[int, int], None]
) -> ImageDataset:
    """The data set with a larger copy of each training and validation image beside it (`TwoSizes`).

    ``to_tensor`` is the preprocessing to larger images. Ask `may_be_larger` first. Test images are never
    cropped and stay sealed.

    Raises `InputError` where the disk or the limit of the cache is too small, and `UnreadableImage`.
    """
    origin = dataset.origin
    with pixel_limit(origin.max_pixels):
        listing = replace(origin.listing(to_tensor), test=None)
        key = source_digest(listing, to_tensor, origin.max_pixels)
        decoded = origin.store.decoded(listing, key, None, counted(listing, on_progress))
    larger = without_copies(decoded.parts, origin.dropped)
    both = " and ".join(text for text in (dataset.kept, decoded.kept) if text)
    return replace(
        dataset,
        train=_beside(dataset.train, larger["train"]),
        val=_beside(dataset.val, larger["val"]),
        kept=both,
    )


def seconds_of_larger_images(dataset: ImageDataset, to_tensor: ToTensor) -> float:
    """Seconds that `with_larger_images` will take here, by a few pictures; 0 where nothing is to be decoded.

    That is where larger copies show no more, and where the cache has them.
    """
    if not may_be_larger(dataset):
        return 0.0
    origin = dataset.origin
    with pixel_limit(origin.max_pixels):
        listing = replace(origin.listing(to_tensor), test=None)
        if origin.store.has(source_digest(listing, to_tensor, origin.max_pixels)):
            return 0.0
        items = [item for _, of_part in listing.parts() for item in of_part]
        some = items[:: max(1, len(items) // _LOOKED_AT)]
        started = time.perf_counter()
        materialise(some, lambda: None)
    return (time.perf_counter() - started) / len(some) * len(items)


def may_be_larger(dataset: ImageDataset) -> bool:
    """Whether larger copies show more than the images do, and the data set has none yet.

    They do if the pictures are files with more pixels than the backbone sees: the median of a few pictures'
    shorter sides tells. Streams, archives and images that the product draws are not read again.
    """
    files = dataset.origin.pictures
    if isinstance(dataset.train.images, TwoSizes) or not files:
        return False
    register_heic()
    sides = []
    for file in files[:: max(1, len(files) // _LOOKED_AT)]:
        # what Pillow does not open at once, such as a good picture behind broken metadata, tells no size here
        with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(file) as of:
            sides.append(min(of.size))
    return bool(sides) and statistics.median(sides) > min(dataset.train.images.shape[-2:])


def _beside(part: Part, larger: Part) -> Part:
    return Part(TwoSizes(part.images, larger.images), part.labels)
