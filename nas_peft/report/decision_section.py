"""The decision of a run: what was exported, why, how sure that is, what it costs and what it gains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas_peft.protocol.cost_ledger import planned_seconds, seconds_taken
from nas_peft.protocol.decision_words import (
    baselines_as_good,
    last_step,
    validation_data,
    validation_images,
)
from nas_peft.protocol.metric_words import bounds, label, signed, size, unit
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.number_texts import NONE, interval_of_test, of_seeds, score_of_seeds, size_of_file
from nas_peft.report.reported_run import ReportedRun
from nas_peft.run.results import DecisionResult, RivalResult, Role
from nas_peft.settings.durations import in_words
from nas_peft.settings.metric import Metric

WHY = {
    "alone": "It is the only row that may be exported.",
    "accuracy": "Its validation {metric} is the highest: no other is within {fraction} standard errors of "
    "it.",
    "loss": "Validation {metric} cannot tell it from {others}; of these, its calibrated loss is the lowest.",
    "params": "Validation {metric} and loss cannot tell it from {others}; of these, it has the fewest "
    "parameters.",
    "shifted": "Of the rows that are not significantly behind in {metric}, and within the margin in loss, "
    "its loss on shifted images is the lowest.",
}
"""Why a row was exported, by the step of the rule that decided."""
WHY_LOSS = {
    "accuracy": "Its calibrated validation loss is the lowest: no other is within {fraction} standard errors "
    "of it.",
    "loss": "Its calibrated validation loss is the lowest.",
    "params": "Calibrated validation loss cannot tell it from {others}; of these, it has the fewest "
    "parameters.",
}
"""The same where the metric of the run is the log loss."""
ROLES: dict[Role, str] = {
    "full": "full fine-tuning",
    "single": "best single method",
    "searched": "best searched subnet",
    "runner_up": "runner-up",
}
VERDICTS = {"better": "the exported row is better", "tie": "a tie", "worse": "the other row is better"}


@dataclass(frozen=True)
class KeyFigure:
    """A number with its name and a remark on it."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class DecisionSection:
    """The decision in words and numbers; ``rivals`` is ``None`` where certainty was not recorded."""

    exported: str
    why: str
    figures: tuple[KeyFigure, ...]
    rivals: DataTable | None
    remarks: tuple[str, ...]


def decision_section(run: ReportedRun) -> DecisionSection:
    """The decision of a run."""
    decision = run.result.decision
    return DecisionSection(
        exported=run.labels[run.selected.name],
        why=_why(run, decision),
        figures=tuple(_figures(run)),
        rivals=None if decision is None or not decision.rivals else _rivals(run, decision),
        remarks=tuple(_remarks(run)),
    )


def _why(run: ReportedRun, decision: DecisionResult | None) -> str:
    if decision is None:
        if run.options.get("no_retrain"):
            return (
                "Its loss with inherited weights is the lowest of all candidates. Nothing was retrained, so "
                "it is not known how sure that is."
            )
        return "Validation data decided. The run is of a version that did not record how sure that is."
    others = "the others that may be exported" if decision.among > 2 else "the other that may be exported"
    why = (WHY | WHY_LOSS if decision.metric == "log-loss" else WHY)[decision.by]
    return why.format(fraction=f"{decision.fraction:g}", others=others, metric=label(decision.metric))


def _figures(run: ReportedRun) -> Iterator[KeyFigure]:
    result, row, metric = run.result, run.selected, run.metric
    share = 100 * row.params / result.backbone["params"]
    if metric != "accuracy":  # the one that decided stands first
        percent = "" if metric == "log-loss" else "%"
        test = score_of_seeds(row, "test", metric)
        yield KeyFigure(f"Test {label(metric)}", "not tested" if test == NONE else f"{test}{percent}")
        decides = "decides what is exported"
        val = score_of_seeds(row, "val", metric)
        yield KeyFigure(f"Validation {label(metric)}", f"{val}{percent}", decides)
    yield KeyFigure(
        "Test accuracy",
        f"{of_seeds(row, 'test_accuracy')}%" if row.tested else "not tested",
        f"95% interval {interval_of_test(row, result)}, {result.dataset['counts']['test']:,} images"
        if row.tested
        else "",
    )
    yield KeyFigure(
        "Validation accuracy",
        f"{of_seeds(row, 'val_accuracy')}%",
        f"{result.dataset['counts']['val']:,} images; loss {row.mean('val_loss'):.3f}",
    )
    yield KeyFigure(
        "Trained parameters",
        f"{row.params:,}",
        f"{row.module_params:,} in modules, {row.head_params:,} in the head; {share:.2g}% of the backbone",
    )
    subnet = result.subnet
    yield KeyFigure("File", size_of_file(subnet["bytes"]), f"{subnet['file']}, beside the frozen backbone")
    yield KeyFigure("Computation", f"{row.flops / 1e6:,.0f} MFLOPs", "a forward pass of one image")
    planned = "" if result.plan is None else f"planned {in_words(planned_seconds(result))}"
    yield KeyFigure("Time", in_words(seconds_taken(result)), planned)


