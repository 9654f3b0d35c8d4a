"""The pretrained features of a run's images, which the cache keeps beside the images of a large data set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.data_cache import keep
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import ImageRows
from search_spaces.errors import DamagedFile
from supernet import (
    Backbone,
    Precision,
    Preprocessing,
    Supernet,
    checked_bytes,
    checked_tensors,
    pooled_features,
)
from supernet.images import without_larger


def pretrained_features(
    network: Supernet, part: Part, backbone: Backbone, preprocessing: Preprocessing, precision: Precision
) -> Tensor:
    """Features ``(N, d)`` of ``part`` by the network without modules, on its device.

    A pass over all images of a large data set takes minutes, which every start would take again. So the
    features of images in the cache are kept beside them, and found again by whatever they depend on: weights,
    name of the backbone (two functions may share their weights), image size, precision, device, threads,
    version of torch, rows.
    """
    images, device = without_larger(part.images), network.head.weight.device
    file = None
    if isinstance(images, ImageRows) and isinstance(images.block, ImageFile):
        facts = [
            *(backbone.name, backbone.digest, backbone.image_size, preprocessing.to_dict(), precision),
            *(_of_device(device), torch.__version__),
        ]
        digest = hashlib.sha256(json.dumps(facts).encode() + images.rows.tobytes())
        file = images.block.path.with_name(f"features-{digest.hexdigest()}.safetensors")
        if (known := _read(file, len(part))) is not None:
            return known.to(device)
    found = pooled_features(network, images, preprocessing, precision=precision)
    if file is not None:
        keep(file, checked_bytes({"features": found.cpu().contiguous()}))
    return found


def _read(file: Path, rows: int) -> Tensor | None:
    if not file.exists():
        return None
    try:
        found = checked_tensors(file)[0]["features"]
    except DamagedFile:
        return None  # computed anew, and written over
    return found if len(found) == rows else None


def _of_device(device: torch.device) -> list[object]:
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [device.type, torch.get_num_threads()]
