"""Parameter counts: by hand, by tensor shapes, and NOAH's published subnets by its own rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import KINDS, Architecture, count_params, count_params_noah, head_params

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


@pytest.mark.parametrize("task", RELEASED)
def test_released_subnets_by_the_published_rule(task):
    prompts, ranks, hidden, published, trained = RELEASED[task]
    a = subnet(prompts, ranks, hidden)
    assert count_params_noah(a, 768) == published
    assert count_params(a, 768) == trained
    assert elements(prompts, ranks, hidden, 768) == trained
    # The dead block: prompts before the first layer, at its size, and their position embedding, at 100.
    assert published - trained == 768 * prompts[0] + 768 * 100
    assert published < 640_000  # the limit of NOAH's search


sizes = st.lists(st.integers(0, 12), min_size=3, max_size=3)


@given(sizes, sizes, sizes, st.sampled_from([16, 192, 768]))
def test_counts_are_the_elements_of_the_tensors(prompts, ranks, hidden, width):
    a = subnet(prompts, ranks, hidden)
    honest = elements(prompts, ranks, hidden, width)
    assert count_params(a, width) == honest
    dead = width * (prompts[0] + 100) if prompts[0] else 0
    assert count_params_noah(a, width) == honest + dead


def test_by_hand():
    a = Architecture.of(2, {"lora_rank": [2, 0], "prompt_tokens": [0, 3], "adapter_dim": [0, 1]})
    assert count_params(a, 10) == 80 + 30 + 31
    assert count_params_noah(a, 10) == 141  # no prompts in the first layer, no dead block
    assert count_params(Architecture.empty(2), 10) == 0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_registered_kind_is_counted(kind):
    assert count_params(Architecture.uniform(3, kind, 2), 10) == 3 * KINDS[kind].params(2, 10)


def test_the_head():
    assert head_params(768, 100) == 76_900
