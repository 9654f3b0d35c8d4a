"""The execution of a computation: settings that change time and memory rather than the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from search_spaces import InputError
from supernet.determinism import deterministic_algorithms
from supernet.precision import Precision, float32_products, require_precision
from supernet.supernet import Supernet


@dataclass(frozen=True)
class Execution:
    """Settings of a training's execution; the default is float32, eager, whole batches.

    Args:
        precision: precision of forward and backward passes; weights, head, losses and optimizer are float32.
        compile: run the network through ``torch.compile``. Steps then use one architecture per image with any
            chooser but `Constant`, because all such batches have the same shapes: one compilation for each
            number of images. A module that a step does not draw then has a zero gradient instead of none, so
            AdamW's momentum still moves its weights, as with `OnePerImage`.
        micro_batches: number of parts of a batch, computed one after another with their gradients added up;
            this takes the memory of one part and gives the result of the whole. At most one per image.
        checkpointing: keep only each layer's input for the backward pass and recompute the rest: less memory,
            half as much time again or more.
        deterministic: repeat trainings on a GPU bit for bit, more slowly (`deterministic_algorithms`);
            trainings on a CPU always repeat.

    Raises `InputError` for an unknown precision and fewer than one micro-batch.
    """

    precision: Precision = "fp32"
    compile: bool = False
    micro_batches: int = 1
    checkpointing: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        require_precision(self.precision)
        if self.micro_batches < 1:
            raise InputError(f"micro_batches is {self.micro_batches}; give at least 1")

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON-able; ``deterministic`` only if True, so that older records stay equal."""
        values = asdict(self)
        if not self.deterministic:
            del values["deterministic"]
        return values

    @contextmanager
    def flags(self, device: torch.device) -> Iterator[None]:
        """Set torch's flags for forward and backward passes on ``device``, and restore them."""
        with ExitStack() as flags:
            flags.enter_context(float32_products(device, self.precision))
            if self.deterministic:
                flags.enter_context(deterministic_algorithms(device))
            yield

    @contextmanager
    def switched_on(self, supernet: Supernet) -> Iterator[None]:
        """Set the supernet's switches and torch's flags, and restore them at the end, even after an error."""
        before = supernet.compiled, supernet.checkpointing
        with self.flags(supernet.head.weight.device):
            supernet.compiled, supernet.checkpointing = self.compile, self.checkpointing
            try:
                yield
            finally:
                supernet.compiled, supernet.checkpointing = before


PLAIN = Execution()
