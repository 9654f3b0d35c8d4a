"""Images and labels in a form that processes of one machine share without copies."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_peft.data.part import Part


@dataclass(frozen=True, eq=False)
class StoredPart:
    """A `Part` as numpy arrays, for Ray's object store.

    Ray pickles torch tensors in band: twice the data while writing, twice while reading, and a copy for each
    worker. Of numpy arrays there is one copy on each machine, which all its processes read.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, part: Part) -> StoredPart:
        """The arrays share the part's memory until they are stored."""
        return cls(part.images.numpy(), part.labels.numpy())

    def part(self) -> Part:
        """The part, whose tensors share the arrays' memory and must not be written to."""
        return Part(read_only_tensor(self.images), read_only_tensor(self.labels))


def read_only_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of ``array``, which cannot be written to if it comes from Ray."""
    with warnings.catch_warnings():  # torch warns of arrays that it could write to but must not
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
