"""The one backbone of several subnet files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from search_spaces import InputError
from supernet.backbones import Backbone, as_text, create_backbone, given_backbone
from supernet.checkpoint import load_subnet, read_header


def backbone_of_files(
    backbone: Backbone | nn.Module | str | None,
    files: Mapping[str, str | Path],
    weights: str | Path | None = None,
) -> Backbone:
    """The backbone that all ``files`` (by name of their task) were trained on.

    Args:
        backbone: the backbone, a timm model without classifier (which is frozen and set to evaluation mode),
            a name, or None for the backbone that the files name.
        files: subnet files; at least one unless a backbone is given.
        weights: weights file of a backbone that is given by name or by the files.

    Raises `InputError` if two files have different backbones (before any weights are read), if there is
    neither a file nor a backbone, and if weights are given beside a backbone that has some. Whether the
    backbone is that of the files is checked when each is loaded.
    """
    recorded = {task: read_header(file)["backbone"] for task, file in files.items()}
    _require_one(recorded)
    if weights is not None and isinstance(backbone, (Backbone, nn.Module)):
        raise InputError("the backbone that was given has weights; leave backbone_weights out")
    if isinstance(backbone, Backbone):
        return backbone
    first = next(iter(recorded.values()), None)
    side = None if first is None else first.get("image_size")
    image_size = None if side is None else (int(side[0]), int(side[1]))
    if isinstance(backbone, nn.Module):
        return given_backbone(backbone, None if first is None else str(first["name"]), image_size)
    if backbone is not None:
        return create_backbone(backbone, None if weights is None else Path(weights), image_size)
    if not files:
        raise InputError("there is no subnet file that names a backbone; give a file or a backbone")
    return load_subnet(next(iter(files.values())), backbone_weights=weights).backbone


def _require_one(recorded: Mapping[str, Mapping[str, Any]]) -> None:
    tasks = list(recorded)
    for task in tasks[1:]:
        one, other = recorded[tasks[0]], recorded[task]
        if all(one.get(key) == other.get(key) for key in ("digest", "image_size")):
            continue
        raise InputError(
            f"task '{tasks[0]}' was trained on backbone {_described(one)} and task '{task}' on "
            f"{_described(other)}; the tasks of a model share one backbone"
        )


def _described(recorded: Mapping[str, Any]) -> str:
    side = recorded.get("image_size")
    return (
        f"'{recorded['name']}'{f' at {as_text(side)}' if side else ''} (SHA-256 {recorded['digest'][:12]}…)"
    )
