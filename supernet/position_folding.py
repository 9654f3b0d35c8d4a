"""Folding of vectors that are added to the tokens into a backbone's own position embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from supernet.trunk import Trunk

PREFIX = ("cls_token", "dist_token", "reg_token")
"""Parameters of the tokens before the patches, in timm's order."""


@torch.no_grad()
def fold_positions(trunk: Trunk, added: Tensor) -> bool:
    """Fold ``added (N, d)``, a vector for each token before the first layer, into the backbone's parameters.

    Where the position embedding has no rows for class and register tokens, their vectors go into the tokens.
    Returns False, with the backbone unchanged, if it has no table of positions (rotary or relative ones), or
    changes the tokens after the table was added (a normalisation before the layers).
    """
    changes = _changes(trunk, added)
    if changes is None:
        return False
    wanted = _tokens(trunk) + added
    originals = [parameter.clone() for parameter, _ in changes]
    for parameter, change in changes:
        parameter.add_(change)
    if torch.allclose(_tokens(trunk), wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max())):
        return True
    for (parameter, _), original in zip(changes, originals, strict=True):
        parameter.copy_(original)
    return False


def _changes(trunk: Trunk, added: Tensor) -> list[tuple[nn.Parameter, Tensor]] | None:
    """What to add to each parameter; None if no parameters are added to all tokens."""
    table = getattr(trunk.model, "pos_embed", None)
    if not isinstance(table, nn.Parameter) or table.shape[-1] != added.shape[-1]:
        return None
    if table.shape[1] == len(added):
        return [(table, added[None])]
    tokens = [getattr(trunk.model, name, None) for name in PREFIX]
    parameters = [token for token in tokens if isinstance(token, nn.Parameter)] + [table]
    sizes = [parameter.shape[1] for parameter in parameters]
    if sum(sizes) != len(added):
        return None
    parts = torch.split(added, sizes)
    return [(parameter, part[None]) for parameter, part in zip(parameters, parts, strict=True)]


def _tokens(trunk: Trunk) -> Tensor:
    """The tokens ``(1, N, d)`` of an image of noise, before the first layer."""
    height, width = trunk.model.patch_embed.img_size
    example = next(trunk.model.parameters())
    noise = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return trunk.embed(noise.to(example.device, example.dtype))[0]
