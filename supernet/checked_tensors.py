"""Tensors as safetensors bytes with a checksum: a damaged file is noticed before its values are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from search_spaces import InputError
from search_spaces.errors import DamagedFile

_CHECKSUM = "sha256"


def checked_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with ``tensors`` on the CPU, ``metadata`` and a checksum of both."""
    values, texts = dict(tensors), dict(metadata or {})
    return save(values, metadata=texts | {_CHECKSUM: content_digest(_text(texts), values)})


def checked_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file with the bytes of `checked_bytes`.

    Files that earlier versions wrote have no checksum and are read without. Raises `DamagedFile` for a file
    that is missing, cut off or altered.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(
            f"'{path}' is missing; put it back, or start the command of the run again, which does that part "
            "again"
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFile(path, "it is not a whole safetensors file") from error
    checksum = metadata.pop(_CHECKSUM, None)
    if checksum is not None and checksum != content_digest(_text(metadata), tensors):
        raise DamagedFile(path, "its checksum is another one")
    return tensors, metadata


def content_digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a file's content: the header's text, then name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(header.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _text(metadata: Mapping[str, str]) -> str:
    return json.dumps(metadata, sort_keys=True)
