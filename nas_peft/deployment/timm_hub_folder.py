"""A hub folder of a model whose own weights were trained, as timm reads them from the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import timm
from timm.models import save_for_hf
from torch import nn

from nas_peft.deployment.folding import Folded
from nas_peft.deployment.form import Logits, about
from supernet import DEFAULT_BACKBONE, Subnet
from supernet.plain_state import plain_state

WEIGHTS = "model.safetensors"


def write_timm_folder(subnet: Subnet, name: str, folded: Folded, path: Path, license: str) -> None:
    """Write `WEIGHTS` and ``config.json`` into a new folder, by timm's own function.

    Beside what timm reads, the configuration has the class names and, under ``nas_peft``, `about`. The
    subnet's record is published; ``name`` is that by which timm makes the backbone here.
    """
    size = {} if subnet.backbone.image_size is None else {"img_size": subnet.backbone.image_size}
    model = cast(nn.Module, timm.create_model(name, num_classes=len(subnet.classes), **size))
    model.load_state_dict(plain_state(folded.network, subnet.backbone.model))
    config = {
        "label_names": list(subnet.classes),
        "pretrained_cfg": {**subnet.preprocessing.to_dict(), "license": license},
        "nas_peft": json.loads(about(subnet)),
    }
    save_for_hf(model, str(path), config, model_args=size or None, safe_serialization=True)
    weights = path / WEIGHTS
    content = weights.read_bytes()
    weights.unlink()  # safetensors makes files that only their owner may read
    weights.write_bytes(content)


def read_timm_folder(path: Path) -> Logits:
    """The logits of the folder's model, created by timm."""
    model: nn.Module = timm.create_model(f"local-dir:{path}", pretrained=True)
    return cast(Logits, model.eval())


def timm_line(subnet: Subnet, source: str) -> str:
    """The Python line by which timm creates the model from ``source``."""
    first = "import supernet; " if subnet.backbone.name == DEFAULT_BACKBONE else ""
    return f"{first}timm.create_model({source!r}, pretrained=True)"
