"""Is a searched subnet better trained on from the weights that it inherits, or from new modules?

::

    python -m benchmarks.plain_command --task digits --seeds 3 --runs runs/plain
    python -m benchmarks.warm_starts --run runs/plain/digits-auto-seed0 --run runs/plain/digits-auto-seed1

For each finished search a candidate is scored as it is, and trained on the training set from both starts, for
several numbers of epochs and factors on the run's rate, with the run's module scale. A factor is chosen by
the product's rule on half of the validation images and judged on the other half, in 100 splits; test sets
stay sealed.

A final model is trained on the validation images, too, which the supernet of the search has not seen. What
that costs is shown by a supernet of three quarters of the training images, from which training on all of them
goes on. This supernet also chooses the candidate, by its loss on the last quarter: as in a run, the
candidate is then chosen on images that training sees, and judged on others. ``--candidate lowest`` takes the
candidate whose loss is the lowest on the validation images themselves, which flatters its inherited weights.

Every finished training is a line of ``--lines``, where an interrupted command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.harness.half_rules import PRODUCT, RULES, SPLITS, Half
from benchmarks.harness.lines import append_line, read_lines
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.results import RESULTS
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.data.folds import others, stratified_folds
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.scoring.inherited_network import inherited_tensors
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.searching.candidate import Candidate
from nas_peft.stages.supernet import read_supernets
from nas_peft.stages.supernet_choice import chosen_recipe
from nas_peft.stages.supernet_parts import supernet_trainings
from nas_peft.training.training import Training
from nas_peft.training.trainings import scores_of, starting_network
from search_spaces import Architecture
from search_spaces.streams import stream
from supernet import Constant, Recipe, Supernet, pooled_features, train
from supernet.recipe import StartName

LINES = RESULTS / "warm_starts.jsonl"
NAME = "warm start"

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Way:
    """A start with a number of epochs; none of them is the subnet as it is. Its factors are all tried.

    With ``part`` the supernet has seen three quarters of the training images.
    """

    start: StartName
    epochs: int
    factors: tuple[float, ...]
    part: bool = False

    @property
    def label(self) -> str:
        """The way as tables name it."""
        start = f"{self.start} of three quarters" if self.part else self.start
        return f"{start}, {self.epochs} epochs" if self.epochs else f"{start}, as it is"


_FACTORS = (0.6, 2.0, 6.0)
"""Those of a plan."""
_LOWER = (0.2, *_FACTORS)
WAYS = (
    *(Way("pretrained", epochs, _FACTORS) for epochs in (4, 8)),
    Way("inherited", 0, (0.0,)),
    *(Way("inherited", epochs, _LOWER) for epochs in (2, 4)),
    Way("inherited", 0, (0.0,), part=True),
    *(Way("inherited", epochs, _LOWER, part=True) for epochs in (2, 4)),
)
QUARTERS = 4

BASE = WAYS[1].label
"""What the others are compared with."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    **{way.label: (way.label,) for way in WAYS},
    "any from new modules": tuple(way.label for way in WAYS if way.start == "pretrained"),
    "any from inherited weights": tuple(
        way.label for way in WAYS if way.start == "inherited" and not way.part
    ),
    "any": tuple(way.label for way in WAYS if not way.part),
    "any further training of three quarters": tuple(way.label for way in WAYS if way.part and way.epochs),
}
"""What may be chosen among: each way at all its rates, and several ways together."""


Chosen: TypeAlias = Literal["quarter", "lowest"]
"""The candidate: by the supernet of three quarters on the last one, or by the search on validation images."""


def lines_of(
    folder: Path, done: set[tuple[str, str, float]], chosen: Chosen = "quarter"
) -> Iterator[dict[str, Any]]:
    """Train and score what is missing of a finished search, whose folder names the lines."""
    wanted = [
        (way, factor)
        for way in WAYS
        for factor in way.factors
        if (folder.name, way.label, factor) not in done
    ]
    if not wanted:
        return
    search = FinishedSearch.read(folder)
    inputs = search.inputs(StageBars(quiet=True))
    empty = Supernet(
        inputs.backbone.model, Architecture.empty(inputs.backbone.depth), len(inputs.dataset.classes)
    )
    features = pooled_features(empty, inputs.dataset.train_val.images, inputs.preprocessing).cpu()
    of_part = supernet_of_part(search, inputs, features)
    supernets = {False: read_supernets(inputs, search.folder, "cpu"), True: [of_part]}
    candidate = search.pick() if chosen == "lowest" else best_on_unseen(search, inputs, of_part)
    starts = {part: {NAME: inherited_tensors(of, candidate.architecture)} for part, of in supernets.items()}
    for way, factor in wanted:
        shared = inputs.for_trainings(features, InheritedStarts(starts[way.part]))
        recipe = replace(search.config.method_recipe("subnet"), epochs=max(1, way.epochs), start=way.start)
        recipe = replace(recipe, lr=float(f"{recipe.lr * factor:.6g}") or recipe.lr)
        scored = scores(way, recipe, candidate.architecture, shared, search.config.seed)
        yield {
            "run": folder.name,
            "candidate": chosen,
            "number": candidate.number,
            "params": candidate.params,
            "way": way.label,
            "factor": factor,
            **scored,
        }


def best_on_unseen(search: FinishedSearch, inputs: SearchInputs, fold: Fold) -> Candidate:
    """The candidate within the budget whose loss is the lowest on the images that a supernet has not seen."""
    fitting = [c for c in search.candidates if inputs.fits(c.architecture)]
    scorer = LocalScorer([fold], inputs.preprocessing)
    found = scorer.score(0, np.arange(len(fold.part)), [c.architecture for c in fitting])
    losses = found.losses.mean(axis=1, dtype=np.float64)
    return fitting[int(np.nanargmin(losses))]


