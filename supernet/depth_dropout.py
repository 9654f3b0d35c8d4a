"""Drop path and dropout of modules: parts of a layer that are left out for some images of a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.streams import stream_seed
from supernet.class_balance import draw_row
from supernet.recipe import Recipe
from supernet.transfers import to_device


@dataclass(frozen=True)
class Kept:
    """Factors of a layer's parts for each of B images: 0 where a part is left out.

    Args:
        branches: ``(B, 2)``, of the attention and the MLP branch; ``None`` keeps both.
        modules: ``(B,)``, of the changes that modules make; ``None`` keeps them.
    """

    branches: Tensor | None = None
    modules: Tensor | None = None

    def branch(self, number: int, y: Tensor) -> Tensor:
        """The output ``y (B, N, d)`` of attention (0) or MLP (1), times its factors."""
        return y if self.branches is None else y * self.branches[:, number, None, None].to(y.dtype)

    def changed(self, y: Tensor, new: Tensor) -> Tensor:
        """The output ``y (B, …)`` of an operation, with the change to ``new`` times its factors."""
        if self.modules is None:
            return new
        factors = self.modules.view(-1, *[1] * (y.ndim - 1)).to(y.dtype)
        return y + factors * (new - y)


@dataclass(frozen=True)
class KeptLayers:
    """`Kept` of all layers: ``branches (B, L, 2)`` and ``modules (B, L)``."""

    branches: Tensor | None = None
    modules: Tensor | None = None

    def layer(self, index: int) -> Kept:
        """The factors of one layer."""
        return Kept(
            None if self.branches is None else self.branches[:, index],
            None if self.modules is None else self.modules[:, index],
        )


class DepthDropout:
    """Draws what is left out in a training; the factors of what stays keep the expectation.

    The probability that a branch is left out rises linearly from 0 in the first layer to ``drop_path`` in the
    last (stochastic depth, arXiv 1603.09382, as timm's models have it). The changes that all modules of a
    layer make are left out together, with ``module_dropout`` in each layer; prompts and vectors that are
    added before the first layer stay. Draws are tables with a row for each image, as those of `Augmenter`:
    they depend on seed, epoch and image only.

    Args:
        recipe: recipe with ``drop_path`` or ``module_dropout``.
        images: number of training images.
        layers: number of layers.
        seed: seed of the training.
        indices_on: device of the examples.
        device: device of the network.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        images: int,
        layers: int,
        seed: int,
        indices_on: torch.device,
        device: torch.device,
    ) -> None:
        self._recipe = recipe
        self._images = images
        self._layers = layers
        self._seed = seed
        self._indices_on = indices_on
        self._device = device
        self._drawn: KeptLayers | None = None

    def begin(self, epoch: int) -> None:
        """Draw for an epoch (from 0)."""
        generator = torch.Generator().manual_seed(stream_seed(self._seed, "depth dropout", epoch))
        share = torch.linspace(0, 1, self._layers) if self._layers > 1 else torch.ones(1)
        branches = modules = None
        if self._recipe.drop_path:
            keep = 1 - self._recipe.drop_path * share[:, None]
            drawn = torch.rand(self._images, self._layers, 2, generator=generator)
            branches = to_device((drawn < keep) / keep, self._indices_on)
        if self._recipe.module_dropout:
            keep = torch.tensor(1 - self._recipe.module_dropout)
            drawn = torch.rand(self._images, self._layers, generator=generator)
            modules = to_device((drawn < keep) / keep, self._indices_on)
        self._drawn = KeptLayers(branches, modules)

    def __call__(self, examples: Tensor) -> KeptLayers:
        """The factors for ``examples (B,)``. Raises ``ValueError`` before the first epoch has begun."""
        if self._drawn is None:
            raise ValueError("no epoch has begun; call begin first")
        rows = draw_row(examples, self._images)
        tables = (self._drawn.branches, self._drawn.modules)
        return KeptLayers(*(None if t is None else to_device(t[rows], self._device) for t in tables))


def depth_dropout(
    recipe: Recipe,
    *,
    images: int,
    layers: int,
    seed: int,
    indices_on: torch.device,
    device: torch.device,
) -> DepthDropout | None:
    """The `DepthDropout` of a training; ``None`` where the recipe leaves nothing out."""
    if not (recipe.drop_path or recipe.module_dropout):
        return None
    return DepthDropout(recipe, images=images, layers=layers, seed=seed, indices_on=indices_on, device=device)


def joined(
    parts: list[KeptLayers | None], images: int, layers: int, device: torch.device
) -> KeptLayers | None:
    """The factors of several models with ``images`` images each; ``None`` if no model leaves anything out."""
    if all(part is None for part in parts):
        return None
    found = [part or KeptLayers() for part in parts]
    branches = modules = None
    if any(part.branches is not None for part in found):
        ones = torch.ones(images, layers, 2, device=device)
        branches = torch.cat([ones if part.branches is None else part.branches for part in found])
    if any(part.modules is not None for part in found):
        ones = torch.ones(images, layers, device=device)
        modules = torch.cat([ones if part.modules is None else part.modules for part in found])
    return KeptLayers(branches, modules)
