"""A plan as people read it."""

import shlex
from typing import Any

import typer

from nas_peft.cli.app import app
from nas_peft.planning.table import options
from nas_peft.run.stage_records import PlanRecord


def test_the_options_of_a_plan_can_be_pasted(plan_record: PlanRecord):
    """An option that is off has no flag with a value, and one without a value has none at all."""
    set_options = {"epochs": [2, 4], "lr": 0.01, "halving": False, "inherited_epochs": None, "average": 0}
    plan = plan_record.model_copy(update={"set_options": set_options})
    assert options(plan) == "--epochs 2,4 --lr 0.01 --average 0"
    assert options(plan.model_copy(update={"set_options": {"halving": True}})) == "--halving"
    command: Any = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    found = command.make_context("search", shlex.split(options(plan))).params
    assert (found["epochs"], found["halving"]) == ("2,4", False)