def supernet_of_part(search: FinishedSearch, inputs: SearchInputs, features: Tensor) -> Fold:
    """The search's supernet, trained anew on three quarters of the training images.

    ``features (N, d)`` are those of training and validation images.
    """
    recipe = chosen_recipe(inputs, search.folder)
    ((training, _),) = supernet_trainings(inputs, features, search.folder, recipe)
    images = inputs.dataset.train
    quarters = stratified_folds(images.labels, QUARTERS, stream(search.config.seed, "quarters"))
    seen = others(quarters, 0)
    of_part = replace(training, part=images.take(seen), features=features[: len(images)][seen])
    network, _, _ = of_part.train(of_part.execution, "cpu", lambda epoch: None, None)
    return Fold(network.eval(), images.take(quarters[0]))


def scores(
    way: Way, recipe: Recipe, architecture: Architecture, shared: TrainingInputs, seed: int
) -> dict[str, Any]:
    """Train from a start by a recipe; which validation images are right, and their calibrated losses."""
    head = None if way.start == "inherited" else HEAD
    training = Training(NAME, "subnet", architecture, recipe, head, seed, "train")
    network = starting_network(training, shared, "cpu")
    if way.epochs:
        train(
            network,
            shared.train.images,
            shared.train.labels,
            preprocessing=shared.preprocessing,
            chooser=Constant(architecture),
            recipe=recipe,
            seed=seed,
            trainable="modules",
        )
    _, images = scores_of(network.eval(), training, shared)
    return {
        "right": "".join("1" if hit else "0" for hit in images.hits),
        "losses": [round(float(loss), 5) for loss in images.calibrated_losses],
    }


def judged(lines: Sequence[Line]) -> dict[str, tuple[float, float]]:
    """Of one run: accuracy in per cent and calibrated loss, on the other half, of what each choice takes."""
    tried = [
        Half(
            f"{line['way']} at {line['factor']:g}",
            line["params"],
            np.array([float(hit) for hit in line["right"]]),
            np.array(line["losses"]),
            np.array(line["losses"]),
        )
        for line in lines
    ]
    images = len(tried[0].hits)
    sums = {choice: np.zeros(2) for choice in CHOICES}
    for split in range(SPLITS):
        order = stream(split, "half splits", images).permutation(images)
        chosen_on, judged_on = order[: images // 2], order[images // 2 :]
        for choice, ways in CHOICES.items():
            rivals = [half for half, line in zip(tried, lines, strict=True) if line["way"] in ways]
            name = RULES[PRODUCT]([_part(half, chosen_on) for half in rivals])
            found = next(half for half in rivals if half.name == name)
            sums[choice] += 100 * found.hits[judged_on].mean(), found.calibrated[judged_on].mean()
    return {choice: (of[0] / SPLITS, of[1] / SPLITS) for choice, of in sums.items()}


def _part(half: Half, numbers: NDArray[np.int64]) -> Half:
    return Half(half.name, half.params, half.hits[numbers], half.losses[numbers], half.calibrated[numbers])


def table(lines: Sequence[Line]) -> list[str]:
    """Markdown: accuracy of each choice on each task, and means over tasks with their gain on the base.

    Runs of a task are averaged first. Runs that are not finished are left out.
    """
    by_task: dict[str, list[dict[str, tuple[float, float]]]] = {}
    for run in dict.fromkeys(line["run"] for line in lines):
        of_run = [line for line in lines if line["run"] == run]
        if {line["way"] for line in of_run} == {way.label for way in WAYS}:
            by_task.setdefault(run.split("-auto")[0], []).append(judged(of_run))
    rows = [
        f"| chosen among | {' | '.join(by_task)} | mean | gain | loss | gain in loss |",
        "|---|" + "---:|" * (len(by_task) + 4),
    ]
    means = {
        choice: np.array([np.mean([run[choice] for run in runs], axis=0) for runs in by_task.values()])
        for choice in CHOICES
    }
    for choice, of_tasks in means.items():
        gains = of_tasks - means[BASE]
        points, loss = (mean_and_error(list(gains[:, i])) for i in (0, 1))
        cells = [f"{accuracy:.1f}" for accuracy in of_tasks[:, 0]]
        mean = of_tasks.mean(axis=0)
        rows.append(
            f"| {choice} | {' | '.join(cells)} | {mean[0]:.2f} | {points[0]:+.2f} ± {points[1]:.2f} "
            f"| {mean[1]:.3f} | {loss[0]:+.3f} ± {loss[1]:.3f} |"
        )
    return rows


def run(argv: Sequence[str]) -> None:
    """Train what is missing and print the table. Raises `InputError`."""
    parser = StudyParser("warm_starts", "Compare starts of searched subnets on validation data.")
    add = parser.add_argument
    add("--run", type=Path, action="append", default=[], help="finished search; repeat for more")
    add("--candidate", choices=get_args(Chosen), default="quarter", help="which candidate (%(default)s)")
    add("--lines", type=Path, default=LINES, help="finished trainings (%(default)s)")
    args = parser.parse_args(argv)
    ways = {way.label for way in WAYS}
    lines = [
        line for line in read_lines(args.lines) if line["candidate"] == args.candidate and line["way"] in ways
    ]
    done = {(line["run"], line["way"], line["factor"]) for line in lines}
    for folder in args.run:
        for line in lines_of(folder, done, args.candidate):
            lines.append(line)
            append_line(args.lines, line)
    print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
