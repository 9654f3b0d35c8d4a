"""Affine resampling of image batches, with a map for each image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resampled(
    images: Tensor, maps: Tensor, fill: Tensor | None = None, size: tuple[int, int] | None = None
) -> Tensor:
    """Resample uint8 ``images (B, C, H, W)`` bilinearly by affine ``maps (B, 2, 3)``.

    A map gives, for a pixel (x, y) of the result, the place in the image: both in pixels of the result, from
    the centre. Places outside the image have the colour ``fill (C,)``, by default that of the nearest pixel.
    The result has the height and width ``size``, by default those of the images; images of another size are
    read as if they had been resized to it, with all of their pixels.
    """
    height, width = size or images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.float32) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=torch.float32) - (height - 1) / 2)[:, None]
    # Sums of products, element by element: a matrix product may round otherwise in a batch of another size.
    xx, xy, x0, yx, yy, y0 = maps.flatten(1)[:, :, None, None].unbind(1)
    at_x, at_y = xx * x + xy * y + x0, yx * x + yy * y + y0
    grid = torch.stack([at_x * (2 / width), at_y * (2 / height)], dim=-1)
    pixels = images.float()
    if fill is None:
        found = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    else:
        colour = fill.float()[:, None, None]
        found = F.grid_sample(pixels - colour, grid, padding_mode="zeros", align_corners=False) + colour
    return found.round().clamp(0, 255).to(torch.uint8)
