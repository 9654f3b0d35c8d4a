"""Corruptions by computation: contrast, colour, stretching, coarse pixels and compression."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas_peft.corruptions.batch import (
    Generators,
    Parameters,
    Picture,
    Pictures,
    bytes_of,
    floats_of,
    in_floats,
    stacked,
)


def contrast(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Values nearer to the mean of their channel; the only parameter is the share of the distance kept."""
    (kept,) = parameters
    means = pictures.mean(axis=(1, 2), keepdims=True)
    return in_floats((pictures - means) * kept + means)


def saturate(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Another saturation of HSV: parameters are the factor and what is then added."""
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    factor, more = parameters
    hsv = rgb_to_hsv(pictures)
    hsv[..., 1] = (hsv[..., 1] * factor + more).clip(0, 1)
    return in_floats(hsv_to_rgb(hsv))


def elastic_transform(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """A picture on rubber: a random affine map, then a displacement of every pixel.

    The parameters are the strength of the displacement, the width of its smoothing, and the largest move
    of the affine map's three points, each as a share of the shorter side.
    """
    return stacked([_stretched(x, parameters, rng) for x, rng in zip(pictures, generators, strict=True)])


def _stretched(picture: Picture, parameters: Parameters, rng: np.random.Generator) -> Picture:
    from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

    height, width = picture.shape[:2]
    side = min(height, width)
    strength, smooth, move = (share * side for share in parameters)
    centre, third = np.array([height // 2, width // 2]), side // 3
    before = np.stack([centre + third, centre + [third, -third], centre - third]).astype(float)
    after = before + rng.uniform(-move, move, before.shape)
    # the map from a place in the result to its place in the picture
    back = np.linalg.solve(np.c_[after, np.ones(3)], before).T
    moved = np.stack(
        [
            affine_transform(picture[..., c], back[:, :2], back[:, 2], order=1, mode="mirror")
            for c in range(3)
        ],
        axis=-1,
    )
    if strength == 0:
        return moved.astype(np.float32)

    def displacement() -> NDArray[np.float64]:
        drawn = rng.uniform(-1, 1, (height, width))
        smoothed: NDArray[np.float64] = gaussian_filter(drawn, smooth, mode="reflect", truncate=3) * strength
        return smoothed

    right, down = displacement(), displacement()
    y, x = np.mgrid[:height, :width]
    places = np.stack([y + down, x + right])
    return np.stack(
        [map_coordinates(moved[..., c], places, order=1, mode="reflect") for c in range(3)], axis=-1
    ).astype(np.float32)


def pixelate(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """A picture of fewer pixels; the only parameter is the share of a side that is left."""
    (share,) = parameters
    found = []
    for pixels in bytes_of(pictures):
        height, width = pixels.shape[:2]
        small = Image.fromarray(pixels).resize(
            (int(width * share), int(height * share)), Image.Resampling.BOX
        )
        found.append(np.asarray(small.resize((width, height), Image.Resampling.BOX)))
    return floats_of(np.stack(found))


def jpeg_compression(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """A picture as JPEG of the quality that is the only parameter."""
    (quality,) = parameters
    found = []
    for pixels in bytes_of(pictures):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            found.append(np.asarray(image))
    return floats_of(np.stack(found))
