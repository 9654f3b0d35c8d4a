"""The labelled images that a subnet is evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from nas_peft.data.blank_images import are_blank
from nas_peft.data.decoding import UnreadableImage
from nas_peft.data.listing import Item, Listing
from nas_peft.data.materialise import without_unreadable
from nas_peft.data.partition import complete
from nas_peft.data.recorded_source import is_like_recorded, is_recorded, is_recorded_test
from nas_peft.data.source import Reading, list_source
from search_spaces import InputError
from supernet import Subnet

EvaluatedPart: TypeAlias = Literal["test", "val", "train", "all"]
PARTS = get_args(EvaluatedPart)
BATCH = 64


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels in the order of the subnet's classes; ``source`` says in words which they are."""

    items: tuple[Item, ...]
    source: str

    @classmethod
    def of(
        cls,
        subnet: Subnet,
        spec: str,
        part: EvaluatedPart | None = None,
        *,
        root: Path | None = None,
        reading: Reading | None = None,
        skip_bad_images: bool = False,
        own: bool | None = None,
    ) -> LabelledImages:
        """One part of the data set ``spec``.

        By default the test set that the data set has, or that a run splits off the subnet's own data set; all
        images of any other data set without one. Splits that the data set lacks are drawn as in the subnet's
        run, by its seed. With ``skip_bad_images`` all images are decoded once, and the unreadable ones left
        out before the split; else none is decoded here.

        ``source`` also says if the subnet was trained on the images, and if a data set elsewhere has the same
        classes with as many images, so that it may be that of the training.

        ``own`` says whether ``spec`` is the data set of the subnet's run; by default its name or path tells.

        Raises `InputError` for a class that the subnet does not have; if the run has left out unreadable
        images of the same data set before its split and ``skip_bad_images`` is not set; and if splits of the
        same data set are drawn and its images have changed, so that the drawn test part is not the run's.
        """
        listing = list_source(spec, subnet.preprocessing.to_tensor, root, reading or Reading())
        if unknown := [name for name in listing.classes if name not in subnet.classes]:
            raise InputError(
                f"the data set '{spec}' has {len(unknown)} classes that the subnet does not have (such as "
                f"'{unknown[0]}'); the subnet has {', '.join(subnet.classes[:10])}"
            )
        record = subnet.training.get("dataset", {})
        own = is_recorded(spec, record) if own is None else own
        if part is None:
            part = "test" if listing.test is not None or own else "all"
        if own and record.get("skipped") and part != "all" and not skip_bad_images:
            raise InputError(
                f"the subnet's run left out {len(record['skipped'])} unreadable images of '{spec}' before it "
                "split the rest; give --skip-bad-images to get the same split"
            )
        skipped = ""
        if skip_bad_images:
            readable = without_unreadable(listing, lambda done, total: None)
            listing, names = readable.listing, readable.unreadable
            skipped = f"; unreadable and left out of the data set: {len(names)}" if names else ""
        if part == "all":
            items, how = tuple(item for _, of_part in listing.parts() for item in of_part), "all images"
        else:
            whole = complete(listing, int(record.get("seed", 0)))
            if own and listing.test is None:
                _require_test_of_run(whole, subnet.classes, record, spec)
            given = {"train": True, "val": listing.val is not None, "test": listing.test is not None}
            items, how = dict(whole.parts())[part], f"{part} part"
            if not given[part]:
                how += f", split off with seed {int(record.get('seed', 0))}"
        how += skipped
        if part in (*_trained_on(subnet.training), "all"):
            which = "most of them" if part == "all" else "them"
            if own:
                how += f"; the subnet was trained on {which}"
            elif is_like_recorded(listing, subnet.classes, record):
                how += (
                    f"; the subnet may have been trained on {which}: its own data set has the same classes "
                    "with as many images"
                )
        place = [subnet.classes.index(name) for name in listing.classes]
        named = tuple(replace(item, label=place[item.label]) for item in items)
        return cls(named, f"{len(named)} images of '{spec}' ({how})")

    @property
    def labels(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The labels, ``(N,)``."""
        return np.array([item.label for item in self.items], dtype=np.int64)


def _trained_on(training: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts that the weights were trained on, or the members of an average of weights."""
    one = training.get("mean_of", [training.get("training", training)])[0]
    return ("train", "val") if one.get("on") == "train_val" else ("train",)


def _require_test_of_run(
    listing: Listing, classes: Sequence[str], record: Mapping[str, Any], spec: str
) -> None:
    """Raise `InputError` if the drawn test part is not the run's: then it has images of the training."""
    test = listing.test or ()
    by_name = dict(zip(listing.classes, listing.class_counts(test).tolist(), strict=True))
    if not is_recorded_test(test, [by_name.get(name, 0) for name in classes], record):
        raise InputError(
            f"the images of '{spec}' are not those of the subnet's run, whose test part can therefore not be "
            "drawn again: another draw tests on images of the training; put the images back as they were, "
            "read them with the run's --layout, --domains, --skip-bad-images and --max-pixels, or give new "
            "images in a folder of their own"
        )


def logits_of(
    subnet: Subnet, images: LabelledImages, on_blank: Callable[[Item], None] = lambda item: None
) -> Iterator[tuple[Item, Tensor]]:
    """Each readable image with its logits ``(C,)``; only a batch of images is in memory.

    ``on_blank`` is called with an image that shows next to nothing, as pictures of 12 bits in files of 16 do.

    Raises `InputError` with the image's name if one cannot be decoded.
    """
    for start in range(0, len(images.items), BATCH):
        items = images.items[start : start + BATCH]
        try:
            pixels = torch.stack([item.load() for item in items])
        except UnreadableImage as error:
            raise InputError(
                f"image '{error.name}' cannot be decoded: {error.reason}; repair or remove it, or give "
                "--skip-bad-images"
            ) from error
        for index in are_blank(pixels).nonzero().flatten().tolist():
            on_blank(items[index])
        yield from zip(items, subnet.logits_of(pixels), strict=True)
