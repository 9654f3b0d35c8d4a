"""Data sets: reading, splitting, decoding, and the sealed test part."""

from nas_peft.data.dataset import ImageDataset, load_dataset
from nas_peft.data.embedded import embedded_names
from nas_peft.data.part import Part
from nas_peft.data.sealed import ProtocolError, SealedPart

__all__ = ["ImageDataset", "Part", "ProtocolError", "SealedPart", "embedded_names", "load_dataset"]
