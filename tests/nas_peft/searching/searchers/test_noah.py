"""NOAH's procedure: its numbers, each quirk on and off, and where it cannot work."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers import Noah, SearchTask
from search_spaces import Architecture, InputError, SearchSpace

Make = Callable[..., SearchTask]
Search = Callable[..., list[Candidate]]
LIMIT = 1500


@pytest.fixture(scope="module")
def space(spaces) -> SearchSpace:
    noah: SearchSpace = spaces["noah"]
    return noah


@pytest.fixture(scope="module")
def task(make_task: Make, space: SearchSpace) -> SearchTask:
    """The paper's population."""
    return make_task(space, LIMIT, population=50)


def bred(searcher: Noah, search: Search, origin: str) -> list[tuple[Architecture, list[Architecture]]]:
    """Children of that origin with their parents."""
    history = search(searcher, range(4))
    return [
        (c.architecture, [history[n].architecture for n in c.proposal.parents])
        for c in history
        if c.proposal.origin == origin
    ]


def depths(a: Architecture, space: SearchSpace) -> list[int]:
    return [sum(size > 0 for size in a[kind]) for kind, _ in space.kinds]


def test_the_published_numbers_come_with_the_published_population(task: SearchTask, search: Search):
    searcher = Noah(task)
    assert (searcher.parents, searcher.mutation_probability, searcher.depth_probability) == (10, 0.2, 0.4)
    history = search(searcher, range(2))
    origins = [c.proposal.origin for c in history]
    assert origins[:50] == ["sample"] * 50
    assert origins[50:].count("mutation") <= 25
    assert origins[50:].count("crossover") <= 25
    assert origins[50:] == sorted(origins[50:], key=["mutation", "crossover", "sample"].index)
    assert {"mutation", "crossover"} <= set(origins)


def test_parents_are_the_first_most_accurate_of_all_so_far(task: SearchTask, search: Search):
    searcher = Noah(task)
    history = search(searcher, range(3))
    best = sorted(history, key=lambda c: (-c.accuracy, c.number))[:10]
    assert len({c.accuracy for c in history}) < 10  # so there are ties
    by_loss = {c.number for c in sorted(history, key=Candidate.rank_key)[:10]}
    parents = {n for p in searcher.ask(3, history) for n in p.parents}
    assert parents <= {c.number for c in best}
    assert not parents <= by_loss
    other = Noah(task, rank_by_accuracy=False)
    assert {n for p in other.ask(3, history) for n in p.parents} <= by_loss


def test_published_mutations_change_no_size_of_a_layer_that_stays(task: SearchTask, search: Search, space):
    children = bred(Noah(task), search, "mutation")
    assert len(children) > 20
    for child, (parent,) in children:
        assert depths(child, space) != depths(parent, space)
        for kind, _ in space.kinds:
            pairs = [(x, y) for x, y in zip(child[kind], parent[kind], strict=True) if x and y]
            assert all(x == y for x, y in pairs)


def test_mended_mutations_change_sizes_too(task: SearchTask, search: Search, space):
    children = bred(Noah(task, depth_only_mutation=False), search, "mutation")
    assert any(depths(child, space) == depths(parent, space) for child, (parent,) in children)


def test_published_crossovers_exchange_whole_kinds(task: SearchTask, search: Search, space):
    children = bred(Noah(task), search, "crossover")
    assert len(children) > 20
    for child, parents in children:
        assert all(child[kind] in [p[kind] for p in parents] for kind, _ in space.kinds)


def test_mended_crossovers_mix_layers(task: SearchTask, search: Search, space):
    children = bred(Noah(task, whole_kind_crossover=False), search, "crossover")
    assert any(
        all(child[kind] != p[kind] for p in parents) for child, parents in children for kind, _ in space.kinds
    )


