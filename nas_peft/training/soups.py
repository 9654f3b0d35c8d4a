"""Model soups: averages of the weights of several trainings from the same initial values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas_peft.training.val_score import ValScore


@dataclass(frozen=True)
class GreedySoup:
    """The ingredients of a greedy soup (ascending indices), and its validation score."""

    members: tuple[int, ...]
    score: ValScore


def uniform_soup(ingredients: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of the ingredients, tensor by tensor: θ = (θ₁ + ... + θₖ) / k (arXiv 2203.05482).

    Ingredients must come from one initialisation: LoRA's product B·A is not linear in its factors, and units
    of networks that started apart do not correspond. Sums are taken in float64, so that the mean of copies is
    the copy. Integer tensors (index tables of a backbone) are not averaged and must be equal.

    Raises ``ValueError`` for no ingredient, and for ingredients whose tensors do not fit.
    """
    if not ingredients:
        raise ValueError("a soup needs at least one ingredient")
    return {name: _mean(name, [i[name] for i in ingredients]) for name in fitting_names(ingredients)}


def greedy_soup(
    ingredients: Sequence[Mapping[str, Tensor]],
    scores: Sequence[ValScore],
    measure: Callable[[Mapping[str, Tensor]], ValScore],
) -> GreedySoup:
    """Choose ingredients by validation data: recipe 1 of Wortsman et al. 2022 (arXiv 2203.05482).

    Each ingredient, best first, is added if the average is then not worse: its accuracy does not fall, and if
    the accuracy stays the same, its loss does not rise. So the soup is never worse on the validation set than
    its best ingredient.

    Args:
        ingredients: tensors by name, of trainings from the same initial values.
        scores: score of each ingredient on the validation set.
        measure: scores an average on the validation set.

    Raises ``ValueError`` as `uniform_soup` does.
    """
    fitting_names(ingredients)
    ranked = sorted(range(len(ingredients)), key=lambda i: (scores[i].rank_key(), i))
    if not ranked:
        raise ValueError("a soup needs at least one ingredient")
    found = GreedySoup((ranked[0],), scores[ranked[0]])
    for index in ranked[1:]:
        members = tuple(sorted((*found.members, index)))
        score = measure(uniform_soup([ingredients[i] for i in members]))
        if score.rank_key() <= found.score.rank_key():
            found = GreedySoup(members, score)
    return found


def fitting_names(networks: Sequence[Mapping[str, Tensor]]) -> list[str]:
    """Names of the tensors shared by all networks. Raises ``ValueError`` if names, shapes or types differ."""
    if not networks:
        return []
    first = networks[0]
    for other in networks[1:]:
        if different := sorted(first.keys() ^ other.keys()):
            raise ValueError(
                f"weights of different networks cannot be averaged: only one has {different[0]!r}"
            )
        for name, tensor in first.items():
            if (tensor.shape, tensor.dtype) != (other[name].shape, other[name].dtype):
                raise ValueError(f"{name!r} differs in shape or type: the weights cannot be averaged")
    return list(first)


def _mean(name: str, tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if first.is_floating_point():
        return torch.stack([t.double() for t in tensors]).mean(dim=0).to(first.dtype)
    if not all(torch.equal(first, t) for t in tensors[1:]):
        raise ValueError(f"integer tensor {name!r} differs between the networks and cannot be averaged")
    return first.clone()
