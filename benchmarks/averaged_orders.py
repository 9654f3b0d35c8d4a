"""Is the mean of several trainings of an exported row better than one of them?

::

    python -m benchmarks.plain_command --task digits --seeds 1 --runs runs/plain
    python -m benchmarks.averaged_orders --run runs/plain/digits-auto-seed0

For each finished run, its best searched subnet and its best single method are trained on the training set by
their chosen recipes again, from one initialisation, with `ORDERS` further orders of the images. Single
trainings, means of their weights and ensembles are judged on the validation images; the training by which
the recipe was chosen takes no part, as its validation score is the best of several. Test sets stay sealed.

Every judged network is a line of ``--lines``; a row that is complete there is not trained again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.harness.lines import append_line, read_lines
from benchmarks.harness.results import RESULTS
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.scoring.inherited_network import inherited_tensors
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet import read_supernets
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.soups import uniform_soup
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, scores_of, trained_network
from search_spaces import Architecture
from supernet import Recipe, Supernet, pooled_features

LINES = RESULTS / "averaged_orders.jsonl"
ORDERS = 4
SIZES = (2, 3, 4)
"""Numbers of trainings in a mean of weights; the ensemble has all."""

SINGLE = "single trainings"
ENSEMBLE = f"ensemble of {ORDERS}"
JUDGED = (SINGLE, *(f"mean of {size}" for size in SIZES), ENSEMBLE)

Line = Mapping[str, Any]


def lines_of(folder: Path, done: set[tuple[str, str]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each row of a finished run that is not in ``done``, by run and row."""
    result = SearchResult.read(folder / "results.json")
    rows = [best for group in ("searched", "single") if (best := _final_of(result, group)) is not None]
    wanted = [row for row in rows if (folder.name, row.name) not in done]
    if not wanted:
        return
    search = FinishedSearch.read(folder)
    inputs, config = search.inputs(StageBars(quiet=True)), search.config
    empty = Supernet(
        inputs.backbone.model, Architecture.empty(inputs.backbone.depth), len(inputs.dataset.classes)
    )
    features = pooled_features(empty, inputs.dataset.train_val.images, inputs.preprocessing).cpu()
    supernets = read_supernets(inputs, search.folder, "cpu")
    for row in wanted:
        architecture = Architecture.from_dict(row.architecture)
        inherits = row.recipe is not None and row.recipe["start"] == "inherited"
        of_row = {row.name: inherited_tensors(supernets, architecture)} if inherits else {}
        shared = replace(inputs.for_trainings(features, InheritedStarts(of_row)), shifted=None, domains={})
        yield [
            {"run": folder.name, "row": row.name, "group": row.group, "network": name, **scored}
            for name, scored in judged(row, architecture, config, shared).items()
        ]


def _final_of(result: SearchResult, group: str) -> RowResult | None:
    """The row of a group that has a final model, the first if several have."""
    found = [row for row in result.rows if row.group == group and row.averaging is None and row.error is None]
    return next((row for row in found if any(run.on == "train_val" for run in row.runs)), None)


def judged(
    row: RowResult, architecture: Architecture, config: SearchConfig, shared: TrainingInputs
) -> dict[str, dict[str, Any]]:
    """Which validation images are right, and their calibrated losses, of each network; see the module."""
    assert row.recipe is not None  # rows with final models have one
    recipe = Recipe(**row.recipe)
    head = None if recipe.start == "inherited" else config.head_recipe()
    first = Training(row.name, "subnet", architecture, recipe, head, config.seed, "train", keep=True)
    orders = [replace(first, seed=config.seed + 100 * (1 + i), init_seed=config.seed) for i in range(ORDERS)]
    scores: list[ImageScores] = []
    tensors: list[dict[str, Tensor]] = []
    for training in orders:
        record, data = run_training(training, shared, "cpu")
        assert record.images is not None  # trainings on the training set are scored
        scores.append(record.images)
        tensors.append(load(data))
    found = {f"{SINGLE} {number}": _line(of) for number, of in enumerate(scores)}
    for size in SIZES:
        network = trained_network(first, uniform_soup(tensors[:size]), shared, "cpu")
        found[f"mean of {size}"] = _line(scores_of(network, first, shared)[1])
    logits = torch.from_numpy(np.stack([of.logits for of in scores]))
    mean = torch.logsumexp(logits.log_softmax(dim=2), dim=0)  # up to a constant the log of the mean
    found[ENSEMBLE] = _line(ImageScores.of(mean, torch.from_numpy(np.array(scores[0].labels))))
    return found


def _line(images: ImageScores) -> dict[str, Any]:
    return {
        "right": "".join("1" if hit else "0" for hit in images.hits),
        "losses": [round(float(loss), 5) for loss in images.calibrated_losses],
    }


def table(lines: Sequence[Line]) -> list[str]:
    """Markdown: accuracy and loss of each kind of network by run and row, and gains over single trainings."""
    rows = list(dict.fromkeys((line["run"], line["row"]) for line in lines))
    found = ["| run | row | " + " | ".join(JUDGED) + " |", "|---|---|" + "---:|" * len(JUDGED)]
    gains: dict[str, list[tuple[float, float]]] = {name: [] for name in JUDGED}
    for run, row in rows:
        of_row = [line for line in lines if (line["run"], line["row"]) == (run, row)]
        means = {name: _mean([line for line in of_row if _kind(line) == name]) for name in JUDGED}
        cells = [f"{accuracy:.1f} ({loss:.3f})" for accuracy, loss in means.values()]
        found.append(f"| {run} | {row} | {' | '.join(cells)} |")
        for name, (accuracy, loss) in means.items():
            gains[name].append((accuracy - means[SINGLE][0], loss - means[SINGLE][1]))
    last = []
    for of in gains.values():
        points, losses = (mean_and_error([gain[i] for gain in of]) for i in (0, 1))
        last.append(f"{points[0]:+.2f} ± {points[1]:.2f} ({losses[0]:+.3f} ± {losses[1]:.3f})")
    return [*found, "| gain on a single training | | " + " | ".join(last) + " |"]


def _kind(line: Line) -> str:
    return SINGLE if str(line["network"]).startswith(SINGLE) else str(line["network"])


def _mean(lines: Sequence[Line]) -> tuple[float, float]:
    """Accuracy in per cent and loss, the mean over lines."""
    hits = [float(hit) for line in lines for hit in line["right"]]
    return 100 * float(np.mean(hits)), float(np.mean([line["losses"] for line in lines]))


def run(argv: Sequence[str]) -> None:
    """Train what is missing and print the table. Raises `InputError`."""
    parser = StudyParser("averaged_orders", "Compare averages of trainings with single ones.")
    parser.add_argument("--run", type=Path, action="append", default=[], help="finished run; repeat for more")
    parser.add_argument("--lines", type=Path, default=LINES, help="judged networks (%(default)s)")
    args = parser.parse_args(argv)
    lines = read_lines(args.lines)
    for folder in args.run:
        for of_row in lines_of(folder, {(line["run"], line["row"]) for line in lines}):
            for line in of_row:
                lines.append(line)
                append_line(args.lines, line)
    print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
