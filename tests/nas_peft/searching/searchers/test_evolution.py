"""What is the evolution's own: its first generation, its parents, its children, and its pinned proposals."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.searching.candidate import Candidate
from nas_peft.searching.searchers import Evolution, SearchTask
from search_spaces import InputError, KindChoices, SearchSpace

Make = Callable[..., SearchTask]
Search = Callable[..., list[Candidate]]
laws = settings(derandomize=True, deadline=None, database=None, max_examples=12)


def test_the_first_generation_holds_the_references_in_order_and_fills_up_with_samples(
    make_task: Make, spaces, cost
):
    task = make_task(spaces["default"], 400, population=40)
    fitting = [a for a in task.references if cost(a) <= 400]
    first = Evolution(task).ask(0, [])
    assert len(fitting) >= 6
    assert [p.architecture for p in first[: len(fitting)]] == fitting
    assert {p.origin for p in first[: len(fitting)]} == {"reference"}
    assert {p.origin for p in first[len(fitting) :]} == {"sample"}
    assert len(first) == 40
    assert all(p.parents == () for p in first)


def test_a_small_first_generation_holds_the_first_references(make_task: Make, spaces):
    task = make_task(spaces["default"], 400, population=2)
    assert [p.architecture for p in Evolution(task).ask(0, [])] == list(task.references[:2])


def test_references_outside_the_space_are_left_out(make_task: Make, spaces):
    task = make_task(spaces["noah"], 10_000)  # its members hold every kind, a uniform one holds one
    assert {p.origin for p in Evolution(task).ask(0, [])} == {"sample"}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["default", "noah"])
def test_later_generations_descend_from_the_best_of_all_so_far(make_task: Make, search: Search, spaces, name):
    space = spaces[name]

    @laws
    @given(st.integers(0, 99))
    def law(seed: int) -> None:
        task = make_task(space, {"default": 400, "noah": 1500}[name], seed=seed, population=12)
        searcher = Evolution(task, parents=3)
        history = search(searcher, range(3))
        by_number = {c.number: c for c in history}
        best = {c.number for c in sorted(history, key=Candidate.rank_key)[:3]}
        later = searcher.ask(3, history)
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

    law()


def test_half_of_a_generation_are_mutants(make_task: Make, search: Search, spaces):
    searcher = Evolution(make_task(spaces["default"], 400, population=20))
    origins = [p.origin for p in searcher.ask(1, search(searcher, range(1)))]
    assert origins.count("mutation") == origins.count("crossover") == 10


@pytest.mark.thorough
def test_the_best_of_an_early_generation_stays_a_parent(make_task: Make, search: Search, spaces):
    searcher = Evolution(make_task(spaces["default"], 400), parents=1)
    history = search(searcher, range(3))
    history[0] = replace(history[0], loss=-1.0)
    later = searcher.ask(3, history)
    assert len(later) == 8
    assert {p.parents for p in later} == {(0,)}  # mutants only: a crossover of one parent is that parent


def test_mistakes_are_named(make_task: Make, spaces):
    task = make_task(spaces["default"], 400)
    with pytest.raises(InputError, match="parents is 0; give a whole number from 1 up"):
        Evolution(task, parents=0)
    with pytest.raises(InputError, match=r"mutation_probability is 1.5; give a number from 0 to 1"):
        Evolution(task, mutation_probability=1.5)


def test_a_seed_gives_the_proposals_that_it_always_gave(make_task: Make, search: Search):
    """Written down from the first released code, so that recorded searches can go on."""
    space = SearchSpace(
        "pinned",
        3,
        (("adapter_dim", KindChoices((0, 1, 4))), ("lora_rank", KindChoices((0, 1, 2, 4)))),
    )
    searcher = Evolution(make_task(space, 150, seed=7, population=6), parents=3)
    found = [
        (c.proposal.origin, c.proposal.parents, c.architecture.describe()) for c in search(searcher, range(3))
    ]
    assert found == PINNED


PINNED: list[tuple[str, tuple[int, ...], str]] = [
    ("reference", (), "Adapter 1 ×3 layers"),
    ("reference", (), "LoRA 1 ×3 layers"),
    ("sample", (), "LoRA 2·1·0"),
    ("sample", (), "LoRA 1·0·1"),
    ("sample", (), "Adapter 1·4·0"),
    ("sample", (), "LoRA 1·1·2"),
    ("mutation", (2,), "LoRA 2·0·0"),
    ("crossover", (1, 2), "LoRA 1·1·0"),
    ("mutation", (1,), "Adapter 1·0·0, LoRA 1 ×3 layers"),
    ("crossover", (2, 1), "LoRA 2·1·1"),
    ("mutation", (1,), "LoRA 1·2·1"),
    ("mutation", (2,), "Adapter 0·1·0, LoRA 2·1·0"),
    ("mutation", (11,), "Adapter 0·1·1, LoRA 2·1·0"),
    ("crossover", (8, 11), "Adapter 1·1·0, LoRA 2·1·0"),
    ("mutation", (8,), "Adapter 1·0·1, LoRA 1 ×3 layers"),
    ("crossover", (8, 11), "Adapter 1·1·0, LoRA 1·1·0"),
    ("mutation", (11,), "Adapter 0·1·0, LoRA 0·1·0"),
    ("crossover", (8, 11), "Adapter 1·0·0, LoRA 1·1·0"),
]
