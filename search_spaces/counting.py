"""How many trainable parameters an architecture has, without building it."""

from __future__ import annotations

from search_spaces.architecture import Architecture
from search_spaces.kinds import KINDS

# The capacity of the prompts in NOAH's released supernet; it enters the published counts, see below.
NOAH_PROMPT_CAPACITY = 100


def count_params(a: Architecture, width: int) -> int:
    """Trainable elements of the modules of `a` on a backbone with embedding `width`; the head is excluded.

    Σ over kinds and layers of `Kind.params(size, width)`. It equals the elements of the extracted tensors.
    """
    return sum(KINDS[kind].params(size, width) for kind, sizes in a.sizes for size in sizes)


def head_params(width: int, classes: int) -> int:
    """Elements of the linear head: a weight of `classes`×`width` and a bias of `classes`."""
    return (width + 1) * classes


def count_params_noah(a: Architecture, width: int) -> int:
    """The count that NOAH's released code reports and limits to .64M in its search; the head is excluded.

    Σ d·p_i + Σ 4d·r_i + Σ_{a_i>0} ((2d+1)·a_i + d) + [p_0>0]·d·(p_0+100), for d = `width`.

    The last term is a dead parameter block of that code: prompts before the first layer and a position
    embedding for them at the supernet's capacity of 100, both of which the first layer replaces by its own
    prompts. They have no effect, so `count_params` leaves them out. Use this rule only to compare with
    published numbers (arXiv 2206.04673).
    """
    first_prompts = a["prompt_tokens"][0]
    dead = width * (first_prompts + NOAH_PROMPT_CAPACITY) if first_prompts > 0 else 0
    return count_params(a, width) + dead
