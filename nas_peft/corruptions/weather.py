"""Corruptions by weather, and by what it leaves on a lens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_peft.corruptions.batch import (
    Generators,
    Parameters,
    Picture,
    Pictures,
    floats_of,
    in_floats,
    stacked,
)
from nas_peft.corruptions.geometry import enlarged, smeared
from nas_peft.corruptions.plasma import plasma

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # weights of ITU-R BT.601
_WATER = np.array([175, 238, 238], dtype=np.float32) / 255
_MUD = np.array([63, 42, 20], dtype=np.float32) / 255
_ICE = np.array([0.86, 0.93, 1.0], dtype=np.float32)


def snow(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Flakes that fall, and a picture that is whiter.

    The parameters are mean and deviation of the noise that flakes are made of, its enlargement, the value
    below which there is no flake, radius and width of the flakes' smear, and the share of the picture that
    keeps its colour.
    """
    mean, deviation, zoom, threshold, radius, sigma, kept = parameters
    return stacked(
        [
            _snowed(picture, rng, (mean, deviation, zoom, threshold), radius, sigma, kept)
            for picture, rng in zip(pictures, generators, strict=True)
        ]
    )


def _snowed(
    picture: Picture,
    rng: np.random.Generator,
    flakes: tuple[float, float, float, float],
    radius: int,
    sigma: float,
    kept: float,
) -> Picture:
    mean, deviation, zoom, threshold = flakes
    layer = rng.normal(mean, deviation, picture.shape[:2]).astype(np.float32)
    layer = enlarged(layer, zoom)
    layer = np.where(layer < threshold, np.float32(0), layer).clip(0, 1)
    layer = smeared(layer, radius, sigma, rng.uniform(-135, -45))[..., None]
    whiter = np.maximum(picture, (picture @ _GREY)[..., None] * 1.5 + 0.5)
    turned = np.rot90(layer, 2)
    return in_floats(kept * picture + (1 - kept) * whiter + layer + turned)


def frost(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Ice on the lens; the parameters are the weights of picture and ice.

    The published sets add parts of six photographs of frost. Here the ice is drawn: bluish ridges where two
    maps of clouds cross their middle, denser in some places than in others.
    """
    of_picture, of_ice = parameters
    found = []
    for picture, rng in zip(pictures, generators, strict=True):
        side = max(picture.shape[:2])
        ridges = np.maximum(_ridges(side, rng), _ridges(side, rng))
        density = plasma(side, 2.5, rng)
        ice = (0.25 + 0.75 * ridges * (0.4 + 0.6 * density))[: picture.shape[0], : picture.shape[1], None]
        found.append(of_picture * picture + of_ice * ice * _ICE)
    return stacked(found)


def _ridges(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    clouds = plasma(side, 1.7, rng)
    return in_floats(np.exp(-(((clouds - np.median(clouds)) / 0.12) ** 2)))


def fog(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Clouds in front of the picture; the parameters are their weight and the decay of `plasma`."""
    weight, decay = parameters
    found = []
    for picture, rng in zip(pictures, generators, strict=True):
        height, width = picture.shape[:2]
        clouds = plasma(max(height, width), decay, rng)[:height, :width, None]
        brightest = picture.max()
        found.append((picture + weight * clouds) * brightest / (brightest + weight))
    return stacked(found)


def brightness(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """A picture that is lighter by the only parameter, in the value of HSV."""
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    (more,) = parameters
    hsv = rgb_to_hsv(pictures)
    hsv[..., 2] = (hsv[..., 2] + more).clip(0, 1)
    return in_floats(hsv_to_rgb(hsv))


def spatter(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Drops of water, or splashes of mud, on the lens.

    The parameters are mean and deviation of the noise that drops are made of, the width of its blur, the
    value below which there is no drop, the strength of water or the width of the blur of mud, and whether
    it is mud. Edges of drops are found by their slope, where the published sets use Canny's detector.
    """
    mean, deviation, sigma, threshold, last, mud = parameters
    found = []
    for picture, rng in zip(pictures, generators, strict=True):
        liquid = _liquid(picture.shape[:2], rng, (mean, deviation, sigma, threshold))
        found.append(_muddy(picture, liquid, last) if mud else _wet(picture, liquid, last))
    return stacked(found)


def _liquid(
    shape: tuple[int, ...], rng: np.random.Generator, drops: tuple[float, float, float, float]
) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    mean, deviation, sigma, threshold = drops
    layer = gaussian_filter(rng.normal(mean, deviation, shape), sigma, mode="nearest")
    return in_floats(np.where(layer < threshold, 0, layer))


def _muddy(picture: Picture, liquid: NDArray[np.float32], sigma: float) -> Picture:
    from scipy.ndimage import gaussian_filter

    cover = gaussian_filter((liquid > 0).astype(np.float32), sigma, mode="nearest")
    cover = np.where(cover < 0.8, 0, cover)[..., None]
    return in_floats(picture * (1 - cover) + _MUD * cover)


def _wet(picture: Picture, liquid: NDArray[np.float32], strength: float) -> Picture:
    from scipy.ndimage import convolve, distance_transform_edt, sobel, uniform_filter

    if not liquid.any():
        return picture
    slope = np.hypot(sobel(liquid, axis=0), sobel(liquid, axis=1))
    distance = distance_transform_edt(slope < slope.max() / 4).clip(0, 20)
    levels = _equalised(uniform_filter(distance, 3).astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)
    lit = uniform_filter(convolve(levels, emboss).clip(0, 1), 3)
    water = liquid * lit
    if water.max() > 0:
        water = water / water.max() * strength
    return in_floats(picture + water[..., None] * _WATER)


def _equalised(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Values spread so that their histogram is flat, from 0 to 1."""
    counted = np.bincount(values.ravel(), minlength=256).cumsum()
    first = counted[counted > 0][0]
    if counted[-1] == first:
        return floats_of(values)
    spread = (counted - first) / (counted[-1] - first)
    return in_floats(spread[values])
