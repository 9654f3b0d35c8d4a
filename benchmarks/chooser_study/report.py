"""Report of the study of choosers: do inherited scores rank architectures as separate training does?

For each task, chooser and number of epochs, the report has Kendall's tau-b between two scores of the same
architectures: the score with inherited weights on the **validation** part, and the table's score, mean over
its seeds. Losses enter with the sign that makes more better. There are two sections: against the table's
*validation* columns, by which choices may be made, and against its *test* columns, for judging afterwards
only. The test section also has the ranking by inherited loss on the test set, which shows what the weights
know beyond what the few validation images can tell.

For comparison the report has the tau of the plain number of parameters, the mean tau between seeds of the
table, and the mean accuracy of inherited weights beside that of separate training.

Groups are ``all`` architectures, those of nearly ``equal`` size, and those ``in_range``, the range of
parameters that the chooser was trained on. Intervals are 95% of 1,000 bootstrap resamples of architectures,
which keep an architecture's two scores together. Means over tasks use the same resample for all tasks.
Several supernets that differ only in their seed are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.chooser_study.ways import WAYS
from benchmarks.harness.finished_table import FinishedTable
from nas_peft.audit.ranking import bootstrap_interval, bootstrap_taus, kendall_tau, seed_ceiling
from search_spaces import InputError

SEED, RESAMPLES = 0, 1000
GROUPS = ("all", "equal", "in_range")
PARTS = {"validation": "val", "test": "test"}
INHERITED = {"validation": ("val_accuracy", "val_loss"), "test": ("val_accuracy", "val_loss", "test_loss")}
"""Inherited scores that each section compares with its columns of the table."""


@dataclass(frozen=True)
class Agreement:
    """Tau with its bootstrap samples, so that agreements can be averaged."""

    tau: float
    samples: NDArray[np.float64]

    @classmethod
    def between(cls, scores: NDArray[np.float64], target: NDArray[np.float64]) -> Agreement:
        """Agreement of scores with a target, both of shape ``(n,)``."""
        samples = bootstrap_taus(scores, target, seed=SEED, resamples=RESAMPLES)
        return cls(kendall_tau(scores, target), samples)

    @classmethod
    def mean(cls, agreements: Sequence[Agreement]) -> Agreement:
        """Mean agreement over seeds or tasks."""
        samples = np.mean([a.samples for a in agreements], axis=0)
        return cls(float(np.mean([a.tau for a in agreements])), samples)

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able form; None for numbers that are not defined."""
        low, high = bootstrap_interval(self.samples)
        return {"tau": _number(self.tau), "low": _number(low), "high": _number(high)}


Taus = dict[tuple[str, str, str, str], Agreement]
"""Agreements by (section, group, inherited score, column of the table)."""


