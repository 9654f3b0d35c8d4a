"""Data sets that need no folder and no download, for trying the tool."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.splits import draw_stratified
from nas_peft.data.structured_tasks import STRUCTURED_TASKS, list_structured
from search_spaces.errors import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

_SPLIT_SEED = 0
DIGITS = {"train": 800, "val": 200, "test": 797}
"""Number of digits in each part."""
_DIGITS_LARGEST_VALUE = 16


def embedded_names() -> tuple[str, ...]:
    """Names of the data sets that ``load_dataset`` has without a folder or a download, sorted."""
    return tuple(sorted(EMBEDDED))


def list_embedded(name: str, to_tensor: ToTensor) -> Listing:
    """The embedded data set called ``name``.

    Its split is fixed. Seeds change what is learnt from the images, never which images are in the test set,
    so runs with different seeds are comparable.

    Raises:
        InputError: there is no embedded data set of that name.
    """
    if name not in EMBEDDED:
        raise unknown_name("embedded data set", name, EMBEDDED)
    return EMBEDDED[name](to_tensor)


def _digits(to_tensor: ToTensor) -> Listing:
    """1,797 handwritten digits of 8 × 8 pixels, from scikit-learn: the test set of the UCI data.

    https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = np.asarray(bunch.target, dtype=np.int64)
    grey = np.rint(np.asarray(bunch.images) * (255 / _DIGITS_LARGEST_VALUE)).astype(np.uint8)
    classes = tuple(str(name) for name in bunch.target_names)

    def load(index: int) -> Tensor:
        return to_tensor(Image.fromarray(grey[index]).convert("RGB"))

    items = [Item(f"digits[{i}]", int(label), partial(load, i)) for i, label in enumerate(labels)]
    rng = np.random.default_rng(_SPLIT_SEED)
    everything = np.arange(len(items), dtype=np.int64)
    test = draw_stratified(labels, DIGITS["test"], rng, classes=classes, parts=("train", "test"))
    rest = np.setdiff1d(everything, test)
    val = rest[draw_stratified(labels[rest], DIGITS["val"], rng, classes=classes, parts=("train", "val"))]
    train = np.setdiff1d(rest, val)
    how = f"stratified split of all {len(items)} images, fixed (split seed {_SPLIT_SEED}, whatever the seed)"
    return Listing(
        "digits",
        "embedded: digits of scikit-learn",
        classes,
        train=tuple(items[index] for index in train),
        val=tuple(items[index] for index in val),
        test=tuple(items[index] for index in test),
        origin={"train": how, "val": how, "test": how},
        version="1",
    )


EMBEDDED: dict[str, Callable[[ToTensor], Listing]] = {
    "digits": _digits,
    **{name: partial(list_structured, name) for name in STRUCTURED_TASKS},
}
