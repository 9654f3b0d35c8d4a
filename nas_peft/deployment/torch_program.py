"""``--to torch-export``: a program of ``torch.export``, for Python or C++ without this package."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

import torch

from nas_peft.deployment.folding import Folded
from nas_peft.deployment.form import Logits, about
from supernet import Subnet
from supernet.tracing import traced


class TorchProgram:
    """The forward pass with all weights, for batches of any size, and `about` as ``nas_peft.json``."""

    name: ClassVar[str] = "torch-export"
    suffixes: ClassVar[tuple[str, ...]] = (".pt2",)
    extra: ClassVar[str | None] = None

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`. Every subnet has this form."""

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        program = traced(folded.network, subnet.preprocessing.input_size[1:])
        torch.export.save(program, path, extra_files={"nas_peft.json": about(subnet)})

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`."""
        return cast(Logits, torch.export.load(path).module())

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        return f"torch.export.load({str(path)!r}).module()"
