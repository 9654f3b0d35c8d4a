"""File of one generation: its candidates, and their losses image by image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from nas_peft.searching.candidate import Candidate
from nas_peft.searching.racing import Losses
from supernet import checked_bytes, checked_tensors, write_atomically


@dataclass(frozen=True)
class Scored:
    """A generation with the loss of each candidate on each image ``(A, N)``; NaN where it was not scored.

    The images are in the order of the race. ``image_passes`` counts forward passes; a pass shared by several
    candidates counts once. ``peak_memory`` is in bytes, of the process that computed the losses (the largest
    of several), ``None`` where it cannot be measured.
    """

    candidates: list[Candidate]
    losses: Losses
    image_passes: float
    seconds: float
    peak_memory: int | None = None


def write_generation(path: Path, scored: Scored) -> None:
    """Write a generation atomically.

    Later candidates race against earlier ones image by image, and a search that resumes needs the same
    losses.
    """
    header = {
        "candidates": json.dumps([c.to_dict() for c in scored.candidates]),
        "image_passes": repr(scored.image_passes),
        "seconds": repr(scored.seconds),
        "peak_memory": json.dumps(scored.peak_memory),
    }
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, checked_bytes({"losses": torch.from_numpy(scored.losses)}, header))


def read_generation(path: Path) -> Scored | None:
    """The generation written by `write_generation`, or ``None`` if there is no such file.

    Raises `InputError` for a damaged file.
    """
    if not path.exists():
        return None
    tensors, header = checked_tensors(path)
    losses = tensors["losses"].numpy()
    candidates = [Candidate.from_dict(c) for c in json.loads(header["candidates"])]
    peak = json.loads(header.get("peak_memory", "null"))  # absent in runs of earlier versions
    return Scored(candidates, losses, float(header["image_passes"]), float(header["seconds"]), peak)
