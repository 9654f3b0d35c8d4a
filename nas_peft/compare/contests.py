"""Comparison of methods over runs and data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any, TypeAlias

from nas_peft.compare.data_sets import by_data, other_data, remarks
from nas_peft.compare.dataset_groups import VTAB_GROUPS, group_of_each
from nas_peft.compare.measure import ACCURACY, Measure
from nas_peft.compare.runs import ComparedRow, ComparedRun, planned_differences, setting_text
from search_spaces import InputError

SEARCHED = "searched subnet"
CHOSEN = "chosen by validation"
"""Label of an extra row: the method that validation data chose in each run, whichever it was."""

Repetition: TypeAlias = tuple[int, int]
"""Seed of a run, which decides splits and search, and seed of a training in the run."""


@dataclass(frozen=True)
class Column:
    """A data set with its pooled ``runs``; ``seeds`` is the number of repetitions that any method has."""

    dataset: str
    group: str | None
    runs: tuple[str, ...]
    seeds: int
    test_images: int


@dataclass(frozen=True)
class Cell:
    """Test scores of a method on a data set by the comparison's measure, one for each repetition.

    ``repetitions`` has for each score the seed of the run and that of the training. ``std`` is `None` for one
    repetition. ``partial`` tells that other methods have more repetitions: halving eliminated the method in
    some runs, or trainings failed. The repetitions that a method has left may be its good ones, so its mean
    is not comparable. ``best`` marks the best mean of the others, and means equal to it.
    """

    scores: tuple[float, ...]
    repetitions: tuple[Repetition, ...]
    mean: float
    std: float | None
    partial: bool
    best: bool


@dataclass(frozen=True)
class Contest:
    """Numbers of data sets on which a method won, tied and lost against another; see `Measure.tie_rule`."""

    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class MethodRow:
    """A method's cells by data set, and the means of its test scores.

    ``mean`` is over all data sets, ``group_means`` over the data sets of each group, and ``group_mean`` over
    the groups; each is ``None`` if the method was not tested in all repetitions of these data sets.
    ``against`` has, for
    each reference (``searched subnet``, ``chosen by validation``), the reference's wins, ties and losses
    against this method.
    """

    label: str
    cells: dict[str, Cell]
    mean: float | None
    group_means: dict[str, float | None]
    group_mean: float | None
    against: dict[str, Contest]


@dataclass(frozen=True)
class MethodComparison:
    """Methods by data sets, from runs with equal ``settings``, by the metric of these runs.

    ``planned`` names the options that the plans for one time set to different values. ``remarks`` say of the
    data sets whether images differ between their runs.
    """

    settings: dict[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[MethodRow, ...]
    measure: Measure = ACCURACY
    planned: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"tie_rule": self.measure.tie_rule, **asdict(self), "measure": self.measure.metric}


def compare_runs(
    runs: Sequence[ComparedRun], groups: Mapping[str, Sequence[str]], *, apart: bool = False
) -> list[MethodComparison]:
    """Compare methods over the data sets of ``runs``.

    Runs on one data set are pooled: a method's repetitions in all of them count together.

    Args:
        runs: finished runs.
        groups: data sets by group; if empty, the groups of VTAB-1k.
        apart: return one comparison for each configuration, instead of refusing runs that differ.

    Raises `InputError` for no runs, for runs of different configurations without ``apart``, for two runs on
    one data set with the same seed, for a data set that changed between runs, and for a data set that is in
    no group. Data sets are told apart by their images, see `by_data`.
    """
    if not runs:
        raise InputError("nothing to compare; give run folders of nas-peft search")
    alike: list[list[ComparedRun]] = []
    for run in runs:
        same = next((of for of in alike if run.comparable_with(of[0])), None)
        if same is None:
            alike.append([run])
        else:
            same.append(run)
    if len(alike) > 1 and not apart:
        first, other = alike[0][0], alike[1][0]
        raise InputError(
            f"the runs '{first.run}' and '{other.run}' are not comparable: {_differences(first, other)}"
            f"{_of_one_name(first, other)}; leave one out, give --apart for tables of each configuration, or "
            "compare runs on one data set, which come side by side"
        )
    data = by_data(runs)
    said = remarks(data)
    return [_compare_alike(of, groups, data, said) for of in alike]


def differing_settings(comparisons: Sequence[MethodComparison]) -> list[str]:
    """Names of the settings that differ between the comparisons."""
    names = [name for comparison in comparisons for name in comparison.settings]
    return [
        name
        for name in dict.fromkeys(names)
        if any(c.settings.get(name) != comparisons[0].settings.get(name) for c in comparisons)
    ]


def contest(
    reference: Mapping[Repetition, float],
    other: Mapping[Repetition, float],
    test_images: int,
    measure: Measure = ACCURACY,
) -> int | None:
    """1, 0 or -1 if the reference won, tied or lost against another method on a data set.

    See `Measure.tie_rule`. Both methods map repetitions to scores. Only common repetitions count, since they
    share images and seeds; ``None`` if there are none, or one of a metric whose standard error runs do not
    record.
    """
    common = sorted(reference.keys() & other.keys())
    if not common:
        return None
    differences = [measure.sign * (reference[r] - other[r]) for r in common]
    difference = fmean(differences)
    if len(common) > 1:
        margin = stdev(differences) / math.sqrt(len(common))
    elif measure.metric != "accuracy":
        return None
    else:
        variances = [p * (1 - p) / test_images for p in (reference[common[0]], other[common[0]])]
        margin = 2 * math.sqrt(sum(variances))
    # 1e-12 allows for rounding: means of equal accuracies may differ in their last bits
    return 0 if abs(difference) <= margin + 1e-12 else int(math.copysign(1, difference))


def _differences(first: ComparedRun, other: ComparedRun) -> str:
    a, b = first.procedure(), other.procedure()
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    differing = ", ".join(
        name if name == "protocol" else f"{name} ({setting_text(a, name)} and {setting_text(b, name)})"
        for name in names
    )
    return f"they differ in {differing}"


def _of_one_name(first: ComparedRun, other: ComparedRun) -> str:
    """A clause for two runs on folders of one name that have other images."""
    if first.short_name != other.short_name or not other_data(first, other):
        return ""
    return f", and their data sets '{first.place}' and '{other.place}' have other images"


def _by_dataset(
    runs: Sequence[ComparedRun], data: Mapping[str, Sequence[ComparedRun]]
) -> dict[str, list[ComparedRun]]:
    """The runs by data set. Raises `InputError` for two runs on one data set with the same seed."""
    name_of = {id(run): name for name, of in data.items() for run in of}
    found: dict[str, list[ComparedRun]] = {}
    for run in runs:
        name = name_of[id(run)]
        for known in found.setdefault(name, []):
            if known.seed == run.seed:
                raise InputError(
                    f"the runs '{known.run}' and '{run.run}' are both on the data set '{name}' with seed "
                    f"{run.seed}; leave one out: the same repetition would count twice"
                )
        found[name].append(run)
    return found


def _compare_alike(
    runs: Sequence[ComparedRun],
    groups: Mapping[str, Sequence[str]],
    data: Mapping[str, Sequence[ComparedRun]],
    said: Mapping[str, Sequence[str]],
) -> MethodComparison:
    by_dataset = _by_dataset(runs, data)
    measure = Measure.of([runs[0].settings()])
    of_group = group_of_each(list(by_dataset), groups)
    scores: dict[str, dict[str, dict[Repetition, float]]] = {}
    for dataset, of_dataset in by_dataset.items():
        for run in of_dataset:
            for label, row in labelled(run, measure):
                cell = scores.setdefault(label, {}).setdefault(dataset, {})
                cell |= {(run.seed, seed): score for seed, score in row.tests(measure).items()}
    labels = sorted(scores, key=lambda label: (label != CHOSEN, label != SEARCHED))
    repetitions = {
        dataset: frozenset(r for of in scores.values() for r in of.get(dataset, {})) for dataset in by_dataset
    }
    columns = [
        Column(
            dataset=dataset,
            group=of_group[dataset] if of_group else None,
            runs=tuple(run.run for run in of_dataset),
            seeds=len(repetitions[dataset]),
            test_images=of_dataset[0].test_images,
        )
        for dataset, of_dataset in by_dataset.items()
    ]
    if of_group:
        order = list(groups or VTAB_GROUPS)
        columns.sort(key=lambda column: order.index(column.group or ""))
    best = _best(scores, repetitions, measure)
    rows = tuple(_row(label, scores, columns, repetitions, best, measure) for label in labels)
    planned = planned_differences(runs)
    remarks_of = tuple(f"{name}: {text}" for name in by_dataset for text in said[name])
    return MethodComparison(runs[0].procedure(), tuple(columns), rows, measure, planned, remarks_of)


def _best(
    scores: Mapping[str, Mapping[str, Mapping[Repetition, float]]],
    repetitions: Mapping[str, frozenset[Repetition]],
    measure: Measure,
) -> dict[str, float]:
    """The best mean on each data set among the methods that were tested in all repetitions."""
    return {
        dataset: measure.best([fmean(of.values()) for of in found])
        for dataset, all_of in repetitions.items()
        if (found := [of[dataset] for of in scores.values() if of.get(dataset, {}).keys() == all_of])
    }


def labelled(run: ComparedRun, measure: Measure) -> list[tuple[str, ComparedRow]]:
    """Tested rows of a run with their labels; the row that validation data chose comes first, as `CHOSEN`."""
    tested = [row for row in run.rows if row.tests(measure)]
    chosen = [(CHOSEN, row) for row in tested if row.selected]
    labels = [row.label for row in tested]
    twice = {label for label in labels if labels.count(label) > 1}
    return chosen + [
        (f"{row.label} ({row.name})" if row.label in twice else row.label, row) for row in tested
    ]


def _row(
    label: str,
    scores: Mapping[str, Mapping[str, Mapping[Repetition, float]]],
    columns: Sequence[Column],
    repetitions: Mapping[str, frozenset[Repetition]],
    best: Mapping[str, float],
    measure: Measure,
) -> MethodRow:
    cells = {}
    for column in columns:
        if found := scores[label].get(column.dataset):
            own = tuple(sorted(found))
            values = tuple(found[repetition] for repetition in own)
            mean = fmean(values)
            spread = stdev(values) if len(values) > 1 else None
            partial = found.keys() != repetitions[column.dataset]
            is_best = not partial and measure.sign * mean >= measure.sign * best[column.dataset]
            cells[column.dataset] = Cell(values, own, mean, spread, partial, is_best)
    groups = [g for g in dict.fromkeys(column.group for column in columns) if g is not None]
    group_means = {g: _mean(cells, [c for c in columns if c.group == g]) for g in groups}
    known = [m for m in group_means.values() if m is not None]
    return MethodRow(
        label=label,
        cells=cells,
        mean=_mean(cells, columns),
        group_means=group_means,
        group_mean=fmean(known) if known and len(known) == len(groups) else None,
        against={
            reference: _contest_over(scores[reference], scores[label], columns, measure)
            for reference in (SEARCHED, CHOSEN)
            if reference in scores and label not in (reference, CHOSEN)
        },
    )


def _mean(cells: Mapping[str, Cell], columns: Sequence[Column]) -> float | None:
    if any(column.dataset not in cells or cells[column.dataset].partial for column in columns):
        return None
    return fmean(cells[column.dataset].mean for column in columns)


def _contest_over(
    reference: Mapping[str, Mapping[Repetition, float]],
    other: Mapping[str, Mapping[Repetition, float]],
    columns: Sequence[Column],
    measure: Measure,
) -> Contest:
    outcomes = [
        contest(reference.get(c.dataset, {}), other.get(c.dataset, {}), c.test_images, measure)
        for c in columns
    ]
    return Contest(wins=outcomes.count(1), ties=outcomes.count(0), losses=outcomes.count(-1))
