"""Searches that say nothing of recipe and search are planned."""

import re
from pathlib import Path

import pytest

from nas_peft.settings.default_time import PLANNED_WITH, said_of_no_plan, with_time
from nas_peft.settings.panels import Panel, panel_of
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


def test_the_page_names_the_options_that_leave_the_plan_on():
    """Those of whole panels are named by their panel; the others one by one."""
    page = (Path(__file__).parents[3] / "docs" / "search.md").read_text(encoding="utf-8")
    panels = {p.value for p in (Panel.DATA, Panel.BACKBONE, Panel.BUDGET, Panel.CLUSTER)}
    fields = {name: panel_of(field.metadata) for name, field in SearchConfig.model_fields.items()}
    of_panels = {name for name, panel in fields.items() if panel in panels} - {"time", "preset"}

    def named(text: str) -> set[str]:
        found = {flag.replace("-", "_") for flag in re.findall(r"`--([a-z0-9-]+)`", text)}
        return {"module_files" if name == "module_file" else name for name in found}

    never = page.split("never stop the plan")[1].split(": they are planned around")[0]
    but_for, others = never.split("Neither do")
    assert named(but_for) == of_panels - PLANNED_WITH
    assert named(others) == PLANNED_WITH - of_panels
    stop = page.split("unless it gives an option of")[1].split(": then nothing is planned")[0]
    assert "single_sizes" in named(stop)
    assert not named(stop) & PLANNED_WITH
