"""Subnet checkpoints: one safetensors file with the trained tensors at exact size and a JSON header."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from search_spaces import Architecture, InputError
from supernet.atomic_file import write_atomically
from supernet.backbones import (
    Backbone,
    as_text,
    create_backbone,
    given_backbone,
    state_digest,
    trained_backbone,
    weights_digest,
)
from supernet.checked_tensors import content_digest
from supernet.preprocessing import Preprocessing
from supernet.subnet import Subnet
from supernet.subnet_header import invalid_entry
from supernet.supernet import Supernet
from supernet.weights_file import why_no_weights

FORMAT = "nas-peft subnet"
VERSION = 3
_BACKBONE = "backbone."
"""Prefix of the tensors of a backbone that a file holds."""


def save_subnet(subnet: Subnet, path: Path, *, half: bool = False) -> None:
    """Write ``subnet`` to ``path``, atomically.

    The backbone is in the file only if training changed it; a frozen one is not. With ``half`` tensors are
    stored in float16, which halves the file and rounds each weight to three significant digits.
    ``docs/subnet_file.md`` documents the format.

    Raises ``ValueError`` if a frozen backbone was changed since it was created, and `InputError` if a weight
    is beyond the range of float16.
    """
    dtype = torch.float16 if half else torch.float32
    exact = _stored(subnet.network.module_tensors(subnet.architecture), dtype)
    digest = subnet.backbone.digest
    if subnet.changed_backbone:
        state = _stored(subnet.network.backbone.state_dict(), dtype)
        digest = state_digest(state)
        exact |= {_BACKBONE + name: value for name, value in state.items()}
    elif weights_digest(subnet.network.backbone) != digest:
        raise ValueError(
            f"the weights of backbone '{subnet.backbone.name}' were changed after it was created; "
            "the file of a subnet on a frozen backbone holds modules and head only"
        )
    header = {
        "version": VERSION,
        "backbone": {
            "name": subnet.backbone.name,
            "weights": subnet.backbone.weights,
            "digest": digest,
            "image_size": subnet.backbone.image_size,
            "in_file": subnet.changed_backbone,
        },
        "architecture": subnet.architecture.to_dict(),
        "classes": list(subnet.classes),
        "preprocessing": subnet.preprocessing.to_dict(),
        "metrics": subnet.metrics,
        "training": subnet.training,
        "temperature": subnet.temperature,
    }
    if wide := [name for name, value in exact.items() if half and not value.isfinite().all()]:
        raise InputError(
            f"the tensor {wide[0]} has values beyond the range of float16; save in full precision"
        )
    text = json.dumps(header)
    metadata = {"format": FORMAT, "subnet": text, "sha256": content_digest(text, exact)}
    write_atomically(path, save(exact, metadata=metadata))


def _stored(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies for the file; whole numbers, such as a backbone's tables of indices, keep their type."""
    return {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous()
        for name, value in tensors.items()
    }


