"""Report of the small VTAB: means over seeds, flat and by group, and paired differences of methods."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from scipy.stats import t as student_t

from benchmarks.harness.keys import task_name
from benchmarks.harness.standard_error import mean_and_error
from benchmarks.mini_vtab.study import MiniVtab

STRUCTURED = "shapes-"
"""Prefix of the structured tasks; all others are natural."""
OURS = ("searched", "selected")
"""Methods that are compared with every other."""


def report_on(study: MiniVtab) -> dict[str, Any]:
    """Whole report, JSON-able; needs all lines. Accuracies are in per cent, differences in points."""
    tasks = {task_name(task): _task(study, task) for task in study.tasks}
    methods = list(next(iter(tasks.values()))["methods"])
    means = {name: _means({task: of["methods"][name] for task, of in tasks.items()}) for name in methods}
    return {
        "settings": {
            "tasks": list(tasks),
            "seeds": study.setting.seeds,
            "epochs": study.setting.epochs,
            "search": study.setting.plan.to_dict(),
            "noah": study.setting.noah.to_dict(),
        },
        "tasks": tasks,
        "means": means,
        "against": {
            ours: {name: _against(tasks, ours, name) for name in methods if name != ours} for ours in OURS
        },
    }


def _task(study: MiniVtab, task: str) -> dict[str, Any]:
    store = study.store
    tested = store[study.test(task)]
    seeds = range(study.setting.seeds)
    by_seed = [study.finals(task, seed) for seed in seeds]
    methods = {}
    for name in by_seed[0]:
        jobs = [finals[name] for finals in by_seed]
        methods[name] = {
            "test_accuracies": [100 * tested["of"][job.key]["accuracy"] for job in jobs],
            "params": [study.params(job) for job in jobs],
            "lrs": [job.training.recipe.lr for job in jobs],
            "modules": [job.training.architecture.describe() for job in jobs],
        }
    singles = {name: study.single(task, name) for name in study.singles}
    best_single = min(singles, key=lambda name: store.loss_key(singles[name]))
    return {
        "test_images": tested["images"],
        "methods": methods,
        "best_single_on_validation": best_single,
        "searched_minus_best_single": _paired(methods["searched"], methods[best_single]),
        "selected_minus_best_single": _paired(methods["selected"], methods[best_single]),
        "selected": study.selected(task)[0],
        "validation": {
            name: store[job]["val"] for name, job in {**singles, "searched": study.searched(task)}.items()
        },
    }


def _paired(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Mean difference over seeds, its standard error, and the outcome of a paired t-test at 5%."""
    pairs = zip(ours["test_accuracies"], theirs["test_accuracies"], strict=True)
    differences = [a - b for a, b in pairs]
    mean, error = mean_and_error(differences)
    critical = float(student_t.ppf(0.975, len(differences) - 1)) if len(differences) > 1 else float("nan")
    outcome = "tie" if not abs(mean) > critical * error else "win" if mean > 0 else "loss"
    return {"mean": mean, "error": error, "outcome": outcome}


def _means(of_tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    means = {task: fmean(found["test_accuracies"]) for task, found in of_tasks.items()}
    groups = {
        "natural": [m for task, m in means.items() if not task.startswith(STRUCTURED)],
        "structured": [m for task, m in means.items() if task.startswith(STRUCTURED)],
    }
    by_group = {group: fmean(values) for group, values in groups.items() if values}
    return {"flat": fmean(means.values()), "groups": fmean(by_group.values()), **by_group}


def _against(tasks: Mapping[str, Any], ours: str, name: str) -> dict[str, Any]:
    """Wins, ties and losses over tasks; mean difference with its standard errors over tasks and seeds."""
    methods = [of["methods"] for of in tasks.values()]
    paired = [_paired(of[ours], of[name]) for of in methods]
    outcomes = [p["outcome"] for p in paired]
    mean, error = mean_and_error([p["mean"] for p in paired])
    by_seed = zip(
        zip(*(of[ours]["test_accuracies"] for of in methods), strict=True),
        zip(*(of[name]["test_accuracies"] for of in methods), strict=True),
        strict=True,
    )
    over_seeds = mean_and_error([fmean(one) - fmean(other) for one, other in by_seed])
    counts = {outcome: outcomes.count(outcome) for outcome in ("win", "tie", "loss")}
    return counts | {"mean": mean, "error_over_tasks": error, "error_over_seeds": over_seeds[1]}
