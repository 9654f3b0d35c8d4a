"""Data sets: reading, splitting, decoding, and the sealed test set."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_peft.data.dataset import ImageDataset as ImageDataset
    from nas_peft.data.dataset import load_dataset as load_dataset
    from nas_peft.data.embedded import embedded_names as embedded_names
    from nas_peft.data.part import Part as Part
    from nas_peft.data.sealed import ProtocolError as ProtocolError
    from nas_peft.data.sealed import SealedPart as SealedPart

# Imported on first use, so that a wrong data set is reported before torch is imported.
_HOMES = {
    "ImageDataset": "dataset",
    "Part": "part",
    "ProtocolError": "sealed",
    "SealedPart": "sealed",
    "embedded_names": "embedded",
    "load_dataset": "dataset",
}
__all__ = ["ImageDataset", "Part", "ProtocolError", "SealedPart", "embedded_names", "load_dataset"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