def test_the_last_generation_is_evaluated_and_thrown_away(task: SearchTask, search: Search):
    published = Noah(task)
    history = search(published, range(task.generations))
    assert {c.generation for c in history} == {0, 1, 2, 3}
    assert {c.generation for c in published.ranked(history)} == {0, 1, 2}
    kept = Noah(task, discard_last_generation=False)
    assert search(kept, range(task.generations)) == history  # it proposes the same
    assert sorted(kept.ranked(history), key=lambda c: c.number) == history


def test_the_order_is_that_of_the_switch(task: SearchTask, search: Search):
    history = search(Noah(task), range(3))
    by_accuracy = [c.accuracy for c in Noah(task).ranked(history)]
    assert by_accuracy == sorted(by_accuracy, reverse=True)
    by_loss = [c.loss for c in Noah(task, rank_by_accuracy=False).ranked(history)]
    assert by_loss == sorted(by_loss)


def test_published_draws_are_uniform_and_others_lie_around_the_budget(make_task: Make, space, cost):
    task = make_task(space, 2000, population=200)
    uniform = [cost(p.architecture) for p in Noah(task).ask(0, [])]
    around = [cost(p.architecture) for p in Noah(task, uniform_samples=False).ask(0, [])]
    assert min(around) >= 0.4 * 1900
    assert min(uniform) < 0.4 * 1900
    of_all_depths = {tuple(depths(p.architecture, space)) for p in Noah(task).ask(0, [])}
    assert len(of_all_depths) > 30  # of 64


def test_without_uniform_draws_the_references_come_first(make_task: Make, spaces):
    task = make_task(spaces["default"], 400)
    first = Noah(task, depth_only_mutation=False, uniform_samples=False).ask(0, [])
    assert [p.architecture for p in first[:3]] == list(task.references[:3])
    assert {p.origin for p in first} == {"reference"}


@pytest.mark.parametrize(
    ("space", "limit", "changes", "options", "message"),
    [
        ("default", 400, {}, {}, "mutates depths only, .* none: adapter_dim, lora_rank, prompt_tokens; give "
         "--space noah-vtab"),
        ("mixed", 400, {}, {}, "these kinds have none: adapter_dim; give"),
        ("noah", 1500, {"generations": 1}, {}, "discards its last generation, and there is only one; give"),
        ("default", 40, {}, {"depth_only_mutation": False},
         "of 1,000 uniform draws .* none is within the budget; raise the budget, or"),
        ("noah", 1500, {}, {"parents": 0}, "parents is 0"),
        ("noah", 1500, {}, {"depth_probability": 2.0}, "depth_probability is 2.0; give a number from 0 to 1"),
        ("noah", 1500, {}, {"depth_only_mutation": False, "depth_probability": 0.3},
         "which only depth_only_mutation reads, and that is off"),
    ],
)  # fmt: skip
def test_what_it_cannot_work_with_is_said(make_task: Make, spaces, space, limit, changes, options, message):
    task = replace(make_task(spaces[space], limit), **changes)
    with pytest.raises(InputError, match=message):
        Noah(task, **options)


def test_switched_off_it_works_in_a_free_space(make_task: Make, search: Search, spaces):
    task = make_task(spaces["default"], 400, generations=2)
    history = search(Noah(task, depth_only_mutation=False, uniform_samples=False), range(2))
    assert {c.proposal.origin for c in history} >= {"reference", "mutation"}


def test_a_population_of_its_own_keeps_the_shares(make_task: Make, space):
    assert [Noah(make_task(space, LIMIT, population=n)).parents for n in (2, 24, 100)] == [1, 5, 20]
    assert Noah(make_task(space, LIMIT), parents=7).parents == 7


def test_an_overflow_is_no_parent_however_accurate(task: SearchTask, search: Search):
    history = search(Noah(task), range(1))
    history[3] = replace(history[3], loss=float("inf"), accuracy=1.0)
    proposals: list[Proposal] = Noah(task).ask(1, history)
    assert 3 not in {n for p in proposals for n in p.parents}
