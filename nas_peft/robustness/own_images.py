"""The images that models were trained on or chosen by, of which a shifted set may have none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.folder_layout import TwoReadings
from nas_peft.data.home_folder import expanded
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.recorded_source import shown_path
from nas_peft.data.source import Reading, list_source
from nas_peft.data.timm_datasets import is_timm_name
from search_spaces import InputError
from supernet import Subnet

_UNKNOWN = "it is not known whether shifted images are in it"


class OwnImages:
    """Images by their names, by the real paths of their files, and by the bytes of these.

    Files are read only where sizes are equal. An image without a file of its own is known by its name alone.

    Args:
        listings: data sets, all parts of which count.
        unopened: names of timm data sets, all images of which count.
    """

    def __init__(self, listings: Iterable[Listing] = (), unopened: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._prefixes = tuple(f"{spec} " for spec in unopened)
        self._files: dict[int, list[Path]] = {}
        self._digests: dict[int, set[bytes]] = {}
        for item in (item for listing in listings for _, items in listing.parts() for item in items):
            self._names.add(_real(item.name))
            if item.file is not None and (size := _size(item.file)) is not None:
                self._files.setdefault(size, []).append(item.file)

    def has(self, item: Item) -> bool:
        """Whether an image is one of these, or its file a copy of the file of one."""
        if _real(item.name) in self._names or item.name.startswith(self._prefixes):
            return True
        size = None if item.file is None else _size(item.file)
        if item.file is None or size is None or size not in self._files:
            return False
        if size not in self._digests:
            self._digests[size] = {_digest(file) for file in self._files[size]}
        return _digest(item.file) in self._digests[size]


@dataclass(frozen=True)
class TrainedOn:
    """The data set that models were trained on, as it is found now.

    Attributes:
        spec: its name or path; empty if the models' record names none.
        classes: class names of the models.
        images: number of images that the record counts, at least.
        reading: how it was read; ``None`` if that was not recorded.
        root: folder of timm data sets.
    """

    spec: str
    classes: tuple[str, ...]
    images: int
    reading: Reading | None = None
    root: Path | None = None

    @classmethod
    def recorded(cls, subnet: Subnet) -> TrainedOn:
        """The data set of a model's own record."""
        record = subnet.training.get("dataset", {})
        return cls(
            str(record.get("path") or record.get("spec", "")),
            subnet.classes,
            sum(record.get("counts", {}).values()),
        )

    def listing(self, to_tensor: ToTensor) -> Listing | None:
        """All images, if possible read so that they have the models' classes; ``None`` if unreadable."""
        readings = [Reading(), Reading(domains=True)] if self.reading is None else [self.reading]
        found = None
        for reading in readings:
            listing = self._read(reading, to_tensor)
            found = found or listing
            if listing is not None and set(listing.classes) == set(self.classes):
                return listing
        return found

    def _read(self, reading: Reading, to_tensor: ToTensor) -> Listing | None:
        try:
            return list_source(self.spec, to_tensor, self.root, reading)
        except TwoReadings as error:
            return self._read(Reading(error.layout), to_tensor)
        except InputError:
            return None


def own_images(
    dataset: str, listing: Listing, trained_on: TrainedOn, to_tensor: ToTensor
) -> tuple[OwnImages, tuple[str, ...]]:
    """The images that models are tested on, trained on and chosen by, and what could not be compared.

    ``listing`` is that of ``dataset``, which the models are tested on. Data sets of timm are not opened
    again, for that might download them.
    """
    known = {dataset: listing}
    unopened, notes = [], []
    spec = trained_on.spec
    if not spec:
        notes.append(f"the record of the models does not name the data set of their training; {_UNKNOWN}")
    elif _same(spec, dataset):
        spec = dataset
    elif is_timm_name(spec):
        unopened.append(spec)
    elif (own := trained_on.listing(to_tensor)) is not None:
        known[spec] = own
    else:
        state = "cannot be read" if _exists(spec) else "is not there"
        notes.append(f"the data set '{spec}' that the models were trained on {state} any more; {_UNKNOWN}")
    if spec in known and (count := _count(known[spec])) < trained_on.images:
        notes.append(
            f"the data set '{spec}' has {count:,} images now and had {trained_on.images:,} when the models "
            "were trained; shifted images were compared with those alone"
        )
    notes += [
        f"the images of '{name}' have no files of their own; shifted images were compared with their names "
        "alone"
        for name in (*(name for name, of in known.items() if not _has_files(of)), *unopened)
    ]
    return OwnImages(known.values(), unopened), tuple(notes)


def _count(listing: Listing) -> int:
    return sum(len(items) for _, items in listing.parts())


def _has_files(listing: Listing) -> bool:
    return all(item.file is not None for _, items in listing.parts() for item in items)


def _same(spec: str, other: str) -> bool:
    return spec == other or ((path := shown_path(spec)) is not None and path == shown_path(other))


def _exists(spec: str) -> bool:
    try:
        return expanded(spec).exists()
    except (OSError, ValueError):  # a name that the file system cannot have, or an unknown home folder
        return False


def _real(name: str) -> str:
    return str(Path(name).resolve()) if _exists(name) else name


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:  # decoding it will say what is wrong
        return None


def _digest(file: Path) -> bytes:
    try:
        return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
    except OSError:  # decoding it will say what is wrong
        return str(file).encode()
