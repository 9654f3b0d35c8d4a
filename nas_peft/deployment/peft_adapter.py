"""``--to peft``: an adapter folder of Hugging Face PEFT, for subnets of LoRA kinds alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import nn

from nas_peft.deployment.folding import Folded, labels
from nas_peft.deployment.form import MADE_IN_PYTHON, Logits
from search_spaces import InputError
from supernet import DEFAULT_BACKBONE, Subnet
from supernet.plain_state import classifiers, with_head
from supernet.projection_lora import linear_updates, other_kinds


class PeftAdapter:
    """LoRA with a rank for each layer of the timm model, and the head under ``modules_to_save``.

    Our LoRA has no factor alpha / r, so each layer's alpha is its rank.
    """

    name: ClassVar[str] = "peft"
    suffixes: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = "peft"

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`."""
        network = subnet.network
        if others := other_kinds(network):
            raise InputError(
                f"a PEFT LoRA adapter cannot hold {labels(tuple(others))}; --to onnx and --to torch-export "
                "hold every kind"
            )
        if subnet.changed_backbone:
            raise InputError(
                "training changed the weights of the backbone, which no LoRA adapter can hold; "
                "give --to merged"
            )
        if not linear_updates(network):
            raise InputError("the subnet has no LoRA, only a head; give --to merged")

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        from peft import LoraConfig, get_peft_model

        updates = linear_updates(subnet.network)
        ranks = {name: update.rank for name, update in updates.items()}
        largest = max(ranks.values())
        base = with_head(copy.deepcopy(subnet.backbone.model), subnet.network.head)
        base.name_or_path = cast(Any, subnet.backbone.name)  # PEFT records this as the base model
        config = LoraConfig(
            r=largest,
            lora_alpha=largest,
            rank_pattern=ranks,
            alpha_pattern=ranks,
            target_modules=list(updates),
            modules_to_save=list(classifiers(base)),
        )
        model = get_peft_model(cast(Any, base), config)
        with torch.no_grad():
            for name, update in updates.items():
                layer = cast(Any, model.get_submodule(f"base_model.model.{name}"))
                layer.lora_A["default"].weight.copy_(update.down)
                layer.lora_B["default"].weight.copy_(update.up)
        # without the argument PEFT asks the hub about the base model
        model.save_pretrained(str(path), save_embedding_layers=False)
        (path / "README.md").unlink(missing_ok=True)  # a model card of placeholders
        file = path / "adapter_config.json"
        saved = json.loads(file.read_text())
        saved["target_modules"] = sorted(saved["target_modules"])  # a set, in another order each time
        file.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
        weights = path / "adapter_model.safetensors"
        content = weights.read_bytes()
        weights.unlink()  # safetensors makes files that only their owner may read
        weights.write_bytes(content)

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`. The base has a head of zeros, so that only the adapter's can be right."""
        from peft import PeftModel

        other = nn.Linear(subnet.backbone.width, len(subnet.classes))
        nn.init.zeros_(other.weight)
        base = with_head(copy.deepcopy(subnet.backbone.model), other)
        return cast(Logits, PeftModel.from_pretrained(cast(Any, base), str(path)).eval())

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        backbone, count = subnet.backbone, len(subnet.classes)
        if backbone.weights == "timm":
            sized = "" if backbone.image_size is None else f", img_size={backbone.image_size}"
            first = "import supernet; " if backbone.name == DEFAULT_BACKBONE else ""
            base = f"timm.create_model({backbone.name!r}, pretrained=True, num_classes={count}{sized})"
            return f"{first}peft.PeftModel.from_pretrained({base}, {str(path)!r})"
        # timm reads no file of another project's names, and none without a classifier
        sized = "" if backbone.image_size is None else f", {backbone.image_size}"
        file = f"pathlib.Path({backbone.weights!r})"
        made = f"supernet.create_backbone({backbone.name!r}, {file}{sized}).model"
        return (
            f"import pathlib, supernet; base = {'backbone' if backbone.weights in MADE_IN_PYTHON else made}; "
            f"base.reset_classifier({count}); peft.PeftModel.from_pretrained(base, {str(path)!r})"
        )
