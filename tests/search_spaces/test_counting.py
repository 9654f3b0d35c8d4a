"""Costs by hand, by tensors and by matrix products; NOAH's published subnets by its own rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    KINDS,
    Architecture,
    BackboneShape,
    count_bytes,
    count_flops,
    count_params,
    count_params_noah,
    head_params,
)

# Sizes per layer of subnets released with NOAH for VTAB-1k on ViT-B/16 (width 768), with the counts that
# follow from the published rule and from what is trained.
RELEASED = {
    "caltech101": (
        (5, 10, 1, 5, 10, 1, 10, 1, 10, 1, 10, 1),
        (1, 10, 10, 10, 5, 10, 10, 10, 5, 1, 10, 1),
        (10, 1, 5, 10, 10, 1, 5, 5, 10, 1, 5, 10),
        506_953,
        426_313,
    ),
    "dsprites_loc": (
        (5, 10, 1, 10, 10, 5, 5, 1, 5, 5, 10, 1),
        (1, 1, 1, 1, 10, 10, 1, 10, 5, 1, 5, 10),
        (1, 1, 1, 10, 1, 1, 10, 10, 10, 10, 10, 1),
        415_554,
        334_914,
    ),
    "svhn": (
        (10, 5, 5, 10, 5, 5, 5, 5, 5, 5, 5, 5),
        (5, 5, 5, 10, 5, 5, 5, 10, 10, 10, 10, 5),
        (5, 5, 5, 5, 5, 10, 5, 10, 5, 5, 5, 5),
        516_166,
        431_686,
    ),
}


def elements(prompts, ranks, hidden, d):
    """The elements of each trained tensor, by shape."""
    shapes = []
    for p, r, a in zip(prompts, ranks, hidden, strict=True):
        shapes += [(1, p, d), (r, d), (3 * d, r)]
        if a > 0:
            shapes += [(a, d), (a,), (d, a), (d,)]
    return sum(math.prod(shape) for shape in shapes)


def subnet(prompts, ranks, hidden):
    sizes = {"prompt_tokens": prompts, "lora_rank": ranks, "adapter_dim": hidden}
    return Architecture.of(len(prompts), sizes)


BASE = BackboneShape.vit(768)
TEN = BackboneShape.vit(10, 2)


@pytest.mark.parametrize("task", RELEASED)
def test_released_subnets_by_the_published_rule(task):
    prompts, ranks, hidden, published, trained = RELEASED[task]
    a = subnet(prompts, ranks, hidden)
    assert count_params_noah(a, 768) == published
    assert count_params(a, BASE) == trained
    assert elements(prompts, ranks, hidden, 768) == trained
    # The dead block: prompts before the first layer, at its size, and their position embedding, at 100.
    assert published - trained == 768 * prompts[0] + 768 * 100
    assert published < 640_000  # the limit of NOAH's search


sizes = st.lists(st.integers(0, 12), min_size=3, max_size=3)


@given(sizes, sizes, sizes, st.sampled_from([16, 192, 768]))
def test_counts_are_the_elements_of_the_tensors(prompts, ranks, hidden, width):
    a = subnet(prompts, ranks, hidden)
    honest = elements(prompts, ranks, hidden, width)
    assert count_params(a, BackboneShape.vit(width, 3)) == honest
    dead = width * (prompts[0] + 100) if prompts[0] else 0
    assert count_params_noah(a, width) == honest + dead


def test_by_hand():
    a = Architecture.of(2, {"lora_rank": [2, 0], "prompt_tokens": [0, 3], "adapter_dim": [0, 1]})
    assert count_params(a, TEN) == 80 + 30 + 31
    assert count_params_noah(a, 10) == 141  # no prompts in the first layer, no dead block
    assert count_params(Architecture.empty(2), TEN) == 0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_registered_kind_is_counted(kind):
    layers = [2] + [0 if KINDS[kind].first_layer_only else 2]
    one = KINDS[kind].params(2, TEN)
    assert count_params(Architecture.of(2, {kind: layers}), TEN) == one * sum(map(bool, layers))


def test_the_head():
    assert head_params(768, 100) == 76_900


def test_bytes_are_those_of_modules_and_head():
    a = Architecture.of(2, {"lora_rank": [2, 0]})
    assert count_bytes(a, TEN, 5) == 4 * (80 + 11 * 5)
    assert count_bytes(a, TEN, 5, element_bytes=2) == 2 * (80 + 11 * 5)
    assert count_bytes(Architecture.empty(2), TEN, 5) == 4 * 55


# Widths that all differ: d = 6, e = 4, a gated MLP of 5 hidden units, 3 tokens, 2 layers.
ODD = BackboneShape(2, width=6, attention_width=4, fc1_width=10, hidden_width=5, tokens=3, outside_flops=1000)


def product(rows, inner, columns):
    return 2 * rows * inner * columns


def layer(n, p=0):
    """The matrix products of one layer for n tokens and p prompts, with the four of attention and the MLP."""
    d, e = ODD.width, ODD.attention_width
    attention = product(n + p, d, 3 * e) + 2 * product(n, e, n + p) + product(n, e, d)
    return attention + product(n, d, ODD.fc1_width) + product(n, ODD.hidden_width, d)


def fact(n, r):
    """The products of FacT in a layer: queries, keys, values, output, two blocks of fc1, fc2."""
    into, out = product(n, 6, r), product(n, r, 6)
    return 4 * into + 7 * out + 7 * product(n, r, r)


@pytest.mark.parametrize(
    ("table", "modules"),
    [
        ({}, layer(3) + layer(3)),
        ({"prompt_tokens": [0, 4]}, layer(3) + layer(3, 4)),
        ({"shallow_prompt_tokens": [4, 0]}, 2 * layer(7)),
        ({"shallow_prompt_tokens": [2, 0], "prompt_tokens": [1, 0]}, layer(5, 1) + layer(5)),
        ({"lora_rank": [0, 2]}, 2 * layer(3) + product(3, 6, 2) + product(3, 2, 12)),
        ({"lora_rank_q": [2, 0]}, 2 * layer(3) + product(3, 6, 2) + product(3, 2, 4)),
        ({"lora_rank_proj": [2, 0]}, 2 * layer(3) + product(3, 4, 2) + product(3, 2, 6)),
        ({"lora_rank_fc1": [2, 0]}, 2 * layer(3) + product(3, 6, 2) + product(3, 2, 10)),
        ({"lora_rank_fc2": [2, 0]}, 2 * layer(3) + product(3, 5, 2) + product(3, 2, 6)),
        ({"adapter_dim": [2, 0]}, 2 * layer(3) + product(3, 6, 2) + product(3, 2, 6)),
        ({"fact_rank": [2, 0]}, 2 * (layer(3) + fact(3, 2))),
        # of a layer's prompts only queries, keys and values are computed
        (
            {"fact_rank": [2, 0], "prompt_tokens": [0, 4]},
            layer(3) + layer(3, 4) + 2 * fact(3, 2) + product(4, 6, 2) + 3 * product(4, 2, 2 + 6),
        ),
        ({"ssf": [6, 6]}, 2 * layer(3)),  # element by element
        # keys and values of prompts pass LoRA on them; nothing else sees prompts of one layer
        (
            {"lora_rank_k": [2, 2], "prompt_tokens": [4, 0]},
            layer(3, 4) + layer(3) + product(7 + 3, 6, 2) + product(7 + 3, 2, 4),
        ),
        (
            {"lora_rank_proj": [2, 0], "prompt_tokens": [4, 0]},
            layer(3, 4) + layer(3) + product(3, 4, 2) + product(3, 2, 6),
        ),
        (
            {"adapter_dim": [2, 0], "shallow_prompt_tokens": [4, 0]},
            2 * layer(7) + product(7, 6, 2) + product(7, 2, 6),
        ),
    ],
)
def test_operations_are_those_of_the_matrix_products(table, modules):
    classes = 5
    head = product(1, 6, classes)
    assert count_flops(Architecture.of(2, table), ODD, classes) == 1000 + head + modules


def test_operations_of_vit_b():
    """35.1 GFLOPs: twice the 17.56 G multiplications with addition that are known for ViT-B/16 at 224."""
    flops = count_flops(Architecture.empty(12), BASE, 1000)
    assert flops / 2e9 == pytest.approx(17.56, abs=0.01)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 5), st.integers(0, 5))
def test_costs_grow_with_sizes(kind, first, second):
    small, large = sorted((first, second))

    def alone(size):
        return Architecture.of(2, {kind: [size, 0]})

    for cost in (
        lambda a: count_params(a, ODD),
        lambda a: count_flops(a, ODD, 3),
        lambda a: count_bytes(a, ODD, 3),
    ):
        assert cost(alone(small)) <= cost(alone(large))
