"""Batches of pictures that corruptions take and return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pictures: TypeAlias = NDArray[np.float32]
"""Pictures ``(N, H, W, 3)`` in RGB, values 0 to 1."""
Picture: TypeAlias = NDArray[np.float32]
"""One picture ``(H, W, 3)`` in RGB, values 0 to 1."""
Generators: TypeAlias = Sequence[np.random.Generator]
"""A random generator for each picture of a batch."""
Parameters: TypeAlias = tuple[Any, ...]
"""Parameters of a corruption at one severity; its function says what they mean."""
Function: TypeAlias = Callable[[Pictures, Parameters, Generators], Pictures]
"""A corruption; values that it returns outside 0 to 1 are clipped by the caller."""


def bytes_of(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The pictures in 8 bits, clipped to the range and cut to whole numbers as the published sets are."""
    return (pictures.clip(0, 1) * np.float32(255)).astype(np.uint8)


def floats_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures of 8 bits as values from 0 to 1."""
    return pictures.astype(np.float32) / np.float32(255)


def stacked(pictures: Sequence[NDArray[Any]]) -> Pictures:
    """Pictures of one size as a batch."""
    return in_floats(np.stack(pictures))


def in_floats(values: Any) -> Pictures:
    """Values in float32; what has this type already is not copied."""
    found: Pictures = np.asarray(values, dtype=np.float32)
    return found
