"""Searching over a whole range of sizes: who does, and where evolution looks."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.searching.candidate import Candidate, by_params
from nas_peft.searching.pareto import best_layers
from nas_peft.searching.searchers import SEARCHERS, Evolution, SearchTask, searches_front
from search_spaces import Architecture, SearchSpace

Make = Callable[..., SearchTask]
Search = Callable[..., list[Candidate]]
Cost = Callable[[Architecture], int]
laws = settings(derandomize=True, deadline=None, database=None, max_examples=8)
BUDGET, RANGE = 300, 1200


@pytest.fixture
def make_front(make_task: Make, spaces: dict[str, SearchSpace]) -> Make:
    """A task with a budget of 300 parameters, and a range up to 1,200."""

    def make(seed: int = 0, population: int = 12) -> SearchTask:
        space = spaces["default"]
        within = make_task(space, BUDGET, seed=seed, population=population)
        return replace(within, front=make_task(space, RANGE, seed=seed, population=population))

    return make


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_keeps_to_the_budget_or_to_the_range(
    make_front: Make, search: Search, cost: Cost, name: str
):
    options = {"depth_only_mutation": False, "uniform_samples": False} if name == "noah" else {}
    history = search(SEARCHERS[name](make_front(), **options), range(4))
    assert len(history) == 48
    limit = RANGE if searches_front(name) else BUDGET
    assert all(cost(c.architecture) <= limit for c in history)
    assert any(cost(c.architecture) > BUDGET for c in history) == searches_front(name)


def test_half_of_the_children_stay_within_the_budget_and_half_extend_the_front(
    make_front: Make, search: Search, cost: Cost
):
    @laws
    @given(st.integers(0, 99))
    def law(seed: int) -> None:
        task = make_front(seed)
        searcher = Evolution(task, parents=4)
        history = search(searcher, range(3))
        within = [c for c in history if task.fits(c.architecture)]
        best = {c.number for c in sorted(within, key=Candidate.rank_key)[:4]}
        front = {c.number for c in best_layers(history, by_params, 4)}
        children = searcher.ask(3, history)
        assert len(children) == 12
        bred_within = [p for p in children if set(p.parents) <= best and cost(p.architecture) <= BUDGET]
        assert len(bred_within) >= 6
        assert all(set(p.parents) <= best or set(p.parents) <= front for p in children)

    law()


def test_dropped_candidates_are_no_parents_on_the_front(make_front: Make, search: Search):
    searcher = Evolution(make_front(), parents=2)
    history = search(searcher, range(2))
    front = best_layers(history, by_params, 2)
    dropped = [replace(c, dropped=c in front) for c in history]
    numbers = {c.number for c in front}
    assert not numbers & {c.number for c in best_layers(dropped, by_params, 2)}
