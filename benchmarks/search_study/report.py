"""Report of the study of the search: paired differences over tasks and seeds, Kendall's tau, and costs.

Accuracies are in per cent. Differences are in points, paired by task and seed, with standard errors over
these pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.harness.finished_table import FinishedTable
from benchmarks.harness.keys import digest, task_name
from benchmarks.harness.standard_error import mean_and_error
from benchmarks.search_study.study import SearchStudy
from nas_peft.audit.ranking import bootstrap_interval, bootstrap_taus, kendall_tau, seed_ceiling
from search_spaces import Architecture, count_params

REFERENCE = "evolution"
"""Contestant that all others are compared with."""


def report_on(study: SearchStudy) -> dict[str, Any]:
    """Whole report, JSON-able; needs all lines of the study."""
    runs = [_run(study, task, seed) for task in study.tasks for seed in study.seeds]
    methods = list(runs[0]["methods"])

    def pairs(name: str) -> list[dict[str, Any]]:
        return [run for run in runs if name in run["methods"]]

    return {
        "settings": {
            "tasks": [task_name(task) for task in study.tasks],
            "seeds": list(study.seeds),
            "plans": {name: plan.to_dict() for name, plan in study.plans.items()},
            "recipe": study.recipe.to_dict(),
        },
        "methods": {
            name: {
                key: _mean([run["methods"][name][key] for run in pairs(name)])
                for key in ("test_accuracy", "val_accuracy", "params")
            }
            for name in methods
        },
        "evolution_minus": {
            name: _paired([_test(r, REFERENCE) - _test(r, name) for r in pairs(name)])
            for name in methods
            if name != REFERENCE
        },
        "inherited_loss_evolution_minus_random": _paired(
            [r["best_inherited_loss"]["evolution"] - r["best_inherited_loss"]["random"] for r in runs]
        ),
        "cost": _cost(study, runs),
        "racing": {
            "images_saved": _mean(
                [100 * (1 - r["images"]["evolution"] / r["images"]["evolution-whole"]) for r in runs]
            ),
            "same_winner": sum(_winner(r, "evolution") == _winner(r, "evolution-whole") for r in runs),
            "of": len(runs),
        },
        "inherited_minus_retrained": {
            name: {
                part: _paired([r["inherited"][name][part] for r in runs if name in r["inherited"]])
                for part in ("val", "test")
            }
            for name in ("default", "long")
        },
        "table": {name: _taus(study, name) for name in ("default", "long")},
        "runs": runs,
    }


def _test(run: dict[str, Any], method: str) -> float:
    accuracy: float = run["methods"][method]["test_accuracy"]
    return accuracy


def _winner(run: dict[str, Any], method: str) -> dict[str, Any]:
    architecture: dict[str, Any] = run["methods"][method]["architecture"]
    return architecture


def _run(study: SearchStudy, task: str, seed: int) -> dict[str, Any]:
    store = study.store
    tested = store[study.test(task)]["of"]
    search = store[study.search(task, "default", seed)]
    found = search["found"]
    methods = {}
    for method, candidates in study.candidates(task, seed).items():
        final = study.final(task, seed, method)
        architecture = final.training.architecture
        retrained = store[study.retrained(task, seed, architecture)]
        methods[method] = {
            "architecture": architecture.to_dict(),
            "description": architecture.describe(),
            "params": _params(study, architecture),
            "val_accuracy": 100 * retrained["val"]["accuracy"],
            "test_accuracy": 100 * tested[final.key]["accuracy"],
            "test_loss": tested[final.key]["loss"],
            "compared": len(candidates),
        }
    return {
        "task": task_name(task),
        "seed": seed,
        "methods": methods,
        "best_inherited_loss": {way: f["best"][0]["loss"] for way, f in found.items()},
        "images": {way: f["images"] for way, f in found.items()},
        "image_passes": {way: f["image_passes"] for way, f in found.items()}
        | {"supernet": search["supernet"]["image_passes"]},
        "inherited": {
            name: _inherited(study, task, seed, name, tested) for name in study.names(seed) if name != "noah"
        },
    }


def _inherited(
    study: SearchStudy, task: str, seed: int, name: str, tested: dict[str, Any]
) -> dict[str, float]:
    """Inherited minus retrained accuracy in points, mean over the best subnets of evolution."""
    job = study.search(task, name, seed)
    best = study.store[job]["found"]["evolution"]["best"]
    differences: dict[str, list[float]] = {"val": [], "test": []}
    for candidate in best:
        a = Architecture.from_dict(candidate["architecture"])
        alone = study.retrained(task, seed, a)
        if not candidate["dropped"]:  # a dropped candidate was scored on its first images only
            differences["val"].append(candidate["accuracy"] - study.store[alone]["val"]["accuracy"])
        differences["test"].append(tested[job.inherited_key(a)]["accuracy"] - tested[alone.key]["accuracy"])
    return {part: 100 * float(np.mean(values)) for part, values in differences.items()}


def _cost(study: SearchStudy, runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Costs in image passes. Backward passes count as one forward pass, or as two where the key says so."""
    supernet = float(np.mean([r["image_passes"]["supernet"] for r in runs]))
    scoring = float(np.mean([r["image_passes"]["evolution"] for r in runs]))
    epochs = study.plans["default"].supernet_epochs
    assert isinstance(epochs, int)
    retraining = supernet / epochs * study.recipe.epochs
    return {
        "supernet_images": supernet,
        "scoring_passes": scoring,
        "random_scoring_passes": float(np.mean([r["image_passes"]["random"] for r in runs])),
        "one_retraining_images": retraining,
        "in_retrainings": (2 * supernet + scoring) / (2 * retraining),
        "in_retrainings_backward_as_two": (3 * supernet + scoring) / (3 * retraining),
    }


