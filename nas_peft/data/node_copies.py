"""Image files for the machines of a Ray that do not see the one they were decoded on."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.data_cache import DataCache
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import Pixels, blocks_of
from nas_peft.data.part import Part
from search_spaces.errors import InputError

_CHUNK = 1 << 26  # bytes on their way at once


def copy_to_nodes(ray: Any, parts: Iterable[Part], *, folder: Path | None = None) -> None:
    """Give every machine of ``ray`` the files of ``parts`` that it does not see, into its own cache.

    A machine that sees the path, as with a shared disk, and one that has a copy from an earlier run, get
    nothing. The others get the file once, whatever the number of their workers, a chunk at a time.

    Args:
        ray: the connected module.
        parts: parts that workers are about to read.
        folder: folder of the machines' caches; by default what each machine's environment says.

    Raises `InputError` for a machine without a cache, or without room for the file.
    """
    blocks = [block for part in parts for block in blocks_of(part.images)]
    files = list(dict.fromkeys(block for block in blocks if isinstance(block, ImageFile)))
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not files or (folder is None and not _several(ray, nodes)):
        return
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        receiver = ray.remote(num_cpus=0, scheduling_strategy=place)(_Receiver).remote(folder)
        try:
            for file in files:
                if ray.get(receiver.begin.remote(file.path, file.digest, file.nbytes)):
                    for chunk in _chunks(file):
                        ray.get(receiver.write.remote(chunk))
                    ray.get(receiver.finish.remote())
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        finally:
            ray.kill(receiver)


def _several(ray: Any, nodes: Sequence[Any]) -> bool:
    """Whether a worker may be on another machine than this process."""
    return len(nodes) > 1 or bool(ray.util.client.ray.is_connected())


def _chunks(file: ImageFile) -> Iterable[Pixels]:
    step = max(1, _CHUNK * file.shape[0] // max(1, file.nbytes))
    for start in range(0, file.shape[0], step):
        yield file.read(np.arange(start, min(start + step, file.shape[0]), dtype=np.int64))


class _Receiver:
    """Writes the copy of a file in the cache of its machine; one process at a time does for each file."""

    def __init__(self, folder: Path | None) -> None:
        settings = CacheSettings.current() if folder is None else CacheSettings(folder)
        self._cache = DataCache.of(settings)

    def begin(self, path: Path, digest: str, nbytes: int) -> bool:
        """Whether this machine needs the file; it is then to be written, under a lock."""
        if path.exists() and path.stat().st_size == nbytes:
            return False
        if self._cache is None:
            raise InputError(
                f"machine '{socket.gethostname()}' does not see '{path}', and its cache is switched off; "
                "set NAS_PEFT_CACHE there to a folder, or keep the cache on a disk that all machines see"
            )
        self._lock = self._cache.locked(digest, lambda sentence: None)
        self._lock.__enter__()
        self._copy = self._cache.copy(digest)
        if self._copy.exists() and self._copy.stat().st_size == nbytes:
            self._lock.__exit__(None, None, None)
            return False
        self._cache.make_room(nbytes, f"a copy for machine {socket.gethostname()}")
        self._partial = self._copy.with_suffix(".partial")
        self._file = self._partial.open("wb")
        self._expected, self._digest = digest, hashlib.sha256()
        return True

    def write(self, chunk: Pixels) -> None:
        """Write the next bytes."""
        data = np.ascontiguousarray(chunk).reshape(-1).data
        self._file.write(data)
        self._digest.update(data)

    def finish(self) -> None:
        """Give the copy its name, if it is whole."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._digest.hexdigest() != self._expected:
            self._partial.unlink()
            raise InputError("an image file was changed while it was copied; start the same command again")
        self._partial.replace(self._copy)
        self._lock.__exit__(None, None, None)
