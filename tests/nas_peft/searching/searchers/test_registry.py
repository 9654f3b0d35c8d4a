"""Searchers by name: options are checked by name and type, and a new searcher is one registration."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers import (
    SEARCHERS,
    Evolution,
    Noah,
    Searcher,
    SearchTask,
    build_searcher,
    describe_searcher,
    option_names,
    parse_options,
    register_searcher,
)
from search_spaces import InputError

Make = Callable[..., SearchTask]
FLAGS = {"parents": None, "mutation_probability": None}


@dataclass(frozen=True)
class Nothing(Searcher):
    """Proposes nothing."""

    task: SearchTask
    patience: int = 3

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        return []


@pytest.fixture
def registered() -> Iterator[None]:
    register_searcher("nothing", Nothing)
    yield
    del SEARCHERS["nothing"]


def test_the_package_s_searchers():
    assert set(SEARCHERS) >= {"evolution", "noah", "nsga2", "tpe", "random"}
    assert option_names("evolution") == ("parents", "mutation_probability")
    assert option_names("tpe") == option_names("nsga2") == option_names("random") == ()
    assert {"depth_only_mutation", "rank_by_accuracy"} <= set(option_names("noah"))


def test_options_are_read_by_their_types():
    text = "depth_only_mutation=false, rank_by_accuracy = yes,depth_probability=0.25"
    assert parse_options("noah", text, FLAGS | {"parents": 4}) == {
        "parents": 4,
        "depth_only_mutation": False,
        "rank_by_accuracy": True,
        "depth_probability": 0.25,
    }
    assert parse_options("evolution", "", FLAGS) == parse_options("tpe", " ", FLAGS) == {}


@pytest.mark.parametrize(
    ("name", "text", "flags", "message"),
    [
        ("evolutoin", "", {}, "unknown searcher 'evolutoin'; did you mean 'evolution'? There are: evolution"),
        ("noah", "rank_by_loss=true", {}, "'noah' has no option 'rank_by_loss', it has: parents"),
        ("noah", "rank_by_accuracy", {}, "searcher_options has 'rank_by_accuracy'; give NAME=VALUE"),
        ("noah", "rank_by_accuracy=perhaps", {}, "has rank_by_accuracy=perhaps: input should be"),
        ("noah", "depth_probability=0.1,depth_probability=0.2", {}, "has depth_probability twice; give"),
        ("noah", "parents=3", FLAGS, "parents has an option of its own; give --parents 3"),
        ("tpe", "", {"parents": 3}, "'tpe' has no option 'parents', it has none; leave --parents"),
        ("random", "", {"mutation_probability": 0.1}, "it has none; leave --mutation-probability out"),
        ("tpe", "task=1", {}, "the searcher 'tpe' has no option 'task', it has none"),
    ],
)  # fmt: skip
def test_mistakes_are_named(name, text, flags, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_options(name, text, flags)


def test_a_searcher_is_built_and_described(make_task: Make, spaces):
    task = make_task(spaces["noah"], 1500)
    searcher = build_searcher("noah", task, {"rank_by_accuracy": False})
    assert searcher == Noah(task, rank_by_accuracy=False)
    described = describe_searcher("noah", searcher)
    assert described["name"] == "noah"
    assert described["parents"] == 2  # what it comes to, not that it was left out
    assert described["rank_by_accuracy"] is False
    assert set(described) == {"name", *option_names("noah")}
    assert build_searcher("evolution", task, {}) == Evolution(task, parents=8, mutation_probability=0.1)
    with pytest.raises(InputError, match="has no option 'patience'"):
        build_searcher("evolution", task, {"patience": 3})


def test_a_new_searcher_is_one_registration(registered: None, make_task: Make, spaces):
    task = make_task(spaces["noah"], 1500)
    options = parse_options("nothing", "patience=5", FLAGS)
    searcher = build_searcher("nothing", task, options)
    assert describe_searcher("nothing", searcher) == {"name": "nothing", "patience": 5}
    assert searcher.ask(0, []) == searcher.ranked([]) == []


def test_a_name_is_taken_once_and_a_searcher_is_a_dataclass(registered: None):
    with pytest.raises(ValueError, match="the searcher name 'nothing' is taken"):
        register_searcher("nothing", Nothing)
    with pytest.raises(TypeError, match="must be a dataclass whose first field is 'task'"):
        register_searcher("other", lambda task: Nothing(task))
    assert "other" not in SEARCHERS
