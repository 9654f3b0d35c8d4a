"""Loading of a data set by name or path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from nas_peft.data.blank_images import blank_warning
from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.decoded_set import ImageStore
from nas_peft.data.decoding import DEFAULT_MAX_PIXELS, pixel_limit
from nas_peft.data.duplicates import Duplicates
from nas_peft.data.findings import Findings, without_copies
from nas_peft.data.folder_layout import Layout
from nas_peft.data.image_files import shown_name
from nas_peft.data.listing import GIVEN, Listing, ToTensor, counted
from nas_peft.data.materialise import without_unreadable
from nas_peft.data.origin import Origin, chosen, without
from nas_peft.data.part import Part
from nas_peft.data.partition import require_trainable
from nas_peft.data.picture_hashes import PictureHashes
from nas_peft.data.recorded_source import names_digest, shown_path
from nas_peft.data.remarks import alike_classes
from nas_peft.data.sealed import SealedPart
from nas_peft.data.source import Reading, list_source
from nas_peft.data.source_digest import source_digest
from nas_peft.data.summary import IMBALANCE
from search_spaces.errors import InputError

_EXAMPLES = 3  # names of left-out files in the record, for each reason


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A labelled data set in its three parts.

    Attributes:
        name: name in reports.
        classes: class names; a label is an index into them.
        train: training set.
        val: validation set, by which choices are made.
        test: sealed test set, to be opened once, after everything is chosen.
        record: origin of the data, JSON-able: ``spec``, ``path`` (whole; None for a name), ``source``,
            ``classes`` (number), ``splits`` (part to text), ``counts`` (part to number), ``class_counts``
            (part to list), ``test_names`` (digest), ``shots``, ``seed``, ``skipped`` and ``ignored`` (lists
            of names), ``left_out`` (reason to number and examples), ``notes`` and ``warnings`` (sentences),
            and ``duplicates`` (see `Duplicates.to_dict`, with the number ``dropped`` by part).
        fingerprint: SHA-256 over class names, images and labels of all parts, by which a resumed run
            recognises its data: equal for equal data after equal preprocessing.
        train_domains: the domain of each training image, or ``None`` where the source names none.
        kept: where the decoded images are and how large, for a large data set; else an empty text.
        origin: how the images were read, for reading them at another size.
    """

    name: str
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: SealedPart
    record: dict[str, object]
    fingerprint: str
    origin: Origin
    train_domains: tuple[str | None, ...] = ()
    kept: str = ""

    @property
    def train_val(self) -> Part:
        """Training and validation set, in this order, for the final training."""
        return Part.join([self.train, self.val])


