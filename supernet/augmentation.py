"""Augmentation of training images: crops, flips, stronger changes and mixing, by image and epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from search_spaces import InputError
from search_spaces.streams import stream, stream_seed
from supernet.augmix import augmix, draw_chains
from supernet.class_balance import draw_row, image_of
from supernet.images import Images, TwoSizes, without_larger
from supernet.preprocessing import Preprocessing
from supernet.resampling import resampled
from supernet.targets import Targets
from supernet.transfers import to_device
from supernet.trivial_augment import OPERATIONS, STRENGTHS, trivial_augment

AugmentationName: TypeAlias = Literal["none", "crop", "crop-flip", "strong", "mixup", "cutmix", "augmix"]

AUGMENTATIONS: tuple[AugmentationName, ...] = get_args(AugmentationName)
"""Names of the augmentations.

The first four are weakest first, and each contains the ones before it; mixup and cutmix contain crops, augmix
does not.
"""

UNCROPPED: tuple[AugmentationName, ...] = ("none", "augmix")
"""Those that show the whole image."""

CROP_AREA = (0.5, 1.0)
"""Share of the image's area that a crop shows."""
CROP_RATIO = (3 / 4, 4 / 3)
"""Aspect ratio of a crop, relative to that of the image."""
ERASED = 0.25
"""Share of images in which a rectangle is erased."""
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 3.3)
MIXED = {"mixup": 0.2, "cutmix": 1.0}
"""Parameter α of the Beta(α, α) that shares of mixed images are drawn from, as torchvision's and timm's."""


def require_augmentation(name: str) -> None:
    """Raise `InputError` for an unknown augmentation."""
    if name not in AUGMENTATIONS:
        raise InputError(f"augmentation is '{name}'; give one of {', '.join(AUGMENTATIONS)}")


@dataclass(frozen=True)
class Draws:
    """The random draws of one epoch: one row for each image of the training set.

    Args:
        crops: float32 ``(N, 2, 3)``, the affine map of each crop, see `resampled`; ``None`` for ``augmix``.
        flips: bool ``(N,)``, whether the crop is mirrored; ``None`` without flips.
        operations: int64 ``(N,)``, index of the operation in `OPERATIONS`; ``None`` unless ``strong``.
        strengths: float32 ``(N,)``, signed strength of the operation; ``None`` unless ``strong``.
        erased: int64 ``(N, 4)``, top, bottom, left and right of the erased rectangle in pixels (empty where
            nothing is erased); ``None`` unless ``strong``.
        partners: int64 ``(N,)``, index of the image that each is mixed with; ``None`` unless mixed.
        shares: float32 ``(N,)``, the image's own share; ``None`` unless mixed.
        pasted: int64 ``(N, 4)``, the partner's rectangle as ``erased``; ``None`` unless ``cutmix``.
        chains: operations, strengths and shares of `draw_chains`; ``None`` unless ``augmix``.
    """

    crops: Tensor | None
    flips: Tensor | None = None
    operations: Tensor | None = None
    strengths: Tensor | None = None
    erased: Tensor | None = None
    partners: Tensor | None = None
    shares: Tensor | None = None
    pasted: Tensor | None = None
    chains: tuple[Tensor, ...] | None = None

    def on(self, device: torch.device) -> Draws:
        """The draws on ``device``."""

        def moved(table: Tensor | tuple[Tensor, ...] | None) -> Any:
            if isinstance(table, tuple):
                return tuple(to_device(one, device) for one in table)
            return None if table is None else to_device(table, device)

        return Draws(*(moved(getattr(self, field.name)) for field in fields(self)))


