"""Completion of a data set's splits (train, validation, test), and few-shot training sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from nas_peft.data.listing import GIVEN, Item, Listing, labels_of
from nas_peft.data.splits import draw_per_class, draw_stratified
from search_spaces.errors import InputError

HELD_OUT = 0.2
MOST_VAL_SHOTS = 4

# Separate random streams: no split depends on whether another one is made.
_TEST_STREAM, _VAL_STREAM, _SHOTS_STREAM, _VAL_SHOTS_STREAM = range(4)


def require_trainable(listing: Listing) -> None:
    """Raise `InputError` for a split without images, and for training images of a single class."""
    for part, items in listing.parts():
        if not items:
            raise InputError(f"data set '{listing.name}' has no {part} images; add some")
    present = [
        name
        for name, count in zip(listing.classes, listing.class_counts(listing.train), strict=True)
        if count
    ]
    if len(present) < 2:
        raise InputError(
            f"data set '{listing.name}' has training images of 1 class, '{present[0]}'; "
            "at least 2 classes are needed: add a folder or label for another"
        )


def complete(listing: Listing, seed: int) -> Listing:
    """The listing with a validation and a test set, stratified splits of the given images where missing.

    A missing test set takes 20% of all images (of train and of val where val is given; the rest keeps its
    role). A missing validation set then takes 20% of the rest of train.

    Raises:
        InputError: a class has too few images to have one in each split.
    """
    if listing.test is None:
        listing = _split_off_test(listing, seed)
    if listing.val is None:
        listing = _split_off_val(listing, seed)
    return listing


def _split_off_test(listing: Listing, seed: int) -> Listing:
    val = listing.val or ()
    pool = listing.train + val
    in_val = np.repeat(np.array([0, 1], dtype=np.int64), [len(listing.train), len(val)])
    taken = draw_stratified(
        labels_of(pool),
        round(HELD_OUT * len(pool)),
        np.random.default_rng([seed, _TEST_STREAM]),
        classes=listing.classes,
        parts=("train", "val", "test"),
        # Without a validation set, each class needs one more image for the split that follows.
        keep=2 if listing.val is None else 1,
        groups=in_val,
    )
    chosen = set(taken.tolist())
    rest = [index for index in range(len(pool)) if index not in chosen]
    pooled = "train" if listing.val is None else "train and val"
    origin = {**listing.origin, "test": f"stratified split of {pooled}, {HELD_OUT:.0%}, seed {seed}"}
    origin["train"] = "rest of train"
    if listing.val is not None:
        origin["val"] = "rest of val"
    return replace(
        listing,
        train=tuple(pool[index] for index in rest if index < len(listing.train)),
        val=None if listing.val is None else tuple(pool[i] for i in rest if i >= len(listing.train)),
        test=tuple(pool[index] for index in taken),
        origin=origin,
    )


def _split_off_val(listing: Listing, seed: int) -> Listing:
    taken = draw_stratified(
        labels_of(listing.train),
        round(HELD_OUT * len(listing.train)),
        np.random.default_rng([seed, _VAL_STREAM]),
        classes=listing.classes,
        parts=("train", "val"),
    )
    chosen = set(taken.tolist())
    source = listing.origin.get("train", GIVEN)
    pooled = "train" if source == GIVEN else "the rest of train"
    return replace(
        listing,
        train=tuple(item for index, item in enumerate(listing.train) if index not in chosen),
        val=tuple(listing.train[index] for index in taken),
        origin={
            **listing.origin,
            "train": "rest of train",
            "val": f"stratified split of {pooled}, {HELD_OUT:.0%}, seed {seed}",
        },
    )


def require_enough(listing: Listing, seed: int, shots: int | None) -> None:
    """Raise the `InputError` of `require_trainable`, `complete` and `few_shot`, which decode no image."""
    require_trainable(listing)
    completed = complete(listing, seed)
    if shots is not None:
        few_shot(completed, shots, seed)


def few_shot(listing: Listing, shots: int, seed: int) -> Listing:
    """The listing with ``shots`` training images of every class and at most four validation images.

    The protocol of CoOp (Zhou et al. 2021, https://arxiv.org/abs/2109.01134), which NOAH follows: min(shots,
    4) validation images per class, or all where a class has fewer; the test set stays whole.

    Raises:
        InputError: ``shots`` is below 1, or a class has fewer training images.
    """
    if shots < 1:
        raise InputError(f"shots is {shots}; give a whole number from 1 up")
    if listing.val is None:
        raise ValueError("few_shot needs a listing with a validation set; call complete() first")
    counts = listing.class_counts(listing.train)
    scarce = int(np.argmin(counts))
    if counts[scarce] < shots:
        raise InputError(
            f"class '{listing.classes[scarce]}' has {counts[scarce]} training images, fewer than {shots} "
            f"shots; give at most --shots {max(int(counts[scarce]), 1)}, or add images"
        )
    how = f"{{}} per class at random, seed {seed}"
    return replace(
        listing,
        train=_draw(listing.train, shots, seed, _SHOTS_STREAM),
        val=_draw(listing.val, min(shots, MOST_VAL_SHOTS), seed, _VAL_SHOTS_STREAM),
        origin={
            **listing.origin,
            "train": f"{listing.origin.get('train', GIVEN)}; {how.format(shots)}",
            "val": f"{listing.origin.get('val', GIVEN)}; {how.format(f'up to {min(shots, MOST_VAL_SHOTS)}')}",
        },
    )


def _draw(items: tuple[Item, ...], number: int, seed: int, stream: int) -> tuple[Item, ...]:
    drawn: Iterable[int] = draw_per_class(labels_of(items), number, np.random.default_rng([seed, stream]))
    return tuple(items[index] for index in drawn)
