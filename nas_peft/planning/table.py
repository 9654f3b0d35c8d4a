"""A plan as people read it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from nas_peft.run.plain_table import add_number, add_text, plain_table
from nas_peft.run.stage_records import PlanRecord
from nas_peft.settings.durations import in_words

LEAST_SHARE = 0.5
"""Share of the time that the highest level takes at most where the rest of the time is worth a word."""


def plan_sentence(plan: PlanRecord) -> str:
    """One line: the time that the plan takes, and the options that it sets."""
    return (
        f"plan (level {plan.level} of {plan.levels}), about {_duration(plan)}: {options(plan)}{_rest(plan)}"
    )


def options(plan: PlanRecord) -> str:
    """The options that the plan sets, as a command line has them: those that are off are left out."""
    given = {
        name: value for name, value in plan.set_options.items() if value is not False and value is not None
    }
    return " ".join(_option(name, value) for name, value in given.items())


def plan_table(plan: PlanRecord) -> Table:
    """The expected time of each stage."""
    table = plain_table(f"plan for --time {plan.time}: level {plan.level} of {plan.levels}")
    add_text(table, "stage")
    add_number(table, "expected")
    table.add_row("data, backbone and plan", in_words(plan.before))
    for name, seconds in plan.stages.items():
        table.add_row(name, in_words(seconds))
    table.add_row("whole command", in_words(plan.expected), style="bold")
    if plan.lengthened:
        table.add_row("while more epochs are better, up to", in_words(plan.longest))
    return table


def plan_notes(plan: PlanRecord) -> str:
    """The options that the plan sets, and the speeds that it was made from."""
    return (
        f"sets {options(plan)}\n"
        f"measured here for each image: forward pass {1e3 * plan.speeds.forward:.2f} ms, step of the "
        f"supernet {1e3 * plan.speeds.supernet:.2f} ms, of a subnet {1e3 * plan.speeds.subnet:.2f} ms, of "
        f"full fine-tuning {1e3 * plan.speeds.full:.2f} ms; separate trainings at once: {plan.speeds.places}"
        f"{_rest(plan)}"
    )


def _rest(plan: PlanRecord) -> str:
    """What is said where there is more time than even the highest level needs."""
    if plan.level < plan.levels or plan.longest > LEAST_SHARE * plan.seconds:
        return ""
    return (
        f"\nThis is the highest level. It needs {in_words(plan.longest)} at most and leaves the rest of the "
        f"{in_words(plan.seconds)}; more --seeds take a part of it, and say how much they differ."
    )


def _duration(plan: PlanRecord) -> str:
    least = in_words(plan.expected)
    return least + (
        f", up to {in_words(plan.longest)} while more epochs are better" if plan.lengthened else ""
    )


def _option(name: str, value: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return flag
    return f"{flag} {','.join(map(str, value)) if isinstance(value, list) else value}"
