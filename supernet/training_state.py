"""File of an unfinished training: parameters, the optimizer's moments and the curve, with a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.errors import DamagedFile
from supernet.atomic_file import write_atomically
from supernet.checked_tensors import checked_bytes, checked_tensors

_PARAMETER, _MOMENT = "parameter", "optimizer"
_CURVE = "curve"


def write_state(
    file: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    curve: Mapping[str, Any],
) -> None:
    """Write the state atomically, as a safetensors file.

    The optimizer's settings are not kept: a training that resumes has them from its recipe.
    """
    tensors: dict[str, Tensor] = {f"{_PARAMETER}/{name}": value.data for name, value in parameters.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"{_MOMENT}/{index}/{name}": value for name, value in moments.items()}
    # copies, because parameters may be views of one storage
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_atomically(file, checked_bytes(whole, {_CURVE: json.dumps(curve)}))


def read_state(
    file: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Set parameters and moments to the state in a file, and return its curve.

    Return ``None``, and change nothing, if there is no such file, or one that is cut off, altered or of an
    earlier version: the training then starts anew, and ends with the same numbers.
    """
    if not file.exists():
        return None
    try:
        tensors, metadata = checked_tensors(file)
    except DamagedFile:
        return None
    moments: dict[int, dict[str, Tensor]] = {}
    with torch.no_grad():
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == _PARAMETER:
                parameters[rest].copy_(value)
            else:
                index, _, moment = rest.partition("/")
                moments.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    curve: dict[str, Any] = json.loads(metadata[_CURVE])
    return curve
