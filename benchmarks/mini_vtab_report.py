"""The table of the small VTAB: means over seeds, flat and by group, and the search against the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from scipy.stats import t as student_t
from study_store import mean_and_error, task_name

if TYPE_CHECKING:
    from mini_vtab import MiniVtab

STRUCTURED = "shapes-"
"""How the names of the structured tasks begin; the others are natural."""
OURS = ("searched", "selected")


def report_on(study: MiniVtab) -> dict[str, Any]:
    """Everything, JSON-able; needs all lines of the study. Accuracies in per cent, differences in points."""
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
    """Wins, ties and losses over tasks; the mean difference, with its errors over tasks and over seeds."""
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


def print_report(report: Mapping[str, Any]) -> None:
    """The table, and one line for each comparison."""
    console = Console(width=190)
    tasks: Sequence[str] = report["settings"]["tasks"]
    table = Table(
        title=f"test accuracy in %, mean ± standard deviation over {report['settings']['seeds']} seeds",
        title_justify="left",
    )
    for column in ("method", *tasks, "flat mean", "group mean", "searched − it", "W/T/L"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, means in report["means"].items():
        cells = [_cell(report["tasks"][task]["methods"][name]["test_accuracies"]) for task in tasks]
        against = report["against"]["searched"].get(name)
        difference = f"{against['mean']:+.2f} ± {against['error_over_seeds']:.2f}" if against else ""
        counts = f"{against['win']}/{against['tie']}/{against['loss']}" if against else ""
        table.add_row(name, *cells, f"{means['flat']:.2f}", f"{means['groups']:.2f}", difference, counts)
    console.print(table)
    for task in tasks:
        found = report["tasks"][task]
        for ours in OURS:
            pair = found[f"{ours}_minus_best_single"]
            console.print(
                f"{task}: {ours} minus {found['best_single_on_validation']} (the best single method on "
                f"validation data): {pair['mean']:+.2f} ± {pair['error']:.2f}, {pair['outcome']}"
            )


def _cell(values: Sequence[float]) -> str:
    return f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
