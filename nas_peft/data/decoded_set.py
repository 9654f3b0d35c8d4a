"""The decoded images of a listing: read from the cache, or decoded into it, or into memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np

from nas_peft.data.cache_entry import FILES, CacheEntry, StoredFile
from nas_peft.data.cache_settings import CacheSettings, size_text
from nas_peft.data.data_cache import DataCache, keep
from nas_peft.data.findings import Findings
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import ImageMemory, ImageRows
from nas_peft.data.listing import Item, Listing
from nas_peft.data.materialise import decoded, labels_tensor, materialise
from nas_peft.data.part import Part
from nas_peft.data.picture_hashes import PictureHash, PictureHashes
from nas_peft.data.stream_store import StreamStore
from search_spaces.errors import InputError

Say: TypeAlias = Callable[[str], None]
Hashes: TypeAlias = dict[str, list[PictureHash | None]]


@dataclass(frozen=True)
class DecodedSet:
    """The parts of a listing, what going through them has found, and a sentence on where they are kept."""

    parts: dict[str, Part]
    findings: Findings
    kept: str


@dataclass(frozen=True)
class ImageStore:
    """Decodes listings, and keeps large ones in a cache.

    Args:
        cache: the cache; ``None`` keeps all images in memory.
        smallest: bytes of decoded images from which a data set is kept in the cache, or as rows of one block.
        say: takes sentences for the user.
    """

    cache: DataCache | None
    say: Say
    smallest: int

    @classmethod
    def of(cls, settings: CacheSettings, say: Say) -> ImageStore:
        """The store of the settings."""
        return cls(DataCache.of(settings), say, settings.smallest)

    def streams(self, name: str) -> StreamStore:
        """Where the images of streams are kept until they are in the cache."""
        if self.cache is None:
            return StreamStore()
        cache = self.cache
        # while the cache's own files are written, the images are on the disk twice
        return StreamStore(cache.folder, self.smallest, lambda needed: cache.make_room(2 * needed, name))

    def decoded(
        self,
        listing: Listing,
        key: str | None,
        hashing: PictureHashes | None,
        on_image: Callable[[], None],
    ) -> DecodedSet:
        """The decoded images of a completed listing, which the cache has under ``key``.

        Nothing is decoded where the cache has them. ``hashing`` is what the listing's preprocessing goes
        through; with ``None`` the images are larger copies of others, and nothing is looked for in them.
        ``on_image`` is called after each decoded image.

        Raises `InputError` where the disk or the limit of the cache is too small, before anything but one
        image is decoded, and `UnreadableImage`.
        """
        if self.cache is not None and key is not None and (entry := self.cache.entry(key, self.say)):
            return _of_entry(entry, listing)
        shape = _shape(listing)
        needed = sum(len(items) for _, items in listing.parts()) * prod(shape)
        noting, hashes = (listing, None) if hashing is None else _noting(listing, hashing)
        if needed < self.smallest:
            parts = {part: materialise(items, on_image) for part, items in noting.parts()}
            return DecodedSet(parts, _found(parts, listing, hashes), "")
        if self.cache is None or key is None:
            parts = _in_memory(noting, shape, on_image)
            return DecodedSet(parts, _found(parts, listing, hashes), f"in memory, {size_text(needed)}")
        with self.cache.locked(key, self.say):
            if entry := self.cache.entry(key, _nothing):  # another process was faster
                return _of_entry(entry, listing)
            self.cache.make_room(needed, listing.name)
            entry = self._build(self.cache, noting, hashes, key, shape, on_image)
        return _of_entry(entry, listing)

    def has(self, key: str | None) -> bool:
        """Whether the cache has the images of a completed listing under its ``key``."""
        if self.cache is None or key is None:
            return False
        return self.cache.entry(key, _nothing) is not None

    def unreadable(self, key: str | None) -> tuple[str, ...] | None:
        """Names of the unreadable images of a source of that digest, where the cache knows them."""
        if self.cache is None or key is None:
            return None
        try:
            names = json.loads(self._unreadable_file(self.cache, key).read_bytes())
        except (OSError, ValueError):
            return None
        return tuple(names)

    def remember_unreadable(self, key: str | None, names: Sequence[str]) -> None:
        """Keep the names for the next start, if there is a cache, and it has been used."""
        if self.cache is not None and key is not None and self.cache.folder.is_dir():
            keep(self._unreadable_file(self.cache, key), json.dumps(list(names)).encode())

    @staticmethod
    def _unreadable_file(cache: DataCache, key: str) -> Path:
        return cache.folder / f"{key}.unreadable.json"

    def _build(
        self,
        cache: DataCache,
        listing: Listing,
        hashes: Hashes | None,
        key: str,
        shape: tuple[int, int, int],
        on_image: Callable[[], None],
    ) -> CacheEntry:
        folder = cache.unfinished(key)
        items = dict(listing.parts())
        try:
            digests = {
                name: _write(folder / name, [i for part in held for i in items.get(part, ())], on_image)
                for name, held in FILES.items()
            }
        except OSError as error:
            for file in folder.iterdir():
                file.unlink()
            raise InputError(
                f"the decoded images cannot be written to '{folder}' ({error.strerror}); make room, or give "
                "--cache a folder on another disk, or --cache none"
            ) from error
        CacheEntry(
            folder,
            listing.name,
            listing.source,
            shape,
            {part: len(of) for part, of in items.items()},
            {name: StoredFile.of(folder / name, digest) for name, digest in digests.items()},
            _found(_parts_of(listing, folder, shape, digests), listing, hashes).to_dict(),
        ).write()
        finished = CacheEntry.read(cache.finish(folder))
        assert finished is not None  # it has just been written
        return finished


def _noting(listing: Listing, hashing: PictureHashes) -> tuple[Listing, Hashes]:
    """The listing with images that leave the hashes of their pictures behind, and the places for these."""
    hashes: Hashes = {part: [None] * len(items) for part, items in listing.parts()}
    noting = {
        part: tuple(
            replace(item, load=hashing.noting(item.load, hashes[part], index))
            for index, item in enumerate(items)
        )
        for part, items in listing.parts()
    }
    with_hashes = replace(listing, train=noting["train"], val=noting.get("val"), test=noting.get("test"))
    return with_hashes, hashes


def _found(parts: dict[str, Part], listing: Listing, hashes: Hashes | None) -> Findings:
    return Findings.nothing() if hashes is None else Findings.of(parts, listing, hashes)


def _nothing(sentence: str) -> None:
    """Ignore what has been said already."""


def _of_entry(entry: CacheEntry, listing: Listing) -> DecodedSet:
    digests = {name: file.sha256 for name, file in entry.files.items()}
    parts = _parts_of(listing, entry.folder, entry.shape, digests)
    images = parts["train"].images
    assert isinstance(images, ImageRows)
    assert isinstance(images.block, ImageFile)
    images.block.open()  # from now on nobody removes the entry
    findings = Findings.from_dict(entry.findings)
    return DecodedSet(parts, findings, f"{size_text(entry.image_bytes)} in '{entry.folder}'")


def _parts_of(
    listing: Listing, folder: Path, shape: tuple[int, int, int], digests: Mapping[str, str]
) -> dict[str, Part]:
    """The parts of a listing as rows of the files in ``folder``, whose SHA-256 are ``digests``, by name."""
    items = dict(listing.parts())
    found = {}
    for name, of_file in FILES.items():
        held = [part for part in of_file if part in items]
        number = sum(len(items[part]) for part in held)
        file = ImageFile(folder / name, (number, *shape), digests[name])
        start = 0
        for part in held:
            rows = np.arange(start, start + len(items[part]), dtype=np.int64)
            found[part] = Part(ImageRows(file, rows), labels_tensor(items[part]))
            start += len(rows)
    return found


def _shape(listing: Listing) -> tuple[int, int, int]:
    """The shape of the images, which one of them has to be decoded for."""
    channels, height, width = next(decoded(listing.train[:1])).shape
    return channels, height, width


def _in_memory(
    listing: Listing, shape: tuple[int, int, int], on_image: Callable[[], None]
) -> dict[str, Part]:
    """Parts as rows of two blocks of memory: train and val in one, of which folds and joins copy nothing."""
    items, found = dict(listing.parts()), {}
    for of_file in FILES.values():
        held = [part for part in of_file if part in items]
        block = np.empty((sum(len(items[part]) for part in held), *shape), dtype=np.uint8)
        memory, filled = ImageMemory(block), 0
        for part in held:
            for image in decoded(items[part]):
                block[filled] = image.numpy()
                filled += 1
                on_image()
            rows = np.arange(filled - len(items[part]), filled, dtype=np.int64)
            found[part] = Part(ImageRows(memory, rows), labels_tensor(items[part]))
    return found


def _write(path: Path, items: Sequence[Item], on_image: Callable[[], None]) -> str:
    """Decode the items into a file, few at a time in memory; SHA-256 of the file."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for image in decoded(items):
            pixels = image.contiguous().numpy().data
            file.write(pixels)
            digest.update(pixels)
            on_image()
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
