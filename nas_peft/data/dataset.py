"""Loading a data set from whatever names it."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.class_folders import list_class_folders
from nas_peft.data.embedded import EMBEDDED, embedded_names, list_embedded
from nas_peft.data.listing import GIVEN, Listing, ToTensor
from nas_peft.data.materialise import materialise, without_unreadable
from nas_peft.data.part import Part
from nas_peft.data.partition import complete, few_shot
from nas_peft.data.sealed import SealedPart
from nas_peft.data.task_folder import is_task_folder, list_task_folder
from nas_peft.data.timm_datasets import TIMM_PREFIXES, is_timm_name, list_timm_dataset
from search_spaces.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A labelled data set in memory, in its three parts.

    Attributes:
        name: what reports call it.
        classes: class names; a label is an index into them.
        train: for training.
        val: for choosing.
        test: sealed; to be opened once, after everything is chosen.
        record: how the data came about, for JSON: ``spec``, ``source``, ``classes`` (number), ``splits``
            (part to text), ``counts`` (part to number), ``shots``, ``seed``, ``skipped`` and ``ignored``
            (lists of names).
        fingerprint: SHA-256 over class names, images and labels of all parts: equal for equal data after
            equal preprocessing, to recognise it when a run is resumed.
    """

    name: str
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: SealedPart
    record: dict[str, object]
    fingerprint: str

    @property
    def train_val(self) -> Part:
        """Train, then val: for the final training, when all choices are made. A copy in new memory."""
        return Part.join([self.train, self.val])


def load_dataset(
    spec: str,
    *,
    to_tensor: ToTensor,
    seed: int = 0,
    shots: int | None = None,
    skip_bad_images: bool = False,
    root: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageDataset:
    """Read, split and decode the data set that ``spec`` names; equal arguments give equal data.

    ``spec`` is the first of these that fits:

    1. a folder: a VTAB-1k task (it has ``train800.txt``), else a folder of class folders, with or without
       ``train``, ``val`` and ``test`` above them;
    2. a name from ``embedded_names()``;
    3. a name of timm: ``torch/``, ``hfds/``, ``hfids/``, ``wds/`` or ``tfds/`` and the name there.

    A part that the source lacks is split off by class: 20% for test, then 20% of the rest for val.

    Args:
        spec: names the data set.
        to_tensor: the backbone's preprocessing, PIL RGB image to uint8 (3, H, W); called on several threads.
        seed: decides the splits that the source does not give, and the few shots; embedded data sets have a
            fixed split.
        shots: training images per class, for few-shot learning; None for all.
        skip_bad_images: leave images that cannot be decoded out and name them in the record, rather than
            raise. Decodes everything twice.
        root: where the data sets of timm lie or are downloaded to.
        on_progress: called with the images decoded so far and in all; with ``skip_bad_images`` it first
            counts through a round of checking.

    Raises:
        InputError: there is no such data set, or its files are not as they should be.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; allowed are whole numbers from 0")
    report = on_progress or _no_report
    listing = _list(spec, to_tensor, root)
    _check_parts(listing)
    skipped: tuple[str, ...] = ()
    if skip_bad_images:
        listing, skipped = without_unreadable(listing, report)
        _check_parts(listing)
    listing = complete(listing, seed)
    if shots is not None:
        listing = few_shot(listing, shots, seed)
    parts = _decode(listing, report)
    return ImageDataset(
        name=listing.name,
        classes=listing.classes,
        train=parts["train"],
        val=parts["val"],
        test=SealedPart(parts["test"]),
        record={
            "spec": spec,
            "source": listing.source,
            "classes": len(listing.classes),
            "splits": {part: listing.origin.get(part, GIVEN) for part in parts},
            "counts": {name: len(part) for name, part in parts.items()},
            "shots": shots,
            "seed": seed,
            "skipped": list(skipped),
            "ignored": list(listing.ignored),
        },
        fingerprint=_fingerprint(listing.classes, parts),
    )


def _list(spec: str, to_tensor: ToTensor, root: Path | None) -> Listing:
    folder = Path(spec).expanduser()
    # The path of an empty text is the working directory, which nobody named.
    if spec and folder.is_dir():
        folder = folder.resolve()
        listed = list_task_folder if is_task_folder(folder) else list_class_folders
        return listed(folder, to_tensor)
    if spec in EMBEDDED:
        return list_embedded(spec, to_tensor)
    if is_timm_name(spec):
        return list_timm_dataset(spec, root, to_tensor)
    raise _no_such_dataset(spec, folder)


def _no_such_dataset(spec: str, path: Path) -> InputError:
    if path.is_file():
        return InputError(
            f"data set '{spec}' is a file, a folder is needed; "
            "unpack it if it is an archive, and give the folder"
        )
    prefixes = ", ".join(f"{prefix}/NAME" for prefix in TIMM_PREFIXES)
    forms = (
        f"give a folder of class folders, a VTAB-1k task folder, an embedded data set "
        f"({', '.join(embedded_names())}), or a timm name ({prefixes})"
    )
    if "/" in spec or "\\" in spec or "." in spec:
        return InputError(f"no such folder '{spec}'; {forms}")
    close = difflib.get_close_matches(spec, embedded_names(), n=1, cutoff=0.4)
    guess = f"; did you mean '{close[0]}'?" if close else "."
    return InputError(f"unknown data set '{spec}'{guess} There is no folder of that name either: {forms}")


def _check_parts(listing: Listing) -> None:
    for part, items in listing.parts():
        if not items:
            raise InputError(f"data set '{listing.name}' has no images in its {part} part; add some")
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


def _decode(listing: Listing, report: Callable[[int, int], None]) -> dict[str, Part]:
    total = sum(len(items) for _, items in listing.parts())
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        report(done, total)

    return {part: materialise(items, count) for part, items in listing.parts()}


def _no_report(done: int, total: int) -> None:
    """For callers that do not watch."""


def _fingerprint(classes: tuple[str, ...], parts: dict[str, Part]) -> str:
    digest = hashlib.sha256("\n".join(classes).encode())
    for name, part in parts.items():
        digest.update(f"\n{name} {tuple(part.images.shape)}\n".encode())
        digest.update(part.images.numpy().data)
        digest.update(part.labels.numpy().data)
    return digest.hexdigest()
