"""Decoding of listed images into memory, in order and on several threads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch
from PIL import Image

from nas_peft.data.decoding import UnreadableImage
from nas_peft.data.listing import Item, Listing
from nas_peft.data.part import Part
from nas_peft.data.splits import too_few_images
from search_spaces.errors import InputError

_MOST_THREADS = 8


def materialise(items: Sequence[Item], on_image: Callable[[], None]) -> Part:
    """Decode the items into one part, in their order.

    Args:
        items: at least one item.
        on_image: called after each image, on the calling thread.

    Raises:
        UnreadableImage: an image cannot be decoded; names the first such image in order.
        ValueError: there are no items, or the preprocessing returned another type than uint8, or images of
            different shapes.
    """
    if not items:
        raise ValueError("there is no image to decode")
    images = torch.empty(0)
    with _decoding_threads() as threads:
        for index, image in enumerate(threads.map(lambda item: item.load(), items)):
            if index == 0:
                images = torch.empty((len(items), *image.shape), dtype=torch.uint8)
            if image.dtype != torch.uint8 or image.shape != images.shape[1:]:
                raise ValueError(
                    f"the preprocessing must give uint8 of one shape, {tuple(images.shape[1:])}; it gave "
                    f"{image.dtype} of shape {tuple(image.shape)} for '{items[index].name}'"
                )
            images[index] = image
            on_image()
    return Part(images, torch.tensor([item.label for item in items], dtype=torch.int64))


def without_unreadable(
    listing: Listing, on_progress: Callable[[int, int], None]
) -> tuple[Listing, tuple[str, ...]]:
    """The listing without images that cannot be decoded, and the names of these images.

    All images are decoded once for this and not kept. Splits are drawn afterwards, from readable images only,
    so that no class of a few-shot data set ends up one image short.

    Raises:
        InputError: a class loses its last training image.
    """
    total = sum(len(items) for _, items in listing.parts())
    done = 0
    bad: list[str] = []
    reasons: dict[int, str] = {}
    good: dict[str, tuple[Item, ...]] = {}
    for part, items in listing.parts():
        kept = []
        with _decoding_threads() as threads:
            for item, reason in zip(items, threads.map(_why_unreadable, items), strict=True):
                if reason is None:
                    kept.append(item)
                else:
                    bad.append(item.name)
                    reasons.setdefault(item.label, reason)
                done += 1
                on_progress(done, total)
        good[part] = tuple(kept)
    before, after = listing.class_counts(listing.train), listing.class_counts(good["train"])
    for label, (had, has) in enumerate(zip(before, after, strict=True)):
        if had and not has:
            error = too_few_images(listing.classes[label], 0, 1, ("train",))
            raise InputError(f"{error}; {had} more cannot be decoded, the first because {reasons[label]}")
    return replace(listing, train=good["train"], val=good.get("val"), test=good.get("test")), tuple(bad)


def _why_unreadable(item: Item) -> str | None:
    try:
        item.load()
    except UnreadableImage as error:
        return error.reason
    return None


@contextmanager
def _decoding_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for decoding, on which an oversized image raises instead of printing a warning.

    PIL decodes outside the interpreter lock, so threads suffice. Warning filters are shared by all threads
    and are therefore set once around them, not for every image.
    """
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
