"""``--to hub-folder``: a folder by the conventions of the Hugging Face hub, to be uploaded as it is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar, cast

from nas_peft.deployment.folding import Folded
from nas_peft.deployment.form import Logits, loading_line
from nas_peft.deployment.model_card import LICENSE_UNKNOWN, model_card
from nas_peft.deployment.timm_hub_folder import WEIGHTS, read_timm_folder, timm_line, write_timm_folder
from search_spaces import InputError
from supernet import Subnet, load_subnet, read_header, save_subnet
from supernet.plain_state import plain_state

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

FILE = "subnet.safetensors"
LOCAL = "local-dir:"
"""What the name of a backbone in a folder begins with, in timm."""
KEPT_OF_DATASET = ("classes", "splits", "counts", "class_counts", "shots", "seed")
"""What is told of the data set; its other entries hold paths and names of files."""


@dataclass(frozen=True)
class HubFolder:
    """A folder with a model card, ``README.md``, that names ``license``.

    Of a frozen backbone it holds the subnet file, and its header as ``config.json``. Of a model whose own
    weights were trained it holds all of them, as timm reads them from the hub.
    """

    half: bool = False
    license: str = LICENSE_UNKNOWN
    name: ClassVar[str] = "hub-folder"
    suffixes: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`."""
        if not subnet.changed_backbone:
            return
        plain_state(folded.network, subnet.backbone.model)
        if self.half:
            raise InputError(
                "half stores a subnet checkpoint in float16; training changed the weights of this subnet's "
                "backbone, which are stored as timm reads them; leave --half out"
            )

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        backbone = replace(subnet.backbone, name=public_name(subnet.backbone.name))
        public = replace(subnet, backbone=backbone, training=without_paths(subnet.training))
        path.mkdir()
        if subnet.changed_backbone:
            write_timm_folder(public, subnet.backbone.name, folded, path, self.license)
        else:
            self._write_subnet(public, path)
        (path / "README.md").write_text(str(self._card(public)), encoding="utf-8")

    def _write_subnet(self, public: Subnet, path: Path) -> None:
        save_subnet(public, path / FILE, half=self.half)
        config = {
            "library_name": "nas-peft",
            "id2label": {str(number): name for number, name in enumerate(public.classes)},
            **read_header(path / FILE),
        }
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (path / "config.json").write_text(text, encoding="utf-8")

    def _card(self, public: Subnet) -> ModelCard:
        return model_card(public, WEIGHTS if public.changed_backbone else FILE, self.license)

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`."""
        if subnet.changed_backbone:
            return read_timm_folder(path)
        return cast(Logits, load_subnet(path / FILE, subnet.backbone).network)

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        if subnet.changed_backbone:
            return timm_line(subnet, f"local-dir:{path}")
        line = loading_line(subnet, repr(str(path / FILE)))
        if (name := subnet.backbone.name) == public_name(name) or subnet.backbone.weights != "timm":
            return line
        return f"{line.removesuffix(')')}, supernet.create_backbone({name!r}))"


def upload_command(path: Path) -> str:
    """The command by which a user uploads the folder; it is shown and never run."""
    return f"hf upload USER/NAME {shlex.quote(str(path))} ."


def public_name(backbone: str) -> str:
    """The name of a backbone as it may be published: of a folder, without the folders above it.

    timm finds ``local-dir:FOLDER`` in the working folder.
    """
    prefix, separator, folder = backbone.partition(LOCAL)
    return f"{LOCAL}{PurePath(folder).name}" if separator and not prefix else backbone


def without_paths(training: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a training as it may be published: of the data set, no path and no name of a file."""
    record = training.get("dataset")
    if not record:
        return dict(training)
    spec = str(record.get("spec", ""))
    named = (
        spec if spec.partition("/")[0] in ("hfds", "hfids", "torch", "wds", "tfds") else PurePath(spec).name
    )
    kept = {key: record[key] for key in KEPT_OF_DATASET if key in record}
    return {**training, "dataset": {"spec": named, **kept}}
