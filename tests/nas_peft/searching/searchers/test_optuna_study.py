"""Optuna's samplers: what a parameter means, what the study holds, and what NSGA-II is for."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from nas_peft.searching.candidate import Candidate
from nas_peft.searching.searchers import Evolution, Nsga2, RandomSearch, SearchTask, Tpe
from nas_peft.searching.searchers.optuna_study import (
    architecture_of,
    ask_sampler,
    distributions_of,
    params_of,
)
from search_spaces import Architecture, KindChoices, SearchSpace

Make = Callable[..., SearchTask]
Search = Callable[..., list[Candidate]]
laws = settings(derandomize=True, deadline=None, database=None, max_examples=40)


@pytest.mark.parametrize("name", ["default", "mixed", "noah"])
def test_parameters_mean_one_architecture_and_are_allowed(spaces, name):
    space = spaces[name]

    @laws
    @given(st.integers(0, 999))
    def law(seed: int) -> None:
        a = space.sample(np.random.default_rng(seed))
        params, distributions = params_of(space, a), distributions_of(space)
        assert architecture_of(space, params) == a
        assert params.keys() == distributions.keys()
        assert all(params[key] in distributions[key].choices for key in params)

    law()


def test_there_is_one_parameter_for_each_choice():
    kinds = (
        ("adapter_dim", KindChoices((0, 1))),
        ("lora_rank", KindChoices((1, 2, 4), depths=(0, 1, 2))),
    )
    space = SearchSpace("both", 3, kinds)
    allowed = {name: d.choices for name, d in distributions_of(space).items()}
    assert allowed == {
        "layer00.adapter_dim": (0, 1),
        "layer01.adapter_dim": (0, 1),
        "layer02.adapter_dim": (0, 1),
        "layer00.lora_rank": (1, 2, 4),
        "layer01.lora_rank": (1, 2, 4),
        "depth.lora_rank": (0, 1, 2),
    }
    one = Architecture.of(3, {"adapter_dim": [0, 1, 0], "lora_rank": [4, 0, 0]})
    params = params_of(space, one)
    assert params["depth.lora_rank"] == 1
    assert params["layer01.lora_rank"] == 4  # deeper would go on as before
    none = params_of(space, Architecture.of(3, {"adapter_dim": [0, 1, 0]}))
    assert [none[f"layer{i:02d}.lora_rank"] for i in (0, 1)] == [1, 1]


def test_the_study_is_the_history(make_task: Make, search: Search, spaces):
    task = make_task(spaces["default"], 400)
    history = search(RandomSearch(task), range(2))
    history[5] = replace(history[5], loss=math.inf)
    seen: list[list[FrozenTrial]] = []

    class Watching(RandomSampler):
        def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
            if not seen:
                seen.append(study.get_trials())
            super().before_trial(study, trial)

    proposals = ask_sampler(
        "watching",
        lambda seed: Watching(seed=seed),
        lambda c: (c.loss, float(c.params)),
        task,
        history[::-1],
        np.random.default_rng(0),
    )
    assert {p.origin for p in proposals} == {"watching"}
    told = seen[0][: len(history)]
    assert [t.state for t in told].index(TrialState.FAIL) == 5
    for trial, candidate in zip(told, history, strict=True):
        assert architecture_of(task.space, trial.params) == candidate.architecture
        if candidate.number != 5:
            assert trial.values == [candidate.loss, candidate.params]


def test_draws_above_the_budget_are_repaired_and_not_thrown_away(
    make_task: Make, search: Search, spaces, cost
):
    """A uniform draw has five times this budget; a sampler that knows nothing still fills its generation."""
    task = make_task(spaces["default"], 300, population=20)
    history = search(RandomSearch(task), range(1))
    proposals = ask_sampler(
        "uniform", lambda seed: RandomSampler(seed=seed), lambda c: (c.loss,), task, history,
        np.random.default_rng(0),
    )  # fmt: skip
    assert [p.origin for p in proposals] == ["uniform"] * 20
    assert np.mean([cost(p.architecture) for p in proposals]) > 150


@pytest.mark.parametrize("searcher", [Nsga2, Tpe])
def test_they_learn_from_the_first_population_on(make_task: Make, search: Search, spaces, searcher):
    task = make_task(spaces["default"], 400, population=20)
    history = search(searcher(task), range(3))
    first = [c.proposal.origin for c in history[:20]]
    assert first == [p.origin for p in Evolution(task).ask(0, [])]
    assert {"reference", "sample"} == set(first)
    assert {c.proposal.origin for c in history[20:]} == {searcher.__name__.lower()}


def covered(history: list[Candidate], limit: int) -> float:
    """The share of the plane of parameters up to the limit and loss up to 3 that is dominated."""
    best, total = 3.0, 0.0
    front = []
    for c in sorted(history, key=lambda c: (c.params, c.loss)):
        if c.loss < best:
            front.append(c)
            best = c.loss
    ends = [c.params for c in front[1:]] + [limit]
    total = sum((end - c.params) * (3.0 - c.loss) for c, end in zip(front, ends, strict=True))
    return total / (3.0 * limit)


@pytest.mark.thorough
def test_nsga2_covers_the_whole_range_below_the_budget_better_than_the_others(
    make_task: Make, search: Search, spaces
):
    limit = 1500
    tasks = [make_task(spaces["default"], limit, seed=s, population=16, generations=8) for s in (0, 1)]
    found = {
        searcher: sum(covered(search(searcher(task), range(8)), limit) for task in tasks) / 2
        for searcher in (Nsga2, Evolution, Tpe, RandomSearch)
    }
    assert found[Nsga2] > 1.05 * max(found[s] for s in (Evolution, Tpe, RandomSearch))


def test_nsga2_keeps_to_the_search_s_generations(make_task: Make, search: Search, spaces):
    """A generation with failures is a generation; Optuna's own count would not have moved on."""
    task = make_task(spaces["default"], 400, population=6)
    history = search(Nsga2(task), range(2))
    failed = [replace(c, loss=math.inf) if c.number % 2 else c for c in history]
    assert len(Nsga2(task).ask(2, failed)) == 6
    # with all of generation 1 failed, the parents are those of generation 0
    without = [replace(c, loss=math.inf) if c.generation == 1 else c for c in history]
    assert {p.origin for p in Nsga2(task).ask(2, without)} == {"nsga2"}
