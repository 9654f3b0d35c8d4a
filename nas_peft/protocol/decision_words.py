"""The decision of a run in plain sentences, which need the result alone."""

from __future__ import annotations

from collections.abc import Mapping

from nas_peft.run.results import DecisionResult, PairedComparison, RivalResult, Role, Verdict


def decision_sentences(decision: DecisionResult, labels: Mapping[str, str], exported: str) -> list[str]:
    """The decision in plain sentences, to be printed below the table; ``labels`` are those of the rows."""
    rivals = {rival.row: rival for rival in decision.rivals}
    why = WHY[decision.by].format(fraction=f"{decision.fraction:g}")
    among = "" if decision.by == "alone" else f", one of {decision.among} rows that may be"
    lines = [f"exported: {labels[exported]} ({exported}){among}: {why}"]
    named: dict[str, str] = {}
    for role, prefix in _PREFIXES.items():
        if name := decision.roles.get(role):
            named.setdefault(name, f"{prefix}{labels[name]}")
    compared = [_against(text, rivals[name]) for name, text in named.items()]
    if compared:
        regret = 100 * decision.expected_regret
        lines.append(
            f"on {decision.images:,} validation images its accuracy is {'; '.join(compared)}; "
            f"expected regret {regret:.1f} points"
        )
    if (full := decision.better_full) is not None:
        lines.append(
            f"full fine-tuning is better on validation data by {-100 * full.difference:.1f} points, more "
            "than the noise"
        )
    if (searched := rivals.get(decision.roles.get("searched", ""))) is not None:
        lines.append(f"searching was not worth it here: {_NOT_WORTH[searched.verdict]}")
    elif (single := rivals.get(decision.roles.get("single", ""))) is not None and single.verdict == "tie":
        lines.append(f"searching gained nothing certain over {labels[single.row]}: a tie on validation data")
    return lines


WHY: Mapping[str, str] = {
    "alone": "no other row may be exported",
    "accuracy": "no other accuracy on validation data is as high within {fraction} standard errors",
    "loss": "of those whose accuracies validation cannot tell apart, its calibrated loss is the lowest",
    "params": "of those that validation cannot tell apart in accuracy and loss, it is the cheapest",
}
"""Why a row was exported, by the step of the rule that decided."""
_PREFIXES: Mapping[Role, str] = {
    "full": "",
    "single": "the best single method, ",
    "searched": "the best ",
    "runner_up": "the runner-up, ",
}
_NOT_WORTH: Mapping[Verdict, str] = {
    "better": "the single method is better than the searched subnets",
    "tie": "a single method does as well as the searched subnets, a tie on validation data",
    "worse": "a single method is exported",
}


def _against(text: str, rival: RivalResult) -> str:
    low, high = rival.interval
    tie = ", a tie" if rival.verdict == "tie" else ""
    return (
        f"{100 * rival.difference:+.1f} points against {text} (90% {100 * low:+.1f} to {100 * high:+.1f}, "
        f"better with probability {rival.better:.2f}{tie})"
    )


def paired_sentence(pair: PairedComparison, labels: Mapping[str, str]) -> str:
    """The comparison as one sentence, to be printed below the table."""
    points, error = 100 * pair.difference, pair.standard_error
    spread = "" if error is None else f" ± {100 * error:.1f} (standard error)"
    seeds = f"{len(pair.seeds)} seed{'s' if len(pair.seeds) > 1 else ''}"
    return (
        f"{labels[pair.searched]} against {labels[pair.single]}, the best single method on validation data: "
        f"{points:+.1f}{spread} points of test accuracy, {seeds}; of {pair.images:,} images with seed "
        f"{pair.seeds[0]}, {pair.searched_only} are right with the former only and {pair.single_only} with "
        f"the latter only (McNemar's exact p = {pair.p_value:.2g})"
    )
