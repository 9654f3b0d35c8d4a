"""Images and labels of one split of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_peft.data.image_rows import ImageRows, joined, taken
from supernet.images import Images, TwoSizes


@dataclass(frozen=True, eq=False)
class Part:
    """Images with their labels: a tensor for a small data set, rows of a shared block for a large one.

    Attributes:
        images: uint8, shape (N, 3, H, W), values 0 to 255: decoded, resized and cropped, not normalised. One
            byte per value takes a quarter of the space of normalised floats. A tensor, `ImageRows`, or
            `TwoSizes` of either.
        labels: int64, shape (N,), indices into the class names.

    Raises:
        ValueError: the tensors have another type, another shape, or different lengths.
    """

    images: Images
    labels: Tensor

    def __post_init__(self) -> None:
        kind = self.images.dtype if isinstance(self.images, Tensor) else torch.uint8
        if kind != torch.uint8 or len(self.images.shape) != 4 or self.images.shape[1] != 3:
            raise ValueError(
                f"images must be uint8 of shape (N, 3, H, W), not {kind} of shape {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 of shape ({self.images.shape[0]},), "
                f"not {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as numpy arrays, of which Ray keeps one copy on each machine for all its processes.

        Rows of a file are pickled as its path, its digest and their numbers.

        Ray would pickle torch tensors in band, which takes twice the memory while writing and while reading,
        and a copy for each worker.
        """
        if isinstance(self.images, TwoSizes):
            of = [_as_array(images) for images in (self.images.images, self.images.larger)]
            return _two_from_arrays, (*of, self.labels.numpy())
        return _from_arrays, (_as_array(self.images), self.labels.numpy())

    def take(self, indices: Tensor | slice) -> Part:
        """The images at ``indices`` (integers, shape (M,), or a slice), in that order.

        Rows of a block are not read for that.
        """
        return Part(taken(self.images, indices), self.labels[indices])

    @staticmethod
    def join(parts: Sequence[Part]) -> Part:
        """The given parts concatenated: without a copy if all are rows of one block, else in new memory.

        Raises:
            ValueError: the sequence is empty.
            RuntimeError: the images have different heights or widths.
        """
        if not parts:
            raise ValueError("there is no part to join")
        return Part(joined([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def read_only_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of ``array``; arrays from Ray's store must not be written to."""
    with warnings.catch_warnings():  # torch warns that the array could be written to
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _as_array(images: Images) -> NDArray[Any] | Images:
    return images.numpy() if isinstance(images, Tensor) else images


def _from_array(images: NDArray[Any] | ImageRows) -> Images:
    return images if isinstance(images, ImageRows) else read_only_tensor(images)


def _from_arrays(images: NDArray[Any] | ImageRows, labels: NDArray[Any]) -> Part:
    return Part(_from_array(images), read_only_tensor(labels))


def _two_from_arrays(
    images: NDArray[Any] | ImageRows, larger: NDArray[Any] | ImageRows, labels: NDArray[Any]
) -> Part:
    return Part(TwoSizes(_from_array(images), _from_array(larger)), read_only_tensor(labels))


def _with_tensors(part: Part) -> tuple[Any, ...]:
    return Part, (part.images, part.labels)


# Processes that torch starts on this machine get the tensors themselves, in shared memory.
ForkingPickler.register(Part, _with_tensors)
