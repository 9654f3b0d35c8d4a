"""Initial values of LoRA from the activations of the pretrained network: EVA."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from supernet.images import Images
from supernet.layer import Applied, after_attention, queries_keys_values
from supernet.modules import Place
from supernet.modules.lora import LowRank
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet
from supernet.transfers import to_device

MOST_IMAGES = 1024
"""Images that are read at most, spread evenly over those that are given."""


@torch.no_grad()
def start_from_activations(
    network: Supernet, images: Images, preprocessing: Preprocessing, *, batch_size: int = 64
) -> None:
    """Set each LoRA's A to the directions in which the inputs of its projection are largest.

    After Paischer et al. (arXiv 2410.07170): row i of A ``(r, in)`` is the right singular vector of the i-th
    largest singular value of the pretrained network's activations at that projection, one row a token.
    Vectors have length 1 and their largest element is positive, so that they are determined. B stays zero,
    so nothing is changed at step 0. Ranks beyond the number of inputs keep their values.

    Args:
        network: a network with LoRA on projections; modules of other kinds stay as they are.
        images: uint8 images ``(N, 3, H, W)``, of which `MOST_IMAGES` are read.
        preprocessing: the normalisation of the images.
        batch_size: images of a forward pass.
    """
    modules = [
        [module for module in cast(nn.ModuleDict, layer).values() if isinstance(module, LowRank)]
        for layer in network.layers
    ]
    moments: list[dict[Place, Tensor]] = [{m.places[0]: _no_moments(m) for m in layer} for layer in modules]
    read = torch.arange(0, len(images), math.ceil(len(images) / MOST_IMAGES), device=images.device)
    device = network.head.weight.device
    normalise = preprocessing.on(device)
    for start in range(0, len(read), batch_size):
        _add_moments(network, normalise(to_device(images[read[start : start + batch_size]], device)), moments)
    for layer, own in zip(modules, moments, strict=True):
        for module in layer:
            _set_directions(module, own[module.places[0]])


def _no_moments(module: LowRank) -> Tensor:
    return module.down.new_zeros(module.inputs, module.inputs, dtype=torch.float64)


def _add_moments(network: Supernet, images: Tensor, moments: list[dict[Place, Tensor]]) -> None:
    """Add the second moments of the inputs of each place, over all tokens, in a pass without modules."""
    x, at = network.trunk.embed(images)
    for layer, own, where in zip(network.trunk.layers, moments, at, strict=True):

        def remembered(place: Place, x: Tensor, y: Tensor, own: dict[Place, Tensor] = own) -> Tensor:
            rows = x.flatten(0, -2).double()
            own[place].addmm_(rows.T, rows)
            return y

        applied = Applied(own, remembered)
        qkv, h = queries_keys_values(layer, x, applied)
        x = after_attention(layer, x, h, layer.attend(qkv, None, None, where), applied)


def _set_directions(module: LowRank, moments: Tensor) -> None:
    """Set A to the eigenvectors of the largest eigenvalues of ``moments (in, in)``."""
    _, vectors = torch.linalg.eigh(moments.cpu())  # in ascending order, as columns
    directions = vectors.flip(1).T[: module.capacity]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    module.down[: len(directions)] = (directions * largest.sign()).to(module.down)
