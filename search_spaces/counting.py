"""Cost of an architecture without building the network: parameters, floating point operations, bytes."""

from __future__ import annotations

from search_spaces.architecture import Architecture
from search_spaces.kinds import KINDS
from search_spaces.shape import BackboneShape

# The capacity of the prompts in NOAH's released supernet; it enters the published counts, see below.
NOAH_PROMPT_CAPACITY = 100


def count_params(a: Architecture, shape: BackboneShape) -> int:
    """Trainable elements of the modules of `a` on a backbone of `shape`; the head is excluded.

    Σ over kinds and layers of `Kind.params(size, shape)`, which equals the element count of the extracted
    tensors.
    """
    return sum(KINDS[kind].params(size, shape) for kind, sizes in a.sizes for size in sizes)


def head_params(width: int, classes: int) -> int:
    """Elements of the linear head: a weight of `classes`×`width` and a bias of `classes`."""
    return (width + 1) * classes


def count_bytes(a: Architecture, shape: BackboneShape, classes: int, element_bytes: int = 4) -> int:
    """Bytes of a subnet's tensors in a checkpoint, head included, file header (a few kilobytes) excluded.

    `element_bytes` is 4 for float32.
    """
    return element_bytes * (count_params(a, shape) + head_params(shape.width, classes))


def count_flops(a: Architecture, shape: BackboneShape, classes: int) -> int:
    """Floating point operations of a forward pass on one image; a multiply-add counts as two.

    Counts matrix products only, as fvcore and torch's FlopCounterMode do; the count agrees exactly with the
    latter. With N tokens (VPT-shallow included), P prompts of VPT-deep, width d and attention width e, a
    layer costs

        2(N+P)·d·3e + 4·N·(N+P)·e + 2N·e·d + 2N·(d·fc1_width + hidden_width·d)

    plus the operations of its modules. Prompts cost more than parameters: they pass the projection, and every
    token attends to them.
    """
    total = shape.outside_flops + 2 * shape.width * classes
    n = shape.tokens + a["shallow_prompt_tokens"][0]
    d, e = shape.width, shape.attention_width
    prompts = a["prompt_tokens"]
    for p in prompts:
        total += 2 * (n + p) * d * 3 * e + 4 * n * (n + p) * e + 2 * n * e * d
        total += 2 * n * d * (shape.fc1_width + shape.hidden_width)
    for name, sizes in a.sizes:
        kind = KINDS[name]
        for layer, p in enumerate(prompts):
            if size := sizes[kind.held_in(layer)]:
                seen = p if kind.sees_prompts else 0
                total += kind.flops(size, shape, n + seen) + kind.prompt_flops(size, shape, p)
                total += kind.weight_flops(size, shape) * (2 if seen else 1)
    return total


def count_params_noah(a: Architecture, width: int) -> int:
    """Parameters as counted and limited (to 0.64M) by NOAH's released code; the head is excluded.

    Σ d·p_i + Σ 4d·r_i + Σ_{a_i>0} ((2d+1)·a_i + d) + [p_0>0]·d·(p_0+100), for d = `width`.

    The last term is a dead parameter block of that code: prompts before the first layer and a position
    embedding for them at the supernet's capacity of 100, both of which the first layer replaces by its own
    prompts. The block has no effect, so `count_params` leaves it out. Use this rule only to compare with
    published numbers (arXiv 2206.04673).
    """
    first_prompts = a["prompt_tokens"][0]
    dead = width * (first_prompts + NOAH_PROMPT_CAPACITY) if first_prompts > 0 else 0
    return count_params(a, BackboneShape.vit(width, a.depth)) + dead
