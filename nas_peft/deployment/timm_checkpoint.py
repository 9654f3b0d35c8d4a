"""``--to merged``: a plain timm checkpoint, for subnets whose modules can all be merged into the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import timm
import torch
from safetensors.torch import save
from torch import nn

from nas_peft.deployment.folding import Folded, labels
from nas_peft.deployment.form import Logits, about
from nas_peft.deployment.latency_cost import latency_cost
from search_spaces import InputError
from supernet import DEFAULT_BACKBONE, Subnet
from supernet.plain_state import plain_state


class TimmCheckpoint:
    """Weights and head by timm's names; safetensors, or a torch file that ``weights_only`` loads."""

    name: ClassVar[str] = "merged"
    suffixes: ClassVar[tuple[str, ...]] = (".safetensors", ".pth")
    extra: ClassVar[str | None] = None

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`. The message names what remains, with its measured latency."""
        if folded.remaining:
            cost = latency_cost(folded.network, subnet.preprocessing.input_size[1:])
            why = f" ({folded.obstacle})" if folded.obstacle else ""
            raise InputError(
                f"{labels(folded.remaining)} cannot be merged into the weights{why}, so that no plain timm "
                f"checkpoint computes this subnet; cost in latency: {cost.describe()}; --to onnx and "
                "--to torch-export hold every kind"
            )
        plain_state(folded.network, subnet.backbone.model)

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        state = plain_state(folded.network, subnet.backbone.model)
        if path.suffix == ".pth":
            torch.save(state, path)
        else:
            # not save_file, whose files only their owner may read
            path.write_bytes(save(state, metadata={"format": "pt", "nas_peft": about(subnet)}))

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`."""
        model: nn.Module = timm.create_model(subnet.backbone.name, **_arguments(subnet, path))
        return cast(Logits, model.eval())

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        given = ", ".join(f"{name}={value!r}" for name, value in _arguments(subnet, path).items())
        first = "import supernet; " if subnet.backbone.name == DEFAULT_BACKBONE else ""
        return f"{first}timm.create_model({subnet.backbone.name!r}, {given})"


def _arguments(subnet: Subnet, path: Path) -> dict[str, Any]:
    size = subnet.backbone.image_size
    sized = {} if size is None else {"img_size": size}
    return {"num_classes": len(subnet.classes), **sized, "checkpoint_path": str(path)}
