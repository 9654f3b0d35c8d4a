"""A candidate with inherited weights: its network and its tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas_peft.scoring.scorer import Fold
from search_spaces import Architecture
from supernet import Supernet


def inherited_network(folds: Sequence[Fold], architecture: Architecture) -> Supernet:
    """The subnet with its inherited weights; with several supernets, the mean of their weights.

    Supernets of different folds start from the same weights and share most images, so their weights can be
    averaged as in model soups (Wortsman et al. 2022, arXiv 2203.05482); the mean takes one forward pass.
    """
    networks = [fold.supernet.extract(architecture) for fold in folds]
    tensors = [network.module_tensors(architecture) for network in networks]
    mean = {name: torch.stack([t[name] for t in tensors]).mean(dim=0) for name in tensors[0]}
    networks[0].load_module_tensors(mean)
    return networks[0].eval()


def inherited_tensors(folds: Sequence[Fold], architecture: Architecture) -> dict[str, Tensor]:
    """Copies on the CPU of the modules and head of `inherited_network`, by name."""
    tensors = inherited_network(folds, architecture).module_tensors(architecture)
    return {name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()}
