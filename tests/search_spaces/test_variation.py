"""Mutation and crossover stay inside, reach everything, and mix layers."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sweep import sweep

from search_spaces import (
    Architecture,
    InputError,
    KindChoices,
    SearchSpace,
    crossover,
    load_space,
    mutate,
)

DEPTH = 4
SPACES = {
    "default": load_space("default", DEPTH),
    "noah-vtab": load_space("noah-vtab", DEPTH),
    "wide": load_space("wide", DEPTH),
    "mixed": SearchSpace(
        "mixed",
        DEPTH,
        (
            ("adapter_dim", KindChoices((1, 5), depths=(0, 1, 4))),
            ("lora_rank", KindChoices((2, 4))),
            ("prompt_tokens", KindChoices((0, 8))),
        ),
    ),
}
THREE = ("adapter_dim", "lora_rank", "prompt_tokens")
names = st.sampled_from(sorted(SPACES))
seeds = st.integers(0, 2**32 - 1)


@given(names, seeds, st.floats(0, 1))
def test_mutants_are_other_members(name, seed, probability):
    space, rng = SPACES[name], np.random.default_rng(seed)
    a = space.sample(rng)
    for _ in range(5):
        mutant = mutate(space, a, rng, probability)
        assert mutant in space
        assert mutant != a


@given(names, seeds)
def test_children_are_members_made_of_their_parents(name, seed):
    space, rng = SPACES[name], np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = crossover(space, a, b, rng)
    assert child in space
    for kind, choices in space.kinds:
        for own, first, second in zip(child[kind], a[kind], b[kind], strict=True):
            assert own in (first, second) or (choices.depths is not None and own == 0)
        if choices.depths is not None:
            depth_of = [sum(size > 0 for size in x[kind]) for x in (child, a, b)]
            assert depth_of[0] in depth_of[1:]


@given(names, seeds)
def test_equal_parents_have_the_same_child(name, seed):
    space, rng = SPACES[name], np.random.default_rng(seed)
    a = space.sample(rng)
    assert crossover(space, a, a, rng) == a


@given(names, seeds)
def test_the_same_seed_gives_the_same_variations(name, seed):
    def history():
        space, rng = SPACES[name], np.random.default_rng(seed)
        a, b = space.sample(rng), space.sample(rng)
        return mutate(space, a, rng, 0.3), crossover(space, a, b, rng), rng.random()

    assert history() == history()


@pytest.mark.parametrize("probability", sweep([0.0, 0.1], [0.1]))
@pytest.mark.parametrize("name", sweep(sorted(SPACES), 2))
def test_every_size_of_every_layer_can_come_by_one_mutation(name, probability):
    space = SPACES[name]
    rng = np.random.default_rng(1)
    a = space.sample(rng)
    reached = {(kind, layer): set() for kind, _ in space.kinds for layer in range(DEPTH)}
    for _ in range(3000):
        mutant = mutate(space, a, rng, probability)
        for kind, layer in reached:
            reached[kind, layer].add(mutant[kind][layer])
    for (kind, layer), sizes in reached.items():
        choices = space.choices(kind)
        possible = set(choices.sizes)
        if choices.depths is not None:
            possible = (possible if layer < max(choices.depths) else set()) | (
                {0} if layer >= min(choices.depths) else set()
            )
        assert sizes == possible, (kind, layer)


def test_with_probability_zero_exactly_one_size_changes():
    space, rng = SPACES["default"], np.random.default_rng(0)
    a = space.sample(rng)
    changed = set()
    for _ in range(500):
        mutant = mutate(space, a, rng, 0.0)
        different = [(k, i) for k in THREE for i in range(DEPTH) if mutant[k][i] != a[k][i]]
        assert len(different) == 1
        changed.update(different)
    assert changed == {(k, i) for k in THREE for i in range(DEPTH)}


def test_with_probability_one_every_size_changes():
    space, rng = SPACES["default"], np.random.default_rng(0)
    a = space.sample(rng)
    mutant = mutate(space, a, rng, 1.0)
    assert all(mutant[k][i] != a[k][i] for k in THREE for i in range(DEPTH))


def test_the_share_of_changed_sizes_is_the_probability():
    space, rng = load_space("default", 12), np.random.default_rng(0)
    a = space.sample(rng)
    mutants = [mutate(space, a, rng, 0.2) for _ in range(300)]
    changed = sum(m[k][i] != a[k][i] for m in mutants for k in THREE for i in range(12))
    assert changed / (300 * 36) == pytest.approx(0.2, abs=0.02)  # 5 standard deviations


@pytest.mark.parametrize("kind", THREE)
def test_crossover_mixes_layers_within_one_kind(kind):
    for name, first, second in (("default", 1, 4), ("noah-vtab", 1, 5)):
        space, rng = SPACES[name], np.random.default_rng(0)
        a = Architecture.of(DEPTH, {k: [first] * DEPTH for k in THREE})
        b = Architecture.of(DEPTH, {k: [second] * DEPTH for k in THREE})
        children = {crossover(space, a, b, rng)[kind] for _ in range(300)}
        assert len(children) == 2**DEPTH  # every mixture, in each kind by itself


def test_crossover_takes_the_depth_of_either_parent():
    space, rng = SPACES["noah-vtab"], np.random.default_rng(0)
    a = Architecture.of(DEPTH, {k: [1, 0, 0, 0] for k in THREE})
    b = Architecture.of(DEPTH, {k: [5, 5, 5, 0] for k in THREE})
    children = {crossover(space, a, b, rng)["lora_rank"] for _ in range(200)}
    assert children == {(1, 0, 0, 0), (5, 0, 0, 0), (1, 5, 5, 0), (5, 5, 5, 0)}


@given(names, names, seeds)
def test_foreign_architectures_are_refused(name, other, seed):
    rng = np.random.default_rng(seed)
    a, inside = SPACES[other].sample(rng), SPACES[name].sample(rng)
    assume(a not in SPACES[name])
    with pytest.raises(InputError, match=f"is not in the space '{name}'"):
        mutate(SPACES[name], a, rng, 0.2)
    for parents in ((a, inside), (inside, a)):
        with pytest.raises(InputError, match=f"is not in the space '{name}'"):
            crossover(SPACES[name], *parents, rng)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_impossible_probabilities_are_refused(probability):
    space, rng = SPACES["default"], np.random.default_rng(0)
    with pytest.raises(InputError, match=f"mutation probability is {probability}; give a number from 0 to 1"):
        mutate(space, space.smallest(), rng, probability)


def test_a_space_of_one_member_cannot_mutate():
    space = SearchSpace("one", 2, (("lora_rank", KindChoices((4,))),))
    with pytest.raises(InputError, match="the space 'one' has one member only"):
        mutate(space, space.smallest(), np.random.default_rng(0), 0.5)
