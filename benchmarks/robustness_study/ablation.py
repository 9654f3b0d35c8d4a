"""What moves the robust choice: the rule, AugMix, or the searched subnets? Half-splits of validation images.

::

    python -m benchmarks.robustness_study.ablation --store runs/robustness_study

The robust runs of the study keep the scores of every training on the validation images and on their corrupted
copies: two searched subnets and LoRA alone, each without augmentation and with AugMix. Each combination of a
rule (for shifted images, or the ordinary one), of augmentations and of rows chooses on one half of the images
and is judged on the other half and its copies. No test image is read.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.standard_error import mean_and_error
from benchmarks.robustness_study.rule_splits import (
    Trained,
    chosen,
    contestants,
    half,
    robust_runs,
    trainings_of,
)
from nas_peft.protocol.decision import ROBUST_FRACTION
from nas_peft.settings.search_config import ROBUST_MARGIN
from search_spaces.streams import stream

OUT = RESULTS / "robust_ablation.json"
RULES = ("ordinary", "robust")
AUGMENTATIONS = ("none", "none or AugMix", "AugMix")
ROWS = ("all", "searched", "LoRA")


class Way(NamedTuple):
    """A rule, and the trainings that it chooses among."""

    rule: str
    augmentation: str
    rows: str

    def takes(self, training: Trained) -> bool:
        """Whether the training is among them."""
        if self.augmentation != "none or AugMix" and training.augmix != (self.augmentation == "AugMix"):
            return False
        return self.rows == "all" or (self.rows == "LoRA") == training.row.startswith("lora")


WAYS = tuple(Way(*parts) for parts in product(RULES, AUGMENTATIONS, ROWS))
BASE = Way("ordinary", "none", "all")
"""What the others are compared with: the choice without any remedy."""

Scores = Mapping[Way, tuple[float, float]]


def replayed(run: Path, splits: int) -> Scores:
    """Accuracy in per cent on unchanged and on shifted images of what each way chooses, mean over splits."""
    trained = trainings_of(run)
    count = len(trained[0].images.labels)
    rng = stream(0, "robust ablation", run.name)
    found: dict[Way, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(splits):
        order = rng.permutation(count)
        rivals = contestants(trained, np.sort(order[: count // 2]))
        others = [half(training.images, np.sort(order[count // 2 :])) for training in trained]
        for way in WAYS:
            at = [number for number, training in enumerate(trained) if way.takes(training)]
            own = [rivals[number] for number in at]
            if way.rule == "ordinary":
                own = [replace(rival, shifted_loss=None) for rival in own]
            own = [replace(rival, name=str(place)) for place, rival in enumerate(own)]
            taken = at[chosen([trained[n] for n in at], own, ROBUST_FRACTION, ROBUST_MARGIN)]
            scores = others[taken]
            found[way].append((100 * float(scores.hits.mean()), 100 * (scores.shifted_accuracy or 0.0)))
    return {way: (fmean(a for a, _ in of), fmean(s for _, s in of)) for way, of in found.items()}


def table(runs: Mapping[tuple[str, int], Scores]) -> list[str]:
    """Means over tasks of the means over their runs, with the gains on `BASE`, as lines of Markdown."""
    rows = [
        "| rule | augmentation | rows | accuracy | gain | shifted accuracy | gain |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    tasks = dict.fromkeys(task for task, _ in runs)
    means = {
        way: np.array([np.mean([of[way] for (t, _), of in runs.items() if t == task], 0) for task in tasks])
        for way in WAYS
    }
    for way, of_tasks in means.items():
        cells = []
        for number, level in enumerate(of_tasks.mean(axis=0)):
            mean, error = mean_and_error(list((of_tasks - means[BASE])[:, number]))
            cells.append(f"{level:.2f} | {mean:+.2f} ± {error:.2f}")
        rows.append(f"| {' | '.join(way)} | {' | '.join(cells)} |")
    return rows


def run(argv: Sequence[str]) -> None:
    """Replay all robust runs of the store, write and print the table. Raises `InputError`."""
    parser = StudyParser("ablation", "Take the robust choice apart on halves of the validation images.")
    add = parser.add_argument
    add("--store", type=Path, default=Path("runs/robustness_study"), help="folder of the study's runs")
    add("--splits", type=whole_number, default=100, help="halvings of each run (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file of the results")
    args = parser.parse_args(argv)
    runs = {(task, seed): replayed(folder, args.splits) for task, seed, folder in robust_runs(args.store)}
    lines = [
        {"task": task, "seed": seed, **way._asdict(), "accuracy": accuracy, "shifted_accuracy": shifted}
        for (task, seed), scores in runs.items()
        for way, (accuracy, shifted) in scores.items()
    ]
    write_result(args.out, {"splits": args.splits, "runs": len(runs), "lines": lines}, indent=1)
    print("\n".join(table(runs)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
