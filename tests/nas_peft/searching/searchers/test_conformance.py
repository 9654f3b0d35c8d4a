"""What every searcher must do, those that come with the package and the example's alike."""

import importlib.util
import itertools
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep import sweep

from nas_peft.searching.candidate import Candidate
from nas_peft.searching.searchers import SEARCHERS, RandomSearch, Searcher, SearchTask
from search_spaces import Architecture, InputError, KindChoices, SearchSpace

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[4] / "examples" / "custom_searcher.py"
FREE = {"depth_only_mutation": False, "uniform_samples": False}
laws = settings(derandomize=True, deadline=None, database=None, max_examples=8)
Make = Callable[..., SearchTask]
Search = Callable[..., list[Candidate]]
Cost = Callable[[Architecture], int]


def the_example() -> ModuleType:
    """The example's module; its searcher is under a name only while this file is read."""
    spec = importlib.util.spec_from_file_location("custom_searcher", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_searcher"] = module
    spec.loader.exec_module(module)
    return module


the_example()
CONFORMING: dict[str, tuple[Callable[..., Searcher], dict[str, Any]]] = {
    name: (searcher, FREE if name == "noah" else {}) for name, searcher in SEARCHERS.items()
} | {"noah as published": (SEARCHERS["noah"], {"discard_last_generation": False})}
del SEARCHERS["local"]
every_searcher = pytest.mark.parametrize("name", sweep(CONFORMING, ["evolution", "random", "noah"]))


def build(name: str, task: SearchTask) -> Searcher:
    searcher, options = CONFORMING[name]
    return searcher(task, **options)


def searched_spaces(name: str) -> list[str]:
    return ["noah"] if name == "noah as published" else ["default", "mixed", "noah"]


def limits(space: SearchSpace, cost: Cost, name: str) -> st.SearchStrategy[int]:
    least, most = min(map(cost, space.smallest_nonempty())), cost(space.largest())
    return st.integers((least + most) // 2 if name == "noah as published" else least, most)


def signed(searcher: Searcher, generation: int, history: list[Candidate]) -> list[Any]:
    return [(p.architecture, p.origin, p.parents) for p in searcher.ask(generation, history)]


@every_searcher
def test_proposals_are_new_members_within_the_budget(make_task: Make, search: Search, spaces, cost, name):
    @laws
    @given(st.data(), st.sampled_from(searched_spaces(name)), st.integers(0, 99))
    def law(data: st.DataObject, of: str, seed: int) -> None:
        space = spaces[of]
        limit = data.draw(limits(space, cost, name))
        history = search(build(name, make_task(space, limit, seed=seed, population=6)), range(3))
        assert history
        for c in history:
            assert c.architecture in space
            assert c.architecture.kinds
            assert cost(c.architecture) <= limit
            assert set(c.proposal.parents) <= {p.number for p in history if p.generation < c.generation}
        assert len({c.architecture for c in history}) == len(history)
        assert max(sum(c.generation == g for c in history) for g in range(3)) <= 6

    law()


@every_searcher
def test_generations_are_full_while_the_space_lasts(make_task: Make, search: Search, spaces, name):
    task = make_task(spaces["noah"], 1500, population=10)
    history = search(build(name, task), range(4))
    assert [c.generation for c in history] == [g for g in range(4) for _ in range(10)]


@every_searcher
def test_proposals_depend_on_task_generation_and_history_alone(make_task: Make, search: Search, spaces, name):
    task = make_task(spaces["noah"], 1500, seed=3)
    busy = build(name, task)
    history = search(busy, range(3))
    for generation in (7, 1, 2):
        busy.ask(generation, history)
    expected = signed(busy, 3, history)
    assert expected
    assert signed(build(name, task), 3, history) == expected
    assert signed(build(name, task), 3, history[::-1]) == expected
    before = list(history)
    assert signed(busy, 3, history) == expected
    assert history == before


@every_searcher
def test_global_generators_are_neither_used_nor_touched(make_task: Make, search: Search, spaces, name):
    searcher = build(name, make_task(spaces["noah"], 1500))
    history = search(searcher, range(2))
    found = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        found.append(signed(searcher, 2, history))
        assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    assert found[0] == found[1]


@every_searcher
def test_another_seed_and_another_generation_propose_something_else(
    make_task: Make, search: Search, spaces, name
):
    here, there = (build(name, make_task(spaces["noah"], 1500, seed=seed)) for seed in (0, 1))
    history = search(here, range(2))
    assert signed(here, 2, history) != signed(there, 2, history)
    assert signed(here, 2, history) != signed(here, 3, history)


@every_searcher
def test_a_search_resumed_from_its_record_is_the_search(make_task: Make, search: Search, spaces, name):
    task = make_task(spaces["noah"], 1500, seed=5)
    history = search(build(name, task), range(4))
    recorded = [Candidate.from_dict(json.loads(json.dumps(c.to_dict()))) for c in history]
    for generation in range(4):
        earlier = [c for c in recorded if c.generation < generation]
        asked = build(name, task).ask(generation, earlier)
        assert asked == [c.proposal for c in history if c.generation == generation]


@pytest.mark.thorough
def test_every_searcher_but_chance_beats_chance(make_task: Make, search: Search, spaces):
    def best(make: Callable[[SearchTask], Searcher]) -> float:
        tasks = [make_task(spaces["default"], 500, seed=s, population=12, generations=6) for s in (0, 1)]
        return sum(min(c.loss for c in search(make(task), range(6))) for task in tasks)

    chance = best(RandomSearch)
    found = {
        name: best(lambda task, name=name: build(name, task))
        for name in CONFORMING
        if name not in ("random", "noah as published")
    }
    assert {name: loss for name, loss in found.items() if loss >= 0.95 * chance} == {}


@pytest.mark.parametrize("seed", range(3))
def test_noah_as_published_breeds_better_than_it_draws(make_task: Make, search: Search, spaces, seed):
    """Its last generations hold many draws, as it has few new children to offer in a small space."""
    history = search(
        build("noah as published", make_task(spaces["noah"], 1500, seed=seed, population=50)), range(4)
    )
    bred, drawn = (
        np.mean([c.loss for c in history if (c.proposal.origin == "sample") == sampled])
        for sampled in (False, True)
    )
    assert bred < 0.7 * drawn


SMALL = SearchSpace("small", 2, (("lora_rank", KindChoices((0, 1, 2))),))
SMALL_DEEP = SearchSpace("small-deep", 3, (("lora_rank", KindChoices((1, 2), depths=(1, 2, 3))),))
ONE = SearchSpace("one", 4, (("lora_rank", KindChoices((2,))),))


@every_searcher
@pytest.mark.parametrize("seed", range(3))
def test_a_small_space_is_searched_to_its_end(make_task: Make, search: Search, cost, name, seed):
    if name == "noah as published":
        space, limit, members = SMALL_DEEP, 5 * 32, 13  # all of 14 but (2, 2, 2)
    else:
        space, limit, members = SMALL, 3 * 32, 7  # all of nine but (2, 2) and nothing
    searcher = build(name, make_task(space, limit, seed=seed, population=5))
    history = search(searcher, range(9))
    assert len({c.architecture for c in history}) == len(history) == members
    assert max(cost(c.architecture) for c in history) <= limit
    counts = [sum(c.generation == g for c in history) for g in range(history[-1].generation + 1)]
    assert counts == [5] * (members // 5) + [members % 5]
    assert searcher.ask(len(counts), history) == []


@every_searcher
def test_a_space_of_one_member_is_searched_once(make_task: Make, search: Search, name):
    one = SearchSpace("one", 2, (("lora_rank", KindChoices((2,), depths=(2,))),))
    for space in (one,) if name == "noah as published" else (one, ONE):
        assert len(search(build(name, make_task(space, 999)), range(3))) == 1


@every_searcher
def test_members_far_below_the_budget_are_not_forgotten(make_task: Make, search: Search, name):
    """The sampler draws from 0.4 of the budget up; when it knows these, what is smaller is left."""
    space = SearchSpace("steps", 1, (("lora_rank", KindChoices((1, 2, 4, 8, 16), depths=(1,))),))
    history = search(build(name, make_task(space, 16 * 32, population=2)), range(5))
    assert sorted(c.architecture["lora_rank"][0] for c in history) == [1, 2, 4, 8, 16]


@every_searcher
@pytest.mark.parametrize("failing", ["all", "most", "some"])
def test_failed_candidates_are_survived_and_rank_last(
    make_task: Make, search: Search, evaluate, spaces, name, failing
):
    fails = {"all": lambda n: True, "most": lambda n: n != 4, "some": lambda n: n % 3 == 0}[failing]

    def with_failures(*args: Any) -> list[Candidate]:
        return [replace(c, loss=math.inf) if fails(c.number) else c for c in evaluate(*args)]

    searcher = build(name, make_task(spaces["noah"], 1500))
    history = search(searcher, range(4), with_failures)
    assert len(history) == 4 * 8
    ranked = searcher.ranked(history)
    finite = [math.isfinite(c.loss) for c in ranked]
    assert finite == sorted(finite, reverse=True)


@every_searcher
def test_what_is_ranked_was_evaluated(make_task: Make, search: Search, spaces, name):
    searcher = build(name, make_task(spaces["noah"], 1500))
    history = search(searcher, range(4))
    ranked = searcher.ranked(history)
    counted = [c for c in history if c.generation < 3 or name != "noah"]  # which discards its last generation
    assert sorted(ranked, key=lambda c: c.number) == counted
    assert searcher.ranked(history[::-1]) == ranked
    assert searcher.ranked([]) == []


def test_searchers_know_nothing_of_torch():
    code = (
        "import nas_peft.searching.searchers, sys; "
        "print([m for m in ('torch', 'timm', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_is_short_and_says_what_is_wrong(make_task: Make, spaces):
    assert len(EXAMPLE.read_text().splitlines()) < 100
    assert set(CONFORMING) >= {"local", *SEARCHERS}
    with pytest.raises(InputError, match="starts is 0"):
        CONFORMING["local"][0](make_task(spaces["default"], 400), starts=0)


def test_the_example_steps_from_the_best(make_task: Make, search: Search, spaces):
    searcher = build("local", make_task(spaces["default"], 400))
    history = search(searcher, range(1))
    by_number = {c.number: c for c in history}
    best = [c.number for c in searcher.ranked(history)[:3]]
    for proposal in searcher.ask(1, history):
        assert proposal.origin == "step"
        assert proposal.parents[0] in best
        parent = by_number[proposal.parents[0]].architecture
        a = proposal.architecture
        pairs = itertools.chain.from_iterable(
            zip(a[kind], parent[kind], strict=True) for kind, _ in spaces["default"].kinds
        )
        assert sum(x != y for x, y in pairs) == 1