def _from_version_1(header: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had no temperature, and no digest of the content."""
    return header | {"version": 2, "temperature": None}


def _from_version_2(header: dict[str, Any]) -> dict[str, Any]:
    """Version 2 held no backbone, which is what an absent ``backbone.in_file`` means."""
    return header | {"version": 3}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_version_1, 2: _from_version_2}
"""For each earlier version, the function that turns its header into that of the next version."""


def read_header(path: str | Path) -> dict[str, Any]:
    """The header of a checkpoint in the terms of this version, without reading tensors.

    Raises `InputError` for any other file, and for the format of a newer version.
    """
    return _upgraded(path, _metadata(path))


def _metadata(path: str | Path) -> dict[str, str]:
    if (inside := Path(path) / "subnet.safetensors").is_file():
        raise InputError(f"'{path}' is a folder; give the subnet file in it, {inside}")
    if not Path(path).is_file():
        raise InputError(f"no subnet checkpoint at '{path}'; nas-peft search writes RUN/subnet.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        if known := why_no_weights(Path(path)):
            raise InputError(f"'{path}' {known}") from error
        raise InputError(
            f"'{path}' is not a whole safetensors file ({error}); give the file that nas-peft search wrote"
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"'{path}' is a safetensors file but no subnet checkpoint; "
            "give the file that nas-peft search wrote"
        )
    return metadata


def _upgraded(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(metadata["subnet"])
        version = header["version"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    if version not in (VERSION, *UPGRADES):
        raise InputError(
            f"'{path}' has format version {version} and this nas-peft reads versions 1 to {VERSION}; "
            "use the nas-peft that wrote it or a newer one"
        )
    while header["version"] != VERSION:
        header = UPGRADES[header["version"]](header)
    if name := invalid_entry(header):
        raise _damaged(path, f"its header has no valid entry '{name}'")
    return header


def _damaged(path: str | Path, error: Exception | str) -> InputError:
    return InputError(f"'{path}' is damaged ({error}); give the file that nas-peft search wrote")


def load_subnet(
    path: str | Path,
    backbone: Backbone | nn.Module | None = None,
    *,
    backbone_weights: str | Path | None = None,
) -> Subnet:
    """Load a checkpoint with its backbone, ready for inference on the CPU.

    Needs only torch, timm and safetensors. The backbone is ``backbone`` (a `Backbone`, or a timm model
    without classifier, which is frozen and set to evaluation mode), or is created by the recorded name, with
    the weights in the file ``backbone_weights`` if given. Its digest must be the recorded one. A file that
    holds its own backbone, because training changed it, needs neither: ``backbone_weights`` are not read.

    Files of every earlier format version load. Raises `InputError` for a file that is not a checkpoint, was
    altered or is of a newer format, and for a backbone with other weights.
    """
    metadata = _metadata(path)
    header = _upgraded(path, metadata)
    try:  # before any weights are fetched
        architecture = Architecture.from_dict(header["architecture"])
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, "its header has no valid entry 'architecture'") from error
    recorded = header["backbone"]
    side = recorded.get("image_size")  # absent from files of versions without it
    image_size = None if side is None else (int(side[0]), int(side[1]))
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    own = {n.removeprefix(_BACKBONE): t for n, t in tensors.items() if n.startswith(_BACKBONE)}
    if bool(own) != recorded.get("in_file", False):
        raise _damaged(path, "its header and its tensors disagree on whether it holds a backbone")
    if backbone is None and own:
        try:
            backbone = trained_backbone(recorded["name"], recorded["weights"], image_size, own)
        except InputError as error:
            raise _damaged(path, error) from error
    elif backbone is None:
        if backbone_weights is None and recorded["weights"] == "random":
            raise InputError(
                f"'{path}' was trained on random weights of backbone '{recorded['name']}'; "
                "create them again with random_backbone and pass backbone="
            )
        if backbone_weights is None and recorded["weights"] != "timm":
            raise InputError(
                f"'{path}' was trained on the backbone weights in '{recorded['weights']}'; "
                "give that file with --backbone-weights (backbone_weights= in Python)"
            )
        weights = None if backbone_weights is None else Path(backbone_weights)
        backbone = create_backbone(recorded["name"], weights, image_size)
    elif isinstance(backbone, nn.Module):
        given = given_backbone(backbone, recorded["name"], image_size)
        backbone = replace(given, weights=recorded["weights"])  # as saving records again
    if backbone.image_size != image_size:
        trained, other = (
            as_text(size) if size else "the name's own" for size in (image_size, backbone.image_size)
        )
        raise InputError(
            f"'{path}' was trained at image size {trained} and backbone '{backbone.name}' was made for "
            f"{other}; make it with image_size={image_size}"
        )
    if backbone.digest != recorded["digest"]:
        raise InputError(
            f"'{path}' belongs to other weights of backbone '{recorded['name']}' than the ones given "
            f"(SHA-256 {recorded['digest'][:12]}… and {backbone.digest[:12]}…); "
            "give the file it was trained with"
        )
    if architecture.depth != backbone.depth:
        raise _damaged(
            path, f"its architecture has {architecture.depth} layers and the backbone {backbone.depth}"
        )
    network = Supernet(backbone.model, architecture, len(header["classes"]))
    if missing := sorted(network.module_tensors(architecture).keys() - tensors.keys()):
        others = f", and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise _damaged(path, f"it lacks the tensor {missing[0]}{others}")
    try:
        network.load_module_tensors({n: t for n, t in tensors.items() if not n.startswith(_BACKBONE)})
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    if wrong := [name for name, value in tensors.items() if not value.isfinite().all()]:
        raise _damaged(path, f"the tensor {wrong[0]} has values that are not finite")
    if "sha256" in metadata and metadata["sha256"] != content_digest(metadata["subnet"], tensors):
        raise _damaged(path, "its content was altered since it was written")
    network.eval()
    return Subnet(
        network=network,
        backbone=backbone,
        classes=tuple(header["classes"]),
        preprocessing=Preprocessing.from_dict(header["preprocessing"]),
        metrics=header["metrics"],
        training=header["training"],
        temperature=header["temperature"],
    )
