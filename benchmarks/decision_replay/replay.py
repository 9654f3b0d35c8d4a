"""Leave-one-task-out replays of the rules: among methods, and among the settings of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.decision_replay.rules import LowestLoss, Rule, Within, families, fixed_rules, prior_of
from benchmarks.decision_replay.tables import Option, Tables
from benchmarks.harness.standard_error import mean_and_error

TODAY = "lowest loss"
"""The rule that the others are compared with."""


def among_methods(finals: Mapping[str, Sequence[Option]], images: int) -> dict[str, Any]:
    """Test accuracy of the method that each rule chooses on each task, in per cent.

    The prior of a task is computed on the others. Rules whose fraction the other tasks choose are under
    ``chosen``: the fraction with the highest mean test accuracy on them, where the prior of each of these is
    computed without both tasks.
    """
    best = {task: max(tested(o) for o in options) for task, options in finals.items()}
    found: dict[str, Any] = {"by hindsight": {"test": 100 * fmean(best.values())}, "rules": {}, "chosen": {}}
    picks: dict[str, dict[str, Option]] = {}
    for name, rule in fixed_rules(images).items():
        picks[name] = {task: rule.choose(options, prior_of(finals, task)) for task, options in finals.items()}
    today = {task: tested(option) for task, option in picks[TODAY].items()}
    for name, chosen in picks.items():
        found["rules"][name] = _scored(chosen, best, today)
    for name, family in families(images).items():
        fractions, chosen = {}, {}
        for task, options in finals.items():
            rest = {other: finals[other] for other in finals if other != task}
            rule = max(family, key=lambda rule: (_mean_test(rule, rest), -rule.fraction))
            fractions[task] = rule.fraction
            chosen[task] = rule.choose(options, prior_of(finals, task))
        found["chosen"][name] = _scored(chosen, best, today) | {"fractions": fractions}
    return found


def _mean_test(rule: Rule, tasks: Mapping[str, Sequence[Option]]) -> float:
    return fmean(tested(rule.choose(options, prior_of(tasks, task))) for task, options in tasks.items())


def _scored(
    chosen: Mapping[str, Option], best: Mapping[str, float], today: Mapping[str, float]
) -> dict[str, Any]:
    """Means over tasks in points, with the standard error of the paired difference to today's rule."""
    tests = {task: tested(option) for task, option in chosen.items()}
    gain, error = mean_and_error([100 * (tests[task] - today[task]) for task in tests])
    regret, regret_error = mean_and_error([100 * (best[task] - tests[task]) for task in tests])
    return {
        "test": 100 * fmean(tests.values()),
        "regret": regret,
        "regret_se": regret_error,
        "gain_on_lowest_loss": gain,
        "gain_se": error,
        "params": fmean(option.params for option in chosen.values()),
        "methods": {task: option.method for task, option in chosen.items()},
        "tests": {task: 100 * test for task, test in tests.items()},
    }


def among_settings(tables: Tables, images: int) -> dict[str, Any]:
    """The settings that rules choose within each method, as far as the tables allow a judgement.

    Only the setting of the highest validation accuracy was tested, so that there is no test accuracy of
    another rule's choice. ``tested`` is the share of choices that are that setting, ``accuracy_lost`` what
    the choice costs in validation accuracy, in points: an upper bound, because the accuracy that chooses and
    the one that judges are the same there.
    """
    rules: dict[str, Rule] = {TODAY: LowestLoss(), "highest accuracy, then loss": Within(0.0, "loss", images)}
    rules |= {f"within {f:g} s.e., then loss": Within(f, "loss", images) for f in (0.25, 0.5, 1.0, 2.0)}
    finals = {task: {o.method: o for o in options} for task, options in tables.finals.items()}
    found = {}
    for name, rule in rules.items():
        same, lost = [], []
        for task, options in tables.tunings.items():
            for method, final in finals[task].items():
                chosen = rule.choose([o for o in options if o.method == method], {})
                same.append(chosen.name == final.name)
                lost.append(100 * (final.accuracy - chosen.accuracy))
        found[name] = {"tested": fmean(same), "accuracy_lost": fmean(lost), "most_lost": max(lost)}
    return found


def tested(option: Option) -> float:
    """The test accuracy of a final."""
    assert option.test is not None  # finals are tested
    return option.test
