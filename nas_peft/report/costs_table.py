"""The cost ledger: each stage as it was planned and as it was."""

from __future__ import annotations

from nas_peft.protocol.cost_ledger import one_retraining, seconds_taken, stage_costs
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.number_texts import NONE
from nas_peft.report.reported_run import ReportedRun
from nas_peft.settings.durations import in_words


def costs_table(run: ReportedRun) -> DataTable:
    """Seconds, image passes, work and memory of each stage, beside the plan if there is one."""
    result = run.result
    plan, reference = result.plan, one_retraining(result)
    planned = {} if plan is None else plan.of([name for name in result.stages if name.startswith("recipes")])
    rows = []
    for cost in stage_costs(result):
        rows.append(
            (
                cost.name,
                *([] if plan is None else [f"{planned[cost.name]:,.0f}" if cost.name in planned else NONE]),
                f"{cost.seconds:,.0f}",
                f"{cost.forward:,.0f}",
                f"{cost.backward:,.0f}",
                f"{cost.work / reference.work:.1f}" if reference.work else NONE,
                NONE if cost.peak_memory is None else f"{cost.peak_memory / 1e6:,.0f}",
            )
        )
    if plan is not None:
        rows.insert(0, ("before the plan", f"{plan.before:,.0f}", f"{plan.before:,.0f}", *[NONE] * 4))
    total = [] if plan is None else [f"{plan.before + sum(planned.values()):,.0f}"]
    rows.append(("all", *total, f"{seconds_taken(result):,.0f}", *_sums(run)))
    columns = (
        "stage",
        *([] if plan is None else ["planned s"]),
        "seconds",
        "forward",
        "backward",
        "retrainings",
        "peak MB",
    )
    time = (
        "" if plan is None else f" The plan was for --time {plan.time}, level {plan.level} of {plan.levels}."
    )
    return data_table(
        "Cost of each stage",
        columns,
        rows,
        marked=[len(rows) - 1],
        note="Forward and backward: images through the backbone. Retrainings: work as a multiple of one "
        "retraining of a subnet on the training images. Several trainings may run at once, so seconds are "
        f"not proportional to work. The run took {in_words(seconds_taken(result))}.{time}",
    )


def _sums(run: ReportedRun) -> tuple[str, str, str, str]:
    costs, reference = stage_costs(run.result), one_retraining(run.result)
    peaks = [cost.peak_memory for cost in costs if cost.peak_memory is not None]
    work = sum(cost.work for cost in costs)
    return (
        f"{sum(cost.forward for cost in costs):,.0f}",
        f"{sum(cost.backward for cost in costs):,.0f}",
        f"{work / reference.work:.1f}" if reference.work else NONE,
        f"{max(peaks) / 1e6:,.0f}" if peaks else NONE,
    )
