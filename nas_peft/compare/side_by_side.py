"""Runs on one data set with different settings, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from string import ascii_uppercase
from typing import Any

from nas_peft.compare.contests import CHOSEN, SEARCHED, Repetition, contest, labelled
from nas_peft.compare.data_sets import other_data, remarks
from nas_peft.compare.measure import ACCURACY, Measure
from nas_peft.compare.runs import ComparedRun
from search_spaces import InputError


@dataclass(frozen=True)
class Setting:
    """Runs with equal options: ``name`` is a letter, ``options`` are those that differ between the settings.

    ``seconds`` is the mean time of its runs, the sum of their stages.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    options: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class SideCell:
    """A method with one setting: scores by repetition (seeds of run and training), sorted alike.

    ``val`` has no entry where a repetition has no validation score. ``partial`` tells that other methods have
    more repetitions with this setting, see `Cell`.
    """

    val: tuple[float, ...]
    test: tuple[float, ...]
    repetitions: tuple[Repetition, ...]
    partial: bool


@dataclass(frozen=True)
class SideRow:
    """A method by setting; ``outcome`` is that of the last of two settings against the first, see `contest`.

    ``difference`` is the mean difference of test scores over common repetitions. Both are ``None`` for more
    than two settings and without common repetitions, and ``outcome`` where `contest` has none.
    """

    label: str
    cells: dict[str, SideCell]
    difference: float | None = None
    outcome: int | None = None


@dataclass(frozen=True)
class SideBySide:
    """Methods by settings on one data set; ``remarks`` say what else differs between the settings.

    The measure is the metric of the runs, or accuracy where the settings differ in their metric.
    """

    dataset: str
    test_images: int
    settings: tuple[Setting, ...]
    rows: tuple[SideRow, ...]
    remarks: tuple[str, ...]
    measure: Measure = ACCURACY

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"tie_rule": self.measure.tie_rule, **asdict(self), "measure": self.measure.metric}


def side_by_side(runs: Sequence[ComparedRun]) -> SideBySide | None:
    """The runs by setting, in the order in which the settings first occur.

    ``None`` unless they are on one data set, as far as the records tell, and have at least two settings.
    Raises `InputError` for runs of one setting and one seed, and for more settings than letters.
    """
    if any(run.short_name != runs[0].short_name or other_data(runs[0], run) for run in runs):
        return None
    alike: list[list[ComparedRun]] = []
    for run in runs:
        same = next((of for of in alike if of[0].settings() == run.settings()), None)
        if same is None:
            alike.append([run])
        else:
            same.append(run)
    if len(alike) < 2:
        return None
    if len(alike) > len(ascii_uppercase):
        raise InputError(f"{len(alike)} settings are too many for one table; give at most 26 at a time")
    all_settings = [of[0].settings() for of in alike]
    names = dict.fromkeys(name for settings in all_settings for name in settings)
    differing = [n for n in names if any(s.get(n) != all_settings[0].get(n) for s in all_settings)]
    settings = [_setting(letter, of, differing) for letter, of in zip(ascii_uppercase, alike, strict=False)]
    measure = Measure.of(all_settings)
    found = {s.name: _scores(of, measure) for s, of in zip(settings, alike, strict=True)}
    labels = dict.fromkeys(label for of in found.values() for label in of)
    order = sorted(labels, key=lambda label: (label != CHOSEN, label != SEARCHED))
    test_images = runs[0].test_images
    return SideBySide(
        dataset=runs[0].short_name,
        test_images=test_images,
        settings=tuple(settings),
        rows=tuple(_row(label, found, test_images, measure) for label in order),
        remarks=tuple(_remarks(runs, settings)),
        measure=measure,
    )


def _setting(letter: str, of: Sequence[ComparedRun], differing: Sequence[str]) -> Setting:
    seeds = [run.seed for run in of]
    for seed in seeds:
        if seeds.count(seed) > 1:
            first, second = (run.run for run in [r for r in of if r.seed == seed][:2])
            raise InputError(
                f"the runs '{first}' and '{second}' have the same options and seed {seed}; leave one out: "
                "the same repetition would count twice"
            )
    own = of[0].settings()
    return Setting(
        name=letter,
        runs=tuple(run.run for run in of),
        seeds=tuple(sorted(seeds)),
        options={name: own.get(name) for name in differing},
        seconds=fmean(run.seconds for run in of),
    )


def _scores(
    of: Sequence[ComparedRun], measure: Measure
) -> dict[str, dict[Repetition, tuple[float | None, float]]]:
    """Validation and test score of each method by repetition."""
    found: dict[str, dict[Repetition, tuple[float | None, float]]] = {}
    for run in of:
        for label, row in labelled(run, measure):
            for seed in row.seeds:
                test = seed.score(measure, "test")
                if test is not None:
                    scores = (seed.score(measure, "val"), test)
                    found.setdefault(label, {})[run.seed, seed.seed] = scores
    return found


def _row(
    label: str,
    found: Mapping[str, Mapping[str, Mapping[Repetition, tuple[float | None, float]]]],
    test_images: int,
    measure: Measure,
) -> SideRow:
    cells = {}
    for name, methods in found.items():
        if label in methods:
            scores = [methods[label][repetition] for repetition in sorted(methods[label])]
            val = tuple(v for v, _ in scores if v is not None)
            partial = methods[label].keys() != {r for of in methods.values() for r in of}
            tests = tuple(test for _, test in scores)
            cells[name] = SideCell(val, tests, tuple(sorted(methods[label])), partial)
    if len(found) != 2:
        return SideRow(label, cells)
    first, last = ({r: t for r, (_, t) in of.get(label, {}).items()} for of in found.values())
    common = first.keys() & last.keys()
    if not common:
        return SideRow(label, cells)
    difference = fmean(last[r] - first[r] for r in common)
    return SideRow(label, cells, difference, contest(last, first, test_images, measure))


def _remarks(runs: Sequence[ComparedRun], settings: Sequence[Setting]) -> list[str]:
    """What else than the settings differs: seeds, and the images of the parts."""
    said = []
    if len({setting.seeds for setting in settings}) > 1:
        seeds = "; ".join(f"{s.name}: {', '.join(map(str, s.seeds))}" for s in settings)
        said.append(f"the settings have different seeds ({seeds}); differences include those of the seeds")
    return [*said, *(text for of in remarks({"": runs}).values() for text in of)]
