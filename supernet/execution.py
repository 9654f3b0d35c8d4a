"""How a computation is carried out: what changes its time and memory rather than its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch

from search_spaces import InputError
from supernet.supernet import Supernet

Precision: TypeAlias = Literal["fp32", "bf16"]
"""``bf16`` computes forward passes under ``torch.autocast`` in bfloat16; weights and losses stay float32."""


@dataclass(frozen=True)
class Execution:
    """How to train, as `Recipe` says what; the default is float32, eager, whole batches.

    Args:
        precision: of the forward and backward passes; weights, losses and the optimizer are float32.
        compile: run the network through ``torch.compile``. Steps then use one architecture per image,
            whatever the chooser (`Constant` excepted), because those have one shape for all architectures:
            one compilation for each number of images. Modules that a step draws nowhere then have a gradient
            of zero instead of none, so that AdamW's momentum moves them on, as it does with `OnePerImage`.
        micro_batches: parts that a batch is divided into, one after the other with their gradients added up;
            memory is of one part, and the result of the whole. At most one for each image.
        checkpointing: keep only each layer's input for the backward pass and compute the rest again: less
            memory for half as much time again, or more.

    Raises `InputError` for an unknown precision and fewer than one micro-batch.
    """

    precision: Precision = "fp32"
    compile: bool = False
    micro_batches: int = 1
    checkpointing: bool = False

    def __post_init__(self) -> None:
        _require_precision(self.precision)
        if self.micro_batches < 1:
            raise InputError(f"micro_batches is {self.micro_batches}; give at least 1")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @contextmanager
    def switched_on(self, supernet: Supernet) -> Iterator[None]:
        """Set the supernet's own switches, and set them back at the end, whatever happens."""
        before = supernet.compiled, supernet.checkpointing
        supernet.compiled, supernet.checkpointing = self.compile, self.checkpointing
        try:
            yield
        finally:
            supernet.compiled, supernet.checkpointing = before


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context for a forward pass: bfloat16, or float32 whatever the caller's own context is.

    Raises `InputError` for an unknown precision.
    """
    _require_precision(precision)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _require_precision(precision: str) -> None:
    if precision not in get_args(Precision):
        raise InputError(f"precision is '{precision}'; give {' or '.join(get_args(Precision))}")


PLAIN = Execution()