def load_dataset(
    spec: str,
    *,
    to_tensor: ToTensor,
    seed: int = 0,
    shots: int | None = None,
    skip_bad_images: bool = False,
    drop_duplicates: bool = False,
    layout: Layout = "auto",
    domains: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    root: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cache: CacheSettings | None = None,
    say: Callable[[str], None] | None = None,
    recognised_by: ToTensor | None = None,
) -> ImageDataset:
    """Read, split and decode the data set that ``spec`` names; equal arguments give equal data.

    ``spec`` is read as the first of these that exists:

    1. a folder: a VTAB-1k task (with ``train800.txt``), else a folder of class folders, with or without
       ``train``, ``val`` and ``test`` folders above them; or a file, a table of paths and labels;
    2. a name from ``embedded_names()``;
    3. a timm name: ``torch/``, ``hfds/``, ``hfids/``, ``wds/`` or ``tfds/``, and the data set's name there.

    Large data sets are decoded once, into a file of the cache (docs/data.md), and read from it by rows.

    A set that the source lacks is a stratified random split: 20% of the images for the test set, then 20% of
    the remaining training images for the validation set.

    Args:
        spec: name or path of the data set.
        to_tensor: preprocessing of the backbone, from a PIL image in RGB to uint8 (3, H, W); called on
            several threads.
        seed: seed of the splits that the source does not give, and of the draw of ``shots``; embedded data
            sets have a fixed split.
        shots: training images per class, for few-shot learning; None for all.
        skip_bad_images: leave out images that cannot be decoded and name them in the record, instead of
            raising an error. Decodes everything twice.
        drop_duplicates: leave out images of train and val that a later part also has, exactly or nearly;
            otherwise the record only counts them.
        layout: meaning of the folders in the data set's folder, ``parts`` or ``classes``; ``auto`` decides by
            their names.
        domains: read the folders above the images as DOMAIN/CLASS and pool the domains.
        max_pixels: largest image to decode, in pixels.
        root: folder of timm data sets, also for downloads.
        on_progress: called with the number of images decoded so far and in all; ``skip_bad_images`` counts
            through all images once before that, to check them.
        cache: folder and limit of the cache; by default those of the environment, else the user's cache
            folder.
        say: called with sentences on the cache that a user should read.
        recognised_by: the preprocessing of three made-up pictures, by which stored images are recognised, if
            ``to_tensor`` also notes what it is given.

    Raises:
        InputError: the data set does not exist, or its files are malformed.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; allowed are whole numbers from 0")
    report = on_progress or _no_report
    hashing, reading = PictureHashes(to_tensor), Reading(layout, domains)
    store = ImageStore.of(cache or CacheSettings.current(), say or _say_nothing)
    listing = list_source(spec, hashing.to_tensor, root, reading, store.streams(spec))
    require_trainable(listing)
    skipped: tuple[str, ...] = ()
    with pixel_limit(max_pixels):
        if skip_bad_images:
            listing, skipped = _readable(
                listing, store, source_digest(listing, recognised_by or to_tensor, max_pixels), report
            )
            require_trainable(listing)
        listing = chosen(listing, seed, shots)
        key = source_digest(listing, recognised_by or to_tensor, max_pixels)
        decoded = store.decoded(listing, key, hashing, counted(listing, report))
    parts, found = decoded.parts, decoded.findings.duplicates
    warnings = _warnings(decoded.findings, parts, listing)
    dropped: dict[str, int] = {}
    domains_of_train = [item.domain for item in listing.train]
    own_fingerprint = decoded.findings.fingerprint
    if drop_duplicates:
        parts, dropped = _without_duplicates(parts, found, listing.classes)
        copies = set(found.copies.get("train", ()))
        domains_of_train = [name for index, name in enumerate(domains_of_train) if index not in copies]
        own_fingerprint = decoded.findings.fingerprint_without_copies
    return ImageDataset(
        name=listing.name,
        classes=listing.classes,
        train=parts["train"],
        val=parts["val"],
        test=SealedPart(parts["test"]),
        record={
            "spec": shown_name(spec),
            "path": shown_path(spec),
            "source": shown_name(listing.source),
            "classes": len(listing.classes),
            "splits": {part: listing.origin.get(part, GIVEN) for part in parts},
            "counts": {name: len(part) for name, part in parts.items()},
            "class_counts": {name: _class_counts(part, listing.classes) for name, part in parts.items()},
            "test_names": names_digest(listing.test or ()),
            "shots": shots,
            "seed": seed,
            "skipped": [shown_name(name) for name in skipped],
            "ignored": list(listing.ignored),
            "left_out": {
                reason: {"count": len(paths), "examples": list(paths[:_EXAMPLES])}
                for reason, paths in listing.left_out.items()
            },
            "notes": [*listing.notes, *alike_classes(listing.classes)],
            "warnings": warnings,
            "duplicates": found.to_dict() | {"dropped": dropped},
        },
        fingerprint=own_fingerprint,
        kept=decoded.kept,
        origin=Origin(
            spec=spec,
            root=root,
            reading=reading,
            seed=seed,
            shots=shots,
            max_pixels=max_pixels,
            skipped=skipped,
            dropped=found.copies if drop_duplicates else {},
            pictures=_files(listing),
            store=store,
        ),
        train_domains=tuple(domains_of_train),
    )


def _readable(
    listing: Listing, store: ImageStore, key: str | None, report: Callable[[int, int], None]
) -> tuple[Listing, tuple[str, ...]]:
    """The listing without unreadable images, and their names, which the cache may know already."""
    known = store.unreadable(key)
    if known is None:
        found = without_unreadable(listing, report)
        if found.lasting:
            store.remember_unreadable(key, found.unreadable)
        return found.listing, found.unreadable
    return without(listing, known), known


def _files(listing: Listing) -> tuple[Path, ...]:
    """The files of the training images; empty unless each has its own."""
    files = [item.file for item in listing.train if item.file is not None]
    return tuple(files) if len(files) == len(listing.train) else ()


def _class_counts(part: Part, classes: tuple[str, ...]) -> list[int]:
    return [int(count) for count in torch.bincount(part.labels, minlength=len(classes))]


def _without_duplicates(
    parts: dict[str, Part], found: Duplicates, classes: tuple[str, ...]
) -> tuple[dict[str, Part], dict[str, int]]:
    """The parts without images that a later part also has, and the number of images that each part lost."""
    kept = without_copies(parts, found.copies)
    for name in found.copies:
        before, after = _class_counts(parts[name], classes), _class_counts(kept[name], classes)
        for label, (had, has) in enumerate(zip(before, after, strict=True)):
            if had and not has and (name == "train" or not len(kept[name])):
                raise InputError(
                    f"without duplicates class '{classes[label]}' has no images left in {name}; add other "
                    "images of it, or leave --drop-duplicates out"
                )
    return kept, {name: len(indices) for name, indices in found.copies.items() if indices}


def _warnings(found: Findings, parts: dict[str, Part], listing: Listing) -> list[str]:
    """Warnings about images that suggest a mistake in the data, or that make accuracies misleading."""
    said = []
    if found.blank:
        total, example = sum(len(part) for part in parts.values()), shown_name(found.blank_example)
        said.append(blank_warning(found.blank, total, example))
    counts = _class_counts(parts["train"], listing.classes)
    most, least = max(counts), min(count for count in counts if count)
    if most > IMBALANCE * least:
        said.append(
            f"class '{listing.classes[counts.index(most)]}' has {most:,} training images and "
            f"'{listing.classes[counts.index(least)]}' has {least:,}: always predicting the former is right "
            f"for {most / sum(counts):.1%} of them, so compare accuracies with that; tables show the "
            "balanced accuracy beside accuracy, --metric lets it decide, and --class-balance changes "
            "the training"
        )
    return said


def _say_nothing(sentence: str) -> None:
    """Ignore a sentence."""


def _no_report(done: int, total: int) -> None:
    """Ignore progress."""