def _rivals(run: ReportedRun, decision: DecisionResult) -> DataTable:
    roles: dict[str, list[str]] = {}
    for role, name in decision.roles.items():
        roles.setdefault(name, []).append(ROLES[role])
    of_interest = {*roles, *baselines_as_good(run.result, decision)}
    asked = [rival for rival in decision.rivals if rival.row in of_interest] or decision.rivals
    metric = decision.metric
    ahead = "log loss" if metric == "log-loss" else f"points of {label(metric)}"
    regret = f"{size(metric, decision.expected_regret)}{unit(metric)}"
    shifted = " All of this is about unchanged images; the loss on shifted images decided."
    shifted = shifted if decision.robust else ""
    return data_table(
        f"How sure the choice is: the exported row against the others on the {validation_images(decision)}",
        ("against", "which is", "verdict", ahead, "90% interval", "probability of being better"),
        (_rival(run, rival, roles.get(rival.row, []), decision.metric) for rival in asked),
        texts=3,
        note=f"By {decision.resamples:,} bootstrap resamples of {decision.images:,} validation images, "
        "paired. From 0.1 to 0.9 the probability is called a tie. Expected regret: the best row that may be "
        f"exported is ahead of the exported one by {regret} on average.{shifted}",
    )


def _rival(run: ReportedRun, rival: RivalResult, roles: list[str], metric: Metric) -> tuple[str, ...]:
    return (
        run.labels[rival.row],
        ", ".join(roles) or NONE,
        VERDICTS[rival.verdict],
        signed(metric, rival.difference),
        bounds(metric, rival.interval),
        f"{rival.better:.2f}",
    )


def _remarks(run: ReportedRun) -> Iterator[str]:
    result, labels, decision = run.result, run.labels, run.result.decision
    if decision is not None:
        where = validation_data(decision)
        yield from _full(run, decision)
        if (last := last_step(result)) is not None:
            yield f"{last[:1].upper()}{last[1:]}."
        for name in baselines_as_good(result, decision):
            yield (
                f"{labels[name][:1].upper()}{labels[name][1:]} does as well on {where}. It is for "
                "comparison only: a run exports a searched subnet or a single method."
            )
        rivals = {rival.row: rival for rival in decision.rivals}
        searched = rivals.get(decision.roles.get("searched", ""))
        single = rivals.get(decision.roles.get("single", ""))
        if searched is not None:
            yield {
                "better": "Searching was not worth it here: the single method is better than the searched "
                "subnets.",
                "tie": "Searching was not worth it here: a single method does as well as the searched "
                f"subnets, a tie on {where}.",
                "worse": "Searching was not worth it here: by the rule a single method is exported.",
            }[searched.verdict]
        elif single is not None and "search" in result.stages:
            name = labels[single.row]
            yield {
                "better": f"The search was worth it on {where}: the exported row is better than "
                f"{name}, the best single method.",
                "tie": f"The search gained nothing certain over {name}, the best single method: a tie on "
                f"{where}.",
                "worse": f"{name}, the best single method, is ahead on {where}.",
            }[single.verdict]
    if (pair := result.paired) is not None:
        error = pair.standard_error
        spread = "" if error is None else f" ± {size(pair.metric, error)} (standard error)"
        difference = f"{signed(pair.metric, pair.difference)}{spread}{unit(pair.metric)}"
        yield (
            f"On the test images {labels[pair.searched]} is at {difference} of {label(pair.metric)} "
            f"against {labels[pair.single]}. Of {pair.images:,} images {pair.searched_only} are right with "
            f"the former only and {pair.single_only} with the latter only (McNemar's exact p = "
            f"{pair.p_value:.2g})."
        )
    for row in result.rows:
        if row.error is not None:
            yield f"{labels[row.name]} failed: {row.error}."


def _full(run: ReportedRun, decision: DecisionResult) -> Iterator[str]:
    """What full fine-tuning would give; it is no row that may be exported."""
    name = decision.roles.get("full")
    rival = next((rival for rival in decision.rivals if rival.row == name), None)
    row = next((row for row in run.result.rows if row.name == name), None)
    if rival is None or row is None:
        yield "Full fine-tuning was not part of the run."
        return
    amount = f"{size(decision.metric, abs(rival.difference))}{unit(decision.metric)}"
    said = {
        "better": f"is worse by {amount}",
        "tie": "is a tie with the exported row",
        "worse": f"is better by {amount}, more than the noise,",
    }[rival.verdict]
    metric = decision.metric
    percent = "" if metric == "log-loss" else "%"
    test = f", {score_of_seeds(row, 'test', metric)}{percent} on the test images" if row.tested else ""
    val = f"{label(metric)} {score_of_seeds(row, 'val', metric)}{percent}"
    yield (
        f"Full fine-tuning {said} on {validation_data(decision)} ({val}{test}), and "
        f"stores all {row.params:,} parameters for each task."
    )
