"""Losses of architectures on images that their supernet was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nas_peft.data import Part
from nas_peft.machine.peak_memory import PeakMemory
from search_spaces import Architecture
from supernet import Precision, Preprocessing, Supernet, score, shared_passes
from supernet.scoring import rows_of_pass

TOKENS = 256
"""Tokens per pass on a CPU: at most this many, or one image; enough for the one core that runs it."""


@dataclass(frozen=True)
class Found:
    """Losses and hits ``(A, n)`` of A architectures on n images, and the number of forward passes.

    Hits are 1 where the predicted class is right, else 0; both may be multiplied by weights of the images.
    ``peak_memory`` is that of the scoring process, in bytes, see `nas_peft.machine.peak_memory`.
    """

    losses: NDArray[np.float32]
    hits: NDArray[np.bool_] | NDArray[np.float32]
    image_passes: float
    peak_memory: int | None = None


class Scorer(Protocol):
    """Scores architectures with inherited weights, on folds of ``sizes`` images."""

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        ...

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """Score ``architectures`` on the images ``indices (n,)`` of a fold."""
        ...


@dataclass(frozen=True)
class Fold:
    """A supernet and images that it was not trained on."""

    supernet: Supernet
    part: Part


@dataclass(frozen=True)
class LocalScorer:
    """Scores in this process, see `supernet.score`.

    On a CPU a pass holds few images and runs on one core, with several passes side by side. The losses are
    then the same to the last bit for any number of cores; cores that share the sums of one pass would change
    their rounding.
    """

    folds: Sequence[Fold]
    preprocessing: Preprocessing
    precision: Precision = "fp32"

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        return [len(fold.part) for fold in self.folds]

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """See `Scorer.score`."""
        of = self.folds[fold]
        memory = PeakMemory(str(of.supernet.head.weight.device))
        part = of.part.take(torch.from_numpy(indices))
        batch_size = pass_size(of.supernet)
        run = partial(
            score,
            of.supernet,
            architectures=architectures,
            preprocessing=self.preprocessing,
            batch_size=batch_size,
            precision=self.precision,
        )
        if of.supernet.head.weight.device.type != "cpu":
            parts = [run(part.images, part.labels)]
        else:
            with _one_core_each() as cores, ThreadPoolExecutor(cores, initializer=_one_core) as pool:
                passes = [part.take(slice(i, i + batch_size)) for i in range(0, len(part), batch_size)]
                parts = list(pool.map(lambda some: run(some.images, some.labels), passes))
        return Found(
            np.concatenate([np.stack([e.losses.numpy() for e in found]) for found in parts], axis=1),
            np.concatenate([np.stack([e.hits.numpy() for e in found]) for found in parts], axis=1),
            shared_passes(architectures) * len(indices),
            memory.bytes,
        )


def pass_size(supernet: Supernet) -> int:
    """The batch size for `supernet.score`."""
    if supernet.head.weight.device.type != "cpu":
        return rows_of_pass(supernet)
    return max(1, TOKENS // supernet.shape.tokens)


@contextmanager
def _one_core_each() -> Iterator[int]:
    """Limit torch to one core per pass; yield the number of cores, and restore the setting at the end."""
    cores = torch.get_num_threads()
    _one_core()
    try:
        yield cores
    finally:
        torch.set_num_threads(cores)


def _one_core() -> None:
    torch.set_num_threads(1)
