"""A subnet as a program of ``torch.export``, for batches of any size."""

from __future__ import annotations

import torch
from torch.export import Dim, ExportedProgram

from supernet.supernet import Supernet


def traced(network: Supernet, image_size: tuple[int, int]) -> ExportedProgram:
    """The forward pass as a program without Python: normalised images ``(batch, 3, H, W)`` to logits.

    The height and width are fixed to ``image_size``. The program holds copies of all weights.
    """
    example = torch.zeros(2, 3, *image_size)  # at 1 torch would fix the size of the batch
    # with gradients on, layers change nothing in place, which a graph could not hold
    with torch.enable_grad():
        return torch.export.export(
            network.cpu().eval().requires_grad_(False),
            (example,),
            dynamic_shapes={"images": {0: Dim("batch", min=1)}},
        )
