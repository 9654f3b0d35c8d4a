"""The subnets that classify, each on the backbone weights that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas_peft.prediction.classification import Model
from search_spaces import InputError
from supernet import Backbone, create_backbone, load_subnet, read_header


def load_models(
    files: Sequence[Path], *, backbone_weights: Sequence[Path] = (), device: str = "cpu"
) -> list[Model]:
    """The subnets in ``files``, on ``device``; those of one backbone share it.

    ``backbone_weights`` are weights files of backbones, in any order: each subnet takes the one with the
    weights that it was trained on, and a subnet of timm's own weights needs none. Raises the `InputError` of
    `load_subnet`, and one for a subnet whose weights are in none of several files.
    """
    shared: dict[tuple[str, str, str], Backbone] = {}
    models = []
    for file in files:
        recorded = read_header(file)["backbone"]
        key = (recorded["name"], recorded["digest"], str(recorded.get("image_size")))
        if key not in shared and backbone_weights and not recorded.get("in_file"):
            found = _fitting(file, recorded, backbone_weights)
            if found is not None:
                shared[key] = found
        subnet = load_subnet(file, shared.get(key))
        shared[key] = subnet.backbone
        models.append(Model(str(file), subnet))
    for model in models:
        model.subnet.network.to(device)
    return models


def _fitting(file: Path, recorded: Mapping[str, Any], given: Sequence[Path]) -> Backbone | None:
    """The recorded backbone with the weights file that fits, tried first under the recorded name.

    ``None`` where none fits a subnet of timm's own weights.
    """
    side = recorded.get("image_size")
    image_size = None if side is None else (int(side[0]), int(side[1]))
    faults = []
    for weights in sorted(given, key=lambda path: path.name != recorded["weights"]):
        try:
            backbone = create_backbone(recorded["name"], weights, image_size)
        except InputError as error:
            faults.append(error)
            continue
        if backbone.digest == recorded["digest"]:
            return backbone
        faults.append(InputError(f"'{weights}' has others (SHA-256 {backbone.digest[:12]}…)"))
    if recorded["weights"] == "timm":
        return None
    why = "; ".join(str(fault) for fault in faults)
    raise InputError(
        f"'{file}' was trained on the weights of backbone '{recorded['name']}' in '{recorded['weights']}' "
        f"(SHA-256 {recorded['digest'][:12]}…); {why}; give that file to --backbone-weights"
    ) from faults[0]
