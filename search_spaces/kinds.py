"""The kinds of module a subnet may hold, and what one module of each costs.

A kind is a name with a size: how many prompts, which rank, how many hidden units. Everything in this package
treats kinds alike through `KINDS`, so that a new kind is one `register_kind` call here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of parameter-efficient module.

    `name` is the spelling in flags, YAML, JSON and code; `label` is how people call it.
    `params(size, width)` is the number of trainable elements of a module of `size` in one layer of a Vision
    Transformer with embedding `width`: 0 at size 0, positive and increasing above. Sampling relies on both.
    """

    name: str
    label: str
    params: Callable[[int, int], int]


KINDS: dict[str, Kind] = {}


def register_kind(kind: Kind) -> None:
    """Make `kind` known to architectures, spaces and counting.

    Raises ValueError where the name is taken. `depth` is taken too: it is the other key of an architecture's
    dict.
    """
    if kind.name in KINDS or kind.name == "depth":
        raise ValueError(f"the module kind name '{kind.name}' is taken; give the new kind another name")
    KINDS[kind.name] = kind


def _prompt_params(size: int, width: int) -> int:
    return width * size


def _lora_params(size: int, width: int) -> int:
    return 4 * width * size


def _adapter_params(size: int, width: int) -> int:
    return (2 * width + 1) * size + width if size > 0 else 0


# VPT-deep (Jia et al. 2022, arXiv 2203.12119): p tokens of the embedding's width in each layer.
register_kind(Kind("prompt_tokens", "VPT", _prompt_params))
# LoRA (Hu et al. 2021, arXiv 2106.09685) on the fused query, key and value: A is r×d and B is 3d×r.
register_kind(Kind("lora_rank", "LoRA", _lora_params))
# Adapter (Houlsby et al. 2019, arXiv 1902.00751): a×d down with bias a, d×a up with bias d. An absent adapter
# has no bias either, hence the jump from 0 to 1.
register_kind(Kind("adapter_dim", "Adapter", _adapter_params))
