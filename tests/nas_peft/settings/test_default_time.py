"""Searches that say nothing of recipe and search are planned."""

from nas_peft.settings.default_time import PLANNED_WITH, with_time
from nas_peft.settings.search_config import SearchConfig


def test_a_command_that_says_nothing_of_recipe_and_search_is_planned():
    assert with_time({"dataset": "x", "seed": 3, "budget": "2%"})["time"] == "auto"
    assert with_time({"dataset": "x", "objective": "robust"})["time"] == "auto"
    for fields in (
        {"epochs": "8"},
        {"searcher": "noah"},
        {"no_retrain": True},
        {"time": "5m"},
        {"preset": "fast"},
    ):
        assert with_time({"dataset": "x", **fields}) == {"dataset": "x", **fields}
    assert set(SearchConfig.model_fields) >= PLANNED_WITH