def _taus(study: SearchStudy, name: str) -> dict[str, Any]:
    """Tau between inherited scores and the table's trainings, by task; empty without a table."""
    if study.table is None:
        return {}
    found = {}
    groups = {"all": np.ones(len(study.table.entries), dtype=bool), "equal": study.table.group("equal")}
    for task in study.tasks:
        if task_name(task) not in study.table.results["tasks"]:
            continue
        columns = study.table.columns(task_name(task))
        lines = [study.store[study.search(task, name, s)] for s in study.seeds if name in study.names(s)]
        of_task: dict[str, Any] = {}
        for part in ("val", "test"):
            alone = columns[f"{part}_accuracy"]
            for group, members in groups.items():
                target = alone.mean(axis=0)[members]
                losses = [-_scores(study.table, line, "scored_losses")[members] for line in lines]
                hits = [_scores(study.table, line, "scored_accuracies")[members] for line in lines]
                of_task[f"{part}, {group}"] = {
                    "by_loss": _tau(losses, target),
                    "by_accuracy": _tau(hits, target),
                    "params": _tau([np.array(study.table.params)[members]], target),
                    "ceiling": seed_ceiling(alone[:, members]),
                }
        found[task_name(task)] = of_task
    return found


def _scores(table: FinishedTable, line: dict[str, Any], name: str) -> NDArray[np.float64]:
    """Inherited scores of a search, in the order of the table's architectures."""
    by_digest = dict(zip(line["scored"], line[name], strict=True))
    return np.array([by_digest[digest(entry.architecture.to_dict())] for entry in table.entries])


def _tau(scores: Sequence[ArrayLike], target: ArrayLike) -> dict[str, float]:
    """Mean tau over supernets, with the 95% interval of resampled architectures."""
    samples = np.mean([bootstrap_taus(s, target, seed=0) for s in scores], axis=0)
    low, high = bootstrap_interval(samples)
    return {"tau": float(np.mean([kendall_tau(s, target) for s in scores])), "low": low, "high": high}


def _params(study: SearchStudy, architecture: Architecture) -> int:
    return count_params(architecture, study.shape)


def _mean(values: Sequence[float]) -> dict[str, float]:
    mean, error = mean_and_error([float(v) for v in values])
    return {"mean": mean, "error": error}


def _paired(differences: Sequence[float]) -> dict[str, float]:
    return _mean(differences) | {
        "higher": sum(d > 0 for d in differences),
        "equal": sum(d == 0 for d in differences),
        "lower": sum(d < 0 for d in differences),
    }
