"""The laws of the evolution: inside space and budget, never twice, a function of seed and history."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.candidate import Candidate
from nas_peft.evolution import Evolution
from nas_peft.run_inputs import sampler_around
from search_spaces import Architecture, KindChoices, SearchSpace, count_params, load_space

WIDTH, DEPTH = 8, 4
PREFIX = SearchSpace(
    "prefix",
    DEPTH,
    (
        ("adapter_dim", KindChoices((0, 1, 2))),
        ("lora_rank", KindChoices((1, 2, 4), depths=(0, 2, 4))),
    ),
)
SPACES = {"default": load_space("default", DEPTH), "prefix": PREFIX, "noah": load_space("noah-vtab", DEPTH)}
AsCandidates = Callable[..., list[Candidate]]
laws = settings(derandomize=True, deadline=None, database=None, max_examples=12)


def evolution(
    space: SearchSpace, limit: int, *, seed: int = 0, population: int = 8, parents: int = 3
) -> Evolution:
    uniform = [a for kind, _ in space.kinds for a in space.uniform_architectures(kind)]
    return Evolution(
        space=space,
        fits=lambda a: count_params(a, WIDTH) <= limit,
        sampler=sampler_around(space, WIDTH, limit),
        references=uniform,
        population=population,
        parents=parents,
        mutation_probability=0.1,
        seed=seed,
    )


def limits(space: SearchSpace) -> st.SearchStrategy[int]:
    smallest = min(count_params(a, WIDTH) for a in space.smallest_nonempty())
    return st.integers(smallest, count_params(space.largest(), WIDTH))


def run(evolution: Evolution, generations: int, as_candidates: AsCandidates) -> list[Candidate]:
    history: list[Candidate] = []
    for generation in range(generations):
        history += as_candidates(evolution.propose(generation, history), generation, len(history))
    return history


@laws
@given(st.data(), st.sampled_from(sorted(SPACES)), st.integers(0, 99))
def test_proposals_are_members_within_the_budget_and_never_come_twice(as_candidates, data, name, seed):
    space = SPACES[name]
    limit = data.draw(limits(space))
    history = run(evolution(space, limit, seed=seed), 4, as_candidates)
    assert history
    for candidate in history:
        assert candidate.architecture in space
        assert candidate.architecture.kinds
        assert count_params(candidate.architecture, WIDTH) <= limit
    assert len({c.architecture for c in history}) == len(history)


@laws
@given(st.integers(0, 99), st.integers(1, 4))
def test_proposals_depend_on_seed_and_history_alone(as_candidates, seed, generation):
    space, limit = SPACES["default"], 400
    busy = evolution(space, limit, seed=seed)
    history = run(busy, generation, as_candidates)
    for other in (7, generation, 2):
        busy.propose(other, history)
    fresh = evolution(space, limit, seed=seed)
    assert fresh.propose(generation, history) == busy.propose(generation, history)
    assert fresh.propose(generation, history[::-1]) == fresh.propose(generation, history)


def test_another_seed_proposes_something_else(as_candidates):
    histories = [run(evolution(SPACES["default"], 400, seed=s), 2, as_candidates) for s in (0, 1)]
    assert [c.architecture for c in histories[0]] != [c.architecture for c in histories[1]]


def test_generations_of_one_history_differ(as_candidates):
    searcher = evolution(SPACES["default"], 400)
    history = run(searcher, 1, as_candidates)
    assert searcher.propose(1, history) != searcher.propose(2, history)


def test_the_first_generation_holds_the_references_in_order_and_fills_up_with_samples():
    space, limit = SPACES["default"], 400
    searcher = evolution(space, limit, population=40)
    fitting = [a for a in searcher.references if count_params(a, WIDTH) <= limit]
    first = searcher.propose(0, [])
    assert len(fitting) >= 6
    assert [p.architecture for p in first[: len(fitting)]] == fitting
    assert {p.origin for p in first[: len(fitting)]} == {"reference"}
    assert {p.origin for p in first[len(fitting) :]} == {"sample"}
    assert len(first) == 40
    assert all(p.parents == () for p in first)


def test_a_small_first_generation_holds_the_first_references():
    searcher = evolution(SPACES["default"], 400, population=2)
    assert [p.architecture for p in searcher.propose(0, [])] == list(searcher.references[:2])


def test_references_outside_the_space_are_left_out():
    searcher = evolution(SPACES["noah"], 10_000)  # its members hold every kind, a uniform one holds one
    assert {p.origin for p in searcher.propose(0, [])} == {"sample"}


@laws
@given(st.sampled_from(["default", "noah"]), st.integers(0, 99))
def test_later_generations_descend_from_the_best_of_all_so_far(as_candidates, name, seed):
    space = SPACES[name]
    searcher = evolution(space, {"default": 400, "noah": 1500}[name], seed=seed, population=12, parents=3)
    history = run(searcher, 3, as_candidates)
    by_number = {c.number: c for c in history}
    best = {c.number for c in sorted(history, key=Candidate.rank_key)[:3]}
    later = searcher.propose(3, history)
    assert len(later) == 12
    assert {"mutation"} <= {p.origin for p in later} <= {"mutation", "crossover"}
    for proposal in later:
        assert set(proposal.parents) <= best
        parents = [by_number[n].architecture for n in proposal.parents]
        assert len(parents) == (1 if proposal.origin == "mutation" else 2)
        assert proposal.architecture not in parents
        if proposal.origin == "crossover" and name == "default":
            assert all(
                size in {parent[kind][layer] for parent in parents}
                for kind, _ in space.kinds
                for layer, size in enumerate(proposal.architecture[kind])
            )


def test_half_of_a_generation_are_mutants(as_candidates):
    searcher = evolution(SPACES["default"], 400, population=20, parents=8)
    origins = [p.origin for p in searcher.propose(1, run(searcher, 1, as_candidates))]
    assert origins.count("mutation") == origins.count("crossover") == 10


def test_the_best_of_an_early_generation_stays_a_parent(as_candidates):
    searcher = evolution(SPACES["default"], 400, parents=1)
    history = run(searcher, 3, as_candidates)
    history[0] = replace(history[0], loss=-1.0)
    later = searcher.propose(3, history)
    assert len(later) == 8
    assert {p.parents for p in later} == {(0,)}  # mutants only: a crossover of one parent is that parent


@pytest.mark.parametrize("seed", range(5))
def test_a_small_space_is_searched_to_its_end(as_candidates, seed):
    space = SearchSpace("small", 2, (("lora_rank", KindChoices((0, 1, 2))),))
    limit = 3 * 4 * WIDTH  # of the eight members with modules all but (2, 2)
    searcher = evolution(space, limit, seed=seed, population=5)
    history: list[Candidate] = []
    counts = []
    for generation in range(4):
        proposals = searcher.propose(generation, history)
        counts.append(len(proposals))
        history += as_candidates(proposals, generation, len(history))
    assert counts[0] > 0
    assert max(counts) <= 5
    assert (sum(counts), counts[-1]) == (7, 0)
    every = {Architecture.of(2, {"lora_rank": [i, j]}) for i in range(3) for j in range(3)}
    outside = {Architecture.empty(2), Architecture.uniform(2, "lora_rank", 2)}
    assert {c.architecture for c in history} == every - outside