def better(score: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with the sign that makes more better: losses are negated."""
    return -values if score.endswith("loss") else values


@dataclass(frozen=True)
class Judged:
    """Architectures of one task as trained alone: parameters, the equal group, and columns of the table."""

    params: NDArray[np.float64]
    equal: NDArray[np.bool_]
    columns: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, table: FinishedTable, task: str) -> Judged:
        """Read one task of the table. Raises `InputError` if no seed of the task is complete."""
        return cls(np.array(table.params, dtype=np.float64), table.group("equal"), table.columns(task))

    def groups(self, low: float = 0, high: float = math.inf) -> dict[str, NDArray[np.bool_]]:
        """Mask of each of `GROUPS`; ``in_range`` is from ``low`` to ``high`` parameters."""
        inside = (self.params >= low) & (self.params <= high)
        return {"all": np.ones_like(self.equal), "equal": self.equal, "in_range": inside}

    def alone(self, column: str) -> NDArray[np.float64]:
        """Mean of a column over the table's seeds, shape ``(n,)``."""
        mean: NDArray[np.float64] = self.columns[column].mean(axis=0)
        return mean

    def taus(
        self, scores: Mapping[str, NDArray[np.float64]], groups: Mapping[str, NDArray[np.bool_]]
    ) -> Taus:
        """Tau of every inherited score with every column of its section, for groups of two or more."""
        return {
            (section, group, score, f"{part}_{what}"): Agreement.between(
                better(score, scores[score])[members], better(what, self.alone(f"{part}_{what}"))[members]
            )
            for section, part in PARTS.items()
            for group, members in groups.items()
            for score in INHERITED[section]
            for what in ("accuracy", "loss")
            if members.sum() > 1
        }

    def ceilings(self) -> dict[str, dict[str, float | None]]:
        """Mean tau between seeds of each column, for all architectures and for the equal group."""
        groups = self.groups()
        return {
            group: {name: _number(seed_ceiling(c[:, groups[group]])) for name, c in self.columns.items()}
            for group in ("all", "equal")
        }

    def accuracies(
        self, scores: Sequence[Mapping[str, Any]], groups: Mapping[str, NDArray[np.bool_]]
    ) -> dict[str, Any]:
        """Mean accuracy with inherited weights and alone, for each section and group."""
        found: dict[str, Any] = {}
        for section, part in PARTS.items():
            column = f"{part}_accuracy"
            inherited = np.mean([s[column] for s in scores], axis=0)
            alone = self.alone(column)
            found[section] = {
                group: {
                    "architectures": int(members.sum()),
                    "inherited": _number(inherited[members].mean() if members.any() else math.nan),
                    "alone": _number(alone[members].mean() if members.any() else math.nan),
                }
                for group, members in groups.items()
            }
        return found


def report_on(
    table: FinishedTable, lines: Sequence[Mapping[str, Any]], setup: Mapping[str, Any]
) -> dict[str, Any]:
    """Whole report, JSON-able. Raises `InputError` if the study is of another table."""
    architectures = [
        {"group": entry.group, "params": params, **entry.architecture.to_dict()}
        for entry, params in zip(table.entries, table.params, strict=True)
    ]
    if setup["results"]["architectures"] != architectures or setup["results"]["table"] != table.results:
        raise InputError(f"the study is of another table than '{table.path}'; give its own with --table")
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    judged = {task: Judged.of(table, task) for task in tasks}
    rows, taus = _rows(judged, lines, setup["results"]["ranges"])
    return {
        "bootstrap": {"seed": SEED, "resamples": RESAMPLES, "level": 0.95},
        "machine": setup["machine"],
        "versions": setup["versions"],
        "ranges": setup["results"]["ranges"],
        "tasks": {
            task: {
                "table_seeds": len(j.columns["val_accuracy"]),
                "fingerprint": setup["results"]["table"]["tasks"][task],
                "architectures": {name: int(m.sum()) for name, m in j.groups().items() if name != "in_range"},
                "tau_of_parameters": _nested(_of_parameters(j)),
                "tau_between_seeds": j.ceilings(),
            }
            for task, j in judged.items()
        },
        "means_over_tasks": _means(judged, rows, taus),
        "rows": rows,
        "diverged": [_kind(line) for line in lines if not line["scores"]],
    }


def _rows(
    judged: Mapping[str, Judged], lines: Sequence[Mapping[str, Any]], ranges: Mapping[str, Sequence[float]]
) -> tuple[list[dict[str, Any]], list[Taus]]:
    """Row of each task, number of epochs and chooser, and the row's agreements."""
    kinds: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["scores"]:
            kinds.setdefault((line["task"], line["epochs"], line["chooser"]), []).append(line)
    order = list(WAYS)
    rows, taus = [], []
    for (task, epochs, chooser), of_kind in sorted(
        kinds.items(), key=lambda item: (item[0][0], item[0][1], order.index(item[0][2]))
    ):
        j, trained = judged[task], ranges[WAYS[chooser].range]
        groups = j.groups(*trained)
        scores = [{k: np.array(v) for k, v in line["scores"].items()} for line in of_kind]
        each = [j.taus(s, groups) for s in scores]
        mean = {key: Agreement.mean([t[key] for t in each]) for key in each[0]}
        taus.append(mean)
        rows.append(
            {
                "task": task,
                "chooser": chooser,
                "epochs": epochs,
                "seeds": sorted(line["seed"] for line in of_kind),
                "trained_epochs": of_kind[0]["trained_epochs"],
                "image_passes": of_kind[0]["image_passes"],
                "seconds": round(float(np.mean([line["seconds"] for line in of_kind])), 1),
                "trained_params": list(trained),
                "outside_never_trained": int((~groups["in_range"]).sum()),
                "tau": _nested(mean),
                "accuracy": j.accuracies(scores, groups),
            }
        )
    return rows, taus


def _of_parameters(j: Judged) -> Taus:
    """Agreements with the number of parameters as the score."""
    groups = {name: members for name, members in j.groups().items() if name != "in_range"}
    as_scores = {
        name: better(name, j.params) for name in ("val_accuracy", "val_loss", "test_accuracy", "test_loss")
    }
    taus = j.taus(as_scores, groups)
    return {key: value for key, value in taus.items() if key[2] == "val_accuracy"}


def _means(
    judged: Mapping[str, Judged], rows: Sequence[dict[str, Any]], taus: Sequence[Taus]
) -> dict[str, Any]:
    """Means over tasks, for choosers and epochs that all tasks have."""
    kinds: dict[tuple[int, str], list[int]] = {}
    for i, row in enumerate(rows):
        kinds.setdefault((row["epochs"], row["chooser"]), []).append(i)
    order = list(WAYS)
    complete = sorted(
        (k for k in kinds if len(kinds[k]) == len(judged)), key=lambda k: (k[0], order.index(k[1]))
    )
    found = []
    for epochs, chooser in complete:
        own = [taus[i] for i in kinds[epochs, chooser]]
        first = rows[kinds[epochs, chooser][0]]
        found.append(
            {
                "chooser": chooser,
                "epochs": epochs,
                "outside_never_trained": first["outside_never_trained"],
                "tau": _nested({k: Agreement.mean([t[k] for t in own]) for k in own[0]}),
                "accuracy": _mean_of([rows[i]["accuracy"] for i in kinds[epochs, chooser]]),
            }
        )
    params = [_of_parameters(j) for j in judged.values()]
    return {
        "tasks": list(judged),
        "tau_of_parameters": _nested({k: Agreement.mean([p[k] for p in params]) for k in params[0]}),
        "tau_between_seeds": _mean_of([j.ceilings() for j in judged.values()]),
        "rows": found,
    }


def _mean_of(trees: Sequence[Any]) -> Any:
    """Mean of each number in nested dictionaries with the same keys; None if one of them is None."""
    if isinstance(trees[0], dict):
        return {key: _mean_of([tree[key] for tree in trees]) for key in trees[0]}
    return None if any(t is None for t in trees) else sum(trees) / len(trees)


def _nested(taus: Taus) -> dict[str, Any]:
    """Nest agreements as ``{section: {group: {inherited score: {column of the table: tau}}}}``."""
    found: dict[str, Any] = {}
    for (section, group, score, column), agreement in taus.items():
        of_group = found.setdefault(section, {}).setdefault(group, {})
        of_group.setdefault(score, {})[column] = agreement.to_dict()
    return found


def _kind(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: line[key] for key in ("task", "chooser", "epochs", "seed", "diverged")}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
