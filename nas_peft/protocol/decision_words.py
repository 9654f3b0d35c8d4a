"""The decision of a run in plain sentences, which need the result alone."""

from __future__ import annotations

from collections.abc import Mapping

from nas_peft.protocol.metric_words import bounds, label, signed, size, unit
from nas_peft.run.results import DecisionResult, PairedComparison, RivalResult, Role, SearchResult, Verdict
from nas_peft.settings.metric import Metric

FULL = "full"
"""Name of the row of full fine-tuning."""


def decision_sentences(decision: DecisionResult, labels: Mapping[str, str], exported: str) -> list[str]:
    """The decision in plain sentences, to be printed below the table; ``labels`` are those of the rows."""
    rivals = {rival.row: rival for rival in decision.rivals}
    why = because(decision)
    among = "" if decision.by == "alone" else f", one of {decision.among} rows that may be"
    lines = [f"exported: {labels[exported]} ({exported}){among}: {why}"]
    named: dict[str, str] = {}
    for role, prefix in _PREFIXES.items():
        if name := decision.roles.get(role):
            named.setdefault(name, f"{prefix}{labels[name]}")
    compared = [_against(text, rivals[name], decision.metric) for name, text in named.items()]
    if compared:
        lines.append(
            f"on {decision.images:,} {validation_images(decision)} its {label(decision.metric)} is "
            f"{'; '.join(compared)}; expected regret "
            f"{size(decision.metric, decision.expected_regret)}{unit(decision.metric)}"
            + ("; none of this is about shifted images" if decision.robust else "")
        )
    if (full := decision.better_full) is not None:
        lines.append(
            f"full fine-tuning is better on {validation_data(decision)} by "
            f"{size(decision.metric, -full.difference)}{unit(decision.metric)}, more than the noise"
        )
    searched = rivals.get(decision.roles.get("searched", ""))
    if exported == "full":
        lines.append("full fine-tuning is exported, as allowed: the file holds the whole backbone")
    elif searched is not None:
        why_not = _NOT_WORTH[searched.verdict].format(where=validation_data(decision))
        lines.append(f"searching was not worth it here: {why_not}")
    elif (single := rivals.get(decision.roles.get("single", ""))) is not None and single.verdict == "tie":
        where = validation_data(decision)
        lines.append(f"searching gained nothing certain over {labels[single.row]}: a tie on {where}")
    return lines


def last_step(result: SearchResult) -> str | None:
    """What the last step made of the row that was decided for, if it is exported as a mean of trainings."""
    averaging, decided = result.selected.averaging, result.decided
    if averaging is None or decided is result.selected:
        return None
    count = len(next(iter(averaging.ingredients.values())))
    return (
        f"the mean of {count} trainings of {decided.label} in other orders of the images is exported, with "
        f"{100 * result.selected.mean('val_accuracy'):.1f}% validation accuracy; the chosen training "
        f"has {100 * decided.mean('val_accuracy'):.1f}%"
    )


def validation_images(decision: DecisionResult) -> str:
    """The images that all verdicts are about: not the shifted ones, where these decided."""
    return "unchanged validation images" if decision.robust else "validation images"


def validation_data(decision: DecisionResult) -> str:
    """The same in a sentence without their number."""
    return "unchanged validation images" if decision.robust else "validation data"


def baselines_as_good(result: SearchResult, decision: DecisionResult) -> list[str]:
    """Names of the baselines than which the exported row is not better, full fine-tuning left out."""
    named = {row.name for row in result.rows if row.group == "baseline"} - {FULL}
    return [rival.row for rival in decision.rivals if rival.row in named and rival.verdict != "better"]


def because(decision: DecisionResult) -> str:
    """Why the row was exported: the step of the rule that decided, in the words of the metric."""
    metric, fraction = label(decision.metric), f"{decision.fraction:g}"
    if decision.by != "shifted" and decision.metric == "log-loss":
        why = WHY_LOSS[decision.by]
    elif decision.metric != "accuracy" and decision.by in ("accuracy", "loss"):
        why = WHY_METRIC[decision.by]
    else:
        why = WHY[decision.by]
    return why.format(fraction=fraction, metric=metric)


WHY: Mapping[str, str] = {
    "alone": "no other row may be exported",
    "accuracy": "its accuracy on validation data is the highest, by more than {fraction} standard errors",
    "loss": "of those whose accuracies validation cannot tell apart, its calibrated loss is the lowest",
    "shifted": "of those not significantly behind in {metric} and within the margin in loss, its loss on "
    "shifted images is the lowest",
    "params": "of those that validation cannot tell apart in {metric} and loss, it is the cheapest",
}
"""Why a row was exported, by the step of the rule that decided."""
WHY_METRIC: Mapping[str, str] = {
    "accuracy": "its {metric} on validation data is the highest, by more than {fraction} standard errors",
    "loss": "of those that validation cannot tell apart in {metric}, its calibrated loss is the lowest",
}
WHY_LOSS: Mapping[str, str] = {
    "alone": "no other row may be exported",
    "accuracy": "its calibrated loss on validation data is the lowest, by more than {fraction} standard "
    "errors",
    "loss": "its calibrated loss on validation data is the lowest",
    "params": "of those that validation cannot tell apart in calibrated loss, it is the cheapest",
}
_PREFIXES: Mapping[Role, str] = {
    "full": "",
    "single": "the best single method, ",
    "searched": "the best ",
    "runner_up": "the runner-up, ",
}
_NOT_WORTH: Mapping[Verdict, str] = {
    "better": "the single method is better than the searched subnets",
    "tie": "a single method does as well as the searched subnets, a tie on {where}",
    "worse": "a single method is exported",
}


def _against(text: str, rival: RivalResult, metric: Metric) -> str:
    tie = ", a tie" if rival.verdict == "tie" else ""
    return (
        f"{signed(metric, rival.difference)}{unit(metric)} against {text} (90% "
        f"{bounds(metric, rival.interval)}, better with probability {rival.better:.2f}{tie})"
    )


def paired_sentence(pair: PairedComparison, labels: Mapping[str, str]) -> str:
    """The comparison as one sentence, to be printed below the table."""
    error = pair.standard_error
    spread = "" if error is None else f" ± {size(pair.metric, error)} (standard error)"
    if pair.interval is not None:
        spread += f" (95% {bounds(pair.metric, pair.interval)} over the images of seed {pair.seeds[0]})"
    seeds = f"{len(pair.seeds)} seed{'s' if len(pair.seeds) > 1 else ''}"
    return (
        f"{labels[pair.searched]} against {labels[pair.single]}, the best single method on validation data: "
        f"{signed(pair.metric, pair.difference)}{spread}{unit(pair.metric)} of test {label(pair.metric)}, "
        f"{seeds}; of {pair.images:,} images with seed {pair.seeds[0]}, {pair.searched_only} are right with "
        f"the former only and {pair.single_only} with the latter only (McNemar's exact p = "
        f"{pair.p_value:.2g})"
    )
