"""Searches that say nothing of recipe and search are planned."""

import pytest

from nas_peft.settings.default_time import PLANNED_WITH, said_of_no_plan, with_time
from nas_peft.settings.search_config import SearchConfig


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 3, "budget": "2%"},
        {"objective": "robust"},
        {"allow_full": True},
        {"seeds": 3},
        {"soup": 4, "class_balance": "weighted"},
    ],
    ids=str,
)
def test_a_command_that_says_nothing_of_recipe_and_search_is_planned(fields: dict[str, object]):
    assert with_time({"dataset": "x", **fields})["time"] == "auto"
    assert said_of_no_plan(fields) is None


@pytest.mark.parametrize(
    "fields",
    [{"epochs": "8"}, {"searcher": "noah"}, {"no_retrain": True}, {"time": "5m"}, {"preset": "fast"}],
    ids=str,
)
def test_what_names_a_recipe_or_a_time_stays_as_it_is(fields: dict[str, object]):
    assert with_time({"dataset": "x", **fields}) == {"dataset": "x", **fields}


def test_options_without_a_plan_are_named():
    assert set(SearchConfig.model_fields) >= PLANNED_WITH
    said = said_of_no_plan(["dataset", "no_retrain", "epochs"])
    assert said is not None
    assert "--no-retrain, --epochs are given without --time" in said