def draw(name: AugmentationName, images: int, size: tuple[int, int], seed: int, epoch: int) -> Draws:
    """The draws of an epoch for ``images`` images of ``size`` (height, width), by a stream of (seed, epoch).

    A stronger augmentation begins with the draws of the weaker: ``crop-flip`` has the crops of ``crop``.
    """
    if name == "augmix":
        return Draws(None, chains=draw_chains(images, stream(seed, "augmix", epoch)))
    generator = torch.Generator().manual_seed(stream_seed(seed, "augmentation", epoch))

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        drawn = torch.rand(images, dtype=torch.float64, generator=generator)
        return low + (high - low) * drawn

    def sides(area: tuple[float, float], ratio: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """Height and width of rectangles, as shares of the image's sides."""
        shown, shape = uniform(*area), uniform(math.log(ratio[0]), math.log(ratio[1])).exp()
        return (shown / shape).sqrt().clamp(max=1), (shown * shape).sqrt().clamp(max=1)

    height, width = size
    tall, wide = sides(CROP_AREA, CROP_RATIO)
    crops = torch.zeros(images, 2, 3, dtype=torch.float64)
    crops[:, 0, 0], crops[:, 1, 1] = wide, tall
    crops[:, 0, 2] = (uniform() - 0.5) * (1 - wide) * width
    crops[:, 1, 2] = (uniform() - 0.5) * (1 - tall) * height
    draws = Draws(crops.float())
    if name == "crop":
        return draws
    if name in MIXED:
        return _with_partners(draws, name, size, generator, stream(seed, "mixing", epoch))
    flips = uniform() < 0.5
    if name == "crop-flip":
        return Draws(draws.crops, flips)
    operations = (uniform() * len(OPERATIONS)).long()
    strengths = (uniform() * STRENGTHS).floor() / (STRENGTHS - 1)
    signed = torch.where(uniform() < 0.5, -strengths, strengths)
    chosen = uniform() < ERASED
    tall, wide = sides(ERASED_AREA, ERASED_RATIO)
    rows, columns = ((tall * height).round(), (wide * width).round())
    top, left = (uniform() * (height - rows + 1)).floor(), (uniform() * (width - columns + 1)).floor()
    bottom = torch.where(chosen, top + rows, top)
    erased = torch.stack([top, bottom, left, left + columns], dim=1).long()
    return Draws(draws.crops, flips, operations, signed.float(), erased)


def _with_partners(
    draws: Draws, name: str, size: tuple[int, int], generator: torch.Generator, shares: np.random.Generator
) -> Draws:
    """``draws`` with the images that are mixed in, and the shares of both."""
    assert draws.crops is not None  # both images are cropped
    images, (height, width) = len(draws.crops), size
    partners = torch.randint(images, (images,), generator=generator)
    share = torch.from_numpy(shares.beta(MIXED[name], MIXED[name], images))
    if name == "mixup":
        return replace(draws, partners=partners, shares=share.float())
    # a rectangle of the partner's share of the area, centred anywhere and cut at the image's edges
    centre = torch.rand(2, images, dtype=torch.float64, generator=generator)
    half = (1 - share).sqrt() / 2
    top, bottom = (
        (y * height).round() for y in ((centre[0] - half).clamp(0), (centre[0] + half).clamp(max=1))
    )
    left, right = (
        (x * width).round() for x in ((centre[1] - half).clamp(0), (centre[1] + half).clamp(max=1))
    )
    own = 1 - (bottom - top) * (right - left) / (height * width)
    pasted = torch.stack([top, bottom, left, right], dim=1).long()
    return replace(draws, partners=partners, shares=own.float(), pasted=pasted)


class Augmenter:
    """Augments the batches of one training.

    ``crop`` shows a random part of each image, `CROP_AREA` of its area, resampled to the full size. Shares of
    the image suit every image size, which a shift by pixels does not; and at least half of the image remains,
    because trainings are short and data sets small: crops of 8% of the area, as in pretraining, would often
    miss the object. Where the training set has larger images (`TwoSizes`), crops are cut from them.
    ``crop-flip`` also mirrors half of the images. ``strong`` then applies one operation of
    TrivialAugment (`trivial_augment`) to each image, and erases a rectangle in a quarter of them (random
    erasing, arXiv 1708.04896). Pixels without image have the mean colour of the preprocessing. ``mixup``
    (arXiv 1710.09412) averages each crop with that of another training image, and ``cutmix``
    (arXiv 1905.04899) pastes a rectangle of the other; `targets` has both labels. Other images are drawn from
    the whole training set with equal chances, not from the batch. ``augmix`` mixes the whole image with
    changed versions of itself (`augmix`).

    All draws of an epoch are tables with a row for each image of the training set, so the pixels of an image
    depend on seed, epoch and image only: not on the order of images, the batches and their parts, the number
    of processes, or a resumed training. Where an image occurs several times in an epoch
    (`balanced_examples`), each of its examples has the draws of another row.

    Args:
        name: an augmentation other than ``none``; see `augmenter`.
        images: uint8 ``(N, 3, H, W)``, the training set, or `TwoSizes`.
        seed: seed of the training.
        preprocessing: preprocessing whose mean colour fills empty pixels.
        indices_on: device of the image indices.
    """

    def __init__(
        self,
        name: AugmentationName,
        *,
        images: Images,
        seed: int,
        preprocessing: Preprocessing,
        indices_on: torch.device,
    ) -> None:
        self._name = name
        images = read_for([name], images)
        self._images = images.larger if isinstance(images, TwoSizes) else images
        height, width = images.shape[-2:]
        self._size = (height, width)
        self._seed = seed
        self._fill = torch.tensor(preprocessing.mean).mul(255).round().to(torch.uint8)
        self._indices_on = indices_on
        self._draws: Draws | None = None

    def begin(self, epoch: int) -> None:
        """Draw for an epoch (from 0)."""
        drawn = draw(self._name, len(self._images), self._size, self._seed, epoch)
        self._draws = drawn.on(self._indices_on)

    def __call__(self, examples: Tensor, device: torch.device) -> Tensor:
        """The augmented images of the ``examples (B,)`` of the training set, on ``device``.

        They are uint8 ``(B, 3, H, W)``. Raises ``ValueError`` before the first epoch has begun.
        """
        draws, rows = self._begun(), draw_row(examples, len(self._images))

        def of_batch(table: Tensor) -> Tensor:
            return to_device(table[rows], device)

        def shown(images: Tensor, of: Tensor) -> Tensor:
            pixels = to_device(self._images[to_device(images, self._images.device)], device)
            if draws.crops is None:
                return pixels
            return resampled(pixels, to_device(draws.crops[of], device), size=self._size)

        x = shown(image_of(examples, len(self._images)), rows)
        if draws.chains is not None:
            operations, strengths, shares = map(of_batch, draws.chains)
            return augmix(x, operations, strengths, shares, to_device(self._fill, device))
        if draws.partners is not None and draws.shares is not None:
            partners = draws.partners[rows]
            others = shown(partners, partners)
            if draws.pasted is not None:
                return torch.where(_inside(of_batch(draws.pasted), x), others, x)
            own = of_batch(draws.shares)[:, None, None, None]
            return (own * x + (1 - own) * others).round().to(torch.uint8)
        if draws.flips is not None:
            x = torch.where(of_batch(draws.flips)[:, None, None, None], x.flip(-1), x)
        if draws.operations is None or draws.strengths is None or draws.erased is None:
            return x
        fill = to_device(self._fill, device)
        x = trivial_augment(x, of_batch(draws.operations), of_batch(draws.strengths), fill)
        return _erased(x, of_batch(draws.erased), fill)

    def targets(self, labels: Tensor, examples: Tensor) -> Targets:
        """The targets of ``examples (B,)``; ``labels (N,)`` are those of the training set."""
        own, draws = labels[image_of(examples, len(labels))], self._begun()
        if draws.partners is None or draws.shares is None:
            return Targets(own)
        rows = draw_row(examples, len(self._images))
        return Targets(own, labels[draws.partners[rows]], draws.shares[rows])

    def _begun(self) -> Draws:
        if self._draws is None:
            raise ValueError("no epoch has begun; call begin first")
        return self._draws


def augmenter(
    name: AugmentationName,
    images: Images,
    *,
    seed: int,
    preprocessing: Preprocessing,
    indices_on: torch.device,
) -> Augmenter | None:
    """The `Augmenter` of a training on ``images (N, 3, H, W)``, or `TwoSizes`; ``None`` for ``none``."""
    if name == "none":
        return None
    return Augmenter(name, images=images, seed=seed, preprocessing=preprocessing, indices_on=indices_on)


def read_for(names: Iterable[AugmentationName], images: Images) -> Images:
    """What trainings with augmentations of these names read: larger copies only where crops are cut.

    So that copies which nothing reads take no memory of a GPU.
    """
    return images if any(name not in UNCROPPED for name in names) else without_larger(images)


def _erased(images: Tensor, rectangles: Tensor, fill: Tensor) -> Tensor:
    """``images`` with a rectangle of each (top, bottom, left, right, in pixels) in the colour ``fill``."""
    return torch.where(_inside(rectangles, images), fill[:, None, None], images)


def _inside(rectangles: Tensor, images: Tensor) -> Tensor:
    """Whether each pixel of ``images (B, 3, H, W)`` is in its rectangle, ``(B, 1, H, W)``."""
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[-2:])
    top, bottom, left, right = rectangles.T[:, :, None]
    of_rows, of_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    inside: Tensor = of_rows[:, None, :, None] & of_columns[:, None, None, :]
    return inside
