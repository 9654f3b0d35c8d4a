"""Decoding of listed images into memory, in order and on several threads."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from nas_peft.data.decoding import UnreadableImage
from nas_peft.data.listing import Item, Listing
from nas_peft.data.part import Part
from nas_peft.data.splits import too_few_images
from nas_peft.machine.container import whole_cores
from search_spaces.errors import InputError

_MOST_THREADS = 8
_AHEAD = 64  # images decoded before they are asked for


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
    for index, image in enumerate(decoded(items)):
        if index == 0:
            images = torch.empty((len(items), *image.shape), dtype=torch.uint8)
        images[index] = image
        on_image()
    return Part(images, labels_tensor(items))


def labels_tensor(items: Sequence[Item]) -> Tensor:
    """The labels of the items: int64 ``(N,)``."""
    return torch.tensor([item.label for item in items], dtype=torch.int64)


def decoded(items: Sequence[Item]) -> Iterator[Tensor]:
    """The images of the items, uint8 of one shape, in their order; few at a time are in memory.

    Raises what `materialise` does.
    """
    shape: torch.Size | None = None
    with _decoding_threads() as threads:
        for item, image in zip(items, _ahead(threads, items), strict=True):
            shape = shape or image.shape
            if image.dtype != torch.uint8 or image.shape != shape:
                raise ValueError(
                    f"the preprocessing must give uint8 of one shape, {tuple(shape)}; it gave "
                    f"{image.dtype} of shape {tuple(image.shape)} for '{item.name}'"
                )
            yield image


def _ahead(threads: ThreadPoolExecutor, items: Sequence[Item]) -> Iterator[Tensor]:
    """The loaded images, in order, with `_AHEAD` on their way: a slow reader does not fill the memory."""
    waiting: deque[Future[Tensor]] = deque()
    for item in items:
        waiting.append(threads.submit(item.load))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True)
class ReadableImages:
    """A listing without images that cannot be decoded, and the names of these images.

    ``lasting`` says that these are damaged. Otherwise the system could not read one of their files, as
    without permission or a network, and the next start may.
    """

    listing: Listing
    unreadable: tuple[str, ...]
    lasting: bool


def without_unreadable(listing: Listing, on_progress: Callable[[int, int], None]) -> ReadableImages:
    """The listing without images that cannot be decoded.

    All images are decoded once for this and not kept. Splits are drawn afterwards, from readable images only,
    so that no class of a few-shot data set ends up one image short.

    Raises:
        InputError: a class loses its last training image.
    """
    total = sum(len(items) for _, items in listing.parts())
    done = 0
    bad: list[str] = []
    reasons: dict[int, str] = {}
    lasting = True
    good: dict[str, tuple[Item, ...]] = {}
    for part, items in listing.parts():
        kept = []
        with _decoding_threads() as threads:
            for item, error in zip(items, threads.map(_why_unreadable, items), strict=True):
                if error is None:
                    kept.append(item)
                else:
                    bad.append(item.name)
                    reasons.setdefault(item.label, error.reason)
                    lasting = lasting and not error.may_pass
                done += 1
                on_progress(done, total)
        good[part] = tuple(kept)
    before, after = listing.class_counts(listing.train), listing.class_counts(good["train"])
    for label, (had, has) in enumerate(zip(before, after, strict=True)):
        if had and not has:
            few = too_few_images(listing.classes[label], 0, 1, ("train",))
            raise InputError(f"{few}; {had} more cannot be decoded, the first because {reasons[label]}")
    readable = replace(listing, train=good["train"], val=good.get("val"), test=good.get("test"))
    return ReadableImages(readable, tuple(bad), lasting)


def _why_unreadable(item: Item) -> UnreadableImage | None:
    try:
        item.load()
    except UnreadableImage as error:
        return error
    return None


@contextmanager
def _decoding_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for decoding, on which an oversized image raises instead of printing a warning.

    PIL decodes outside the interpreter lock, so threads suffice. Warning filters are shared by all threads
    and are therefore set once around them, not for every image.
    """
    pool = ThreadPoolExecutor(min(_MOST_THREADS, whole_cores()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
