"""A form in which a subnet can be exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from torch import Tensor

from nas_peft.deployment.folding import Folded
from search_spaces import InputError
from supernet import Subnet

Logits: TypeAlias = Callable[[Tensor], Tensor]
"""Logits ``(B, classes)`` of normalised images ``(B, 3, H, W)``."""

MADE_IN_PYTHON = ("random", "given")
"""Weights of a backbone that neither a name nor a file gives again."""


class Form(Protocol):
    """One value of ``--to``: how a subnet is written, and how the library that reads it computes logits.

    ``suffixes`` are the endings of its files; a form without any is a folder. ``extra`` is the extra of
    ``pyproject.toml`` that it needs.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    extra: ClassVar[str | None]

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """Raise `InputError` if the subnet has no such form."""
        ...

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """Write the subnet to ``path``, which does not exist, with further files beside it if need be.

        The folder is empty, and whatever is written there is part of the export.
        """
        ...

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """Load what was written, by the library that it is for."""
        ...

    def usage(self, subnet: Subnet, path: Path) -> str:
        """The Python line that loads the export."""
        ...


def require_output(form: Form, path: Path) -> None:
    """Raise `InputError` for an output that the form cannot have, or that stands in the way."""
    if form.suffixes:
        if path.suffix not in form.suffixes:
            raise InputError(
                f"the output '{path}' does not end in {' or '.join(form.suffixes)}, as --to {form.name} "
                "needs; give such a name to --output"
            )
        if path.is_dir():
            raise InputError(f"the output '{path}' is a folder; give a file to --output")
    elif path.is_file() or (path.is_dir() and any(path.iterdir())):
        what = "a file" if path.is_file() else "a folder that is not empty"
        raise InputError(
            f"the output '{path}' is {what}, and --to {form.name} writes a folder; give a new one to --output"
        )
    if not path.absolute().parent.is_dir():
        raise InputError(f"no folder '{path.parent}' for the output; create it, or give another --output")


def loading_line(subnet: Subnet, file: str) -> str:
    """The Python line that loads ``subnet`` from its subnet file, ``file`` being Python for the path.

    Weights from a file are named without their folder, which is not recorded. A backbone that was made in
    Python is ``backbone``.
    """
    weights = subnet.backbone.weights
    if subnet.changed_backbone or weights == "timm":
        return f"nas_peft.load_subnet({file})"
    if weights in MADE_IN_PYTHON:
        return f"nas_peft.load_subnet({file}, backbone)"
    return f"nas_peft.load_subnet({file}, backbone_weights={weights!r})"


def about(subnet: Subnet) -> str:
    """JSON that travels with an export: input, classes, preprocessing, architecture, origin, measurements.

    Exports give logits; divided by ``temperature`` (where it is not null) their softmax is calibrated.
    """
    return json.dumps(
        {
            "input": "images (batch, 3, H, W), float32: (pixel / 255 - mean) / std",
            "classes": list(subnet.classes),
            "preprocessing": subnet.preprocessing.to_dict(),
            "backbone": subnet.backbone.name,
            "architecture": subnet.architecture.to_dict(),
            "temperature": subnet.temperature,
            "metrics": subnet.metrics,
            "training": subnet.training,
        }
    )
