"""Should output projections of modules learn faster than the rest? LoRA everywhere, by cross-validation.

::

    python -m benchmarks.module_scales --task ../shared/data/dtd10
    python -m benchmarks.module_scales --task shapes-orientation --epochs 8
    python -m benchmarks.module_scales --finished

A module scale of S is S times the learning rate for the output projections of modules, LoRA's B (see LoRA+,
arXiv 2402.12354). So each scale is tried at three rates that are S times as low: the output projections learn
as before, and the head and LoRA's A more slowly. Folds are those of `rank_folds`; ``--scored`` of them are
scored, each by a model that has not seen it. Test sets stay sealed.

A training is what ``nas-peft search`` does with a single method: the head alone for 20 epochs at 3e-3, then
modules and head for ``--epochs``. Every finished training is a line of ``--lines``, where an interrupted
command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.folds import folds_of, scored_on_fold
from benchmarks.harness.half_rules import PRODUCT, RULES, Half
from benchmarks.harness.lines import append_line, read_lines
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.results import RESULTS
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.data import load_dataset
from nas_peft.run.single_methods import lora_everywhere
from nas_peft.training.image_scores import ImageScores
from search_spaces import InputError
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    Preprocessing,
    create_backbone,
)

FOLDS = 5
SEED = 0
RANK = 8
RATES = (1e-2, 3e-3, 3e-2)
"""Those of a plan."""
SCALES = (1.0, 4.0, 10.0)

Line = Mapping[str, Any]


def lines_of(
    task: str, backbone: Backbone, preprocessing: Preprocessing, wanted: Sequence[Line]
) -> Iterator[dict[str, Any]]:
    """Train and score each of ``wanted``, which names fold, rate, scale and epochs."""
    data = load_dataset(task, to_tensor=preprocessing.to_tensor)
    images = data.train_val
    fold = folds_of(images.labels, FOLDS)
    architecture = lora_everywhere(RANK, backbone.shape)
    for job in wanted:
        rate = float(f"{job['lr'] / job['scale']:.3g}")
        recipe = replace(HEAD, epochs=job["epochs"], lr=rate, module_scale=job["scale"])
        left_out = fold == job["fold"]
        classes = len(data.classes)
        result = scored_on_fold(backbone, preprocessing, images, classes, left_out, architecture, recipe)
        assert result.logits is not None  # asked for
        scores = ImageScores.of(result.logits, images.labels[left_out])
        yield {
            "task": Path(task).name,
            **job,
            "right": "".join("1" if hit else "0" for hit in scores.hits),
            "losses": [round(float(loss), 5) for loss in scores.calibrated_losses],
        }


def by_setting(lines: Sequence[Line]) -> dict[tuple[float, float], dict[int, Half]]:
    """Of one task: the scores of each rate and scale, by fold."""
    found: dict[tuple[float, float], dict[int, Half]] = {}
    for line in lines:
        name = f"{line['lr']:g} at {line['scale']:g}"
        hits, losses = np.array([float(hit) for hit in line["right"]]), np.array(line["losses"])
        found.setdefault((line["lr"], line["scale"]), {})[line["fold"]] = Half(name, 0, hits, losses, losses)
    return found


def chosen(settings: Mapping[tuple[float, float], Mapping[int, Half]], scale: float | None) -> Half:
    """What is right, and at which loss, where each fold is judged by a rate that the next fold chose.

    Only settings of the scale take part; all of them with ``None``. The product's rule chooses.
    """
    rivals = {key: of for key, of in settings.items() if scale in (None, key[1])}
    folds = sorted(next(iter(rivals.values())))
    found = []
    for place, fold in enumerate(folds):
        other = folds[(place + 1) % len(folds)]
        name = RULES[PRODUCT]([of[other] for of in rivals.values()])
        found.append(next(of[fold] for of in rivals.values() if of[fold].name == name))
    hits = np.concatenate([half.hits for half in found])
    losses = np.concatenate([half.losses for half in found])
    return Half("chosen", 0, hits, losses, losses)


def table(lines: Sequence[Line]) -> list[str]:
    """Markdown: accuracy and loss of each setting on each task, then with the rate chosen, by scale."""
    tasks = {
        task: by_setting([line for line in lines if line["task"] == task])
        for task in dict.fromkeys(line["task"] for line in lines)
    }
    keys = dict.fromkeys(key for settings in tasks.values() for key in settings)
    rows = [
        f"| rate of output projections, scale | {' | '.join(tasks)} |",
        "|---|" + "---:|" * len(tasks),
    ]
    for lr, scale in keys:
        cells = []
        for settings in tasks.values():
            of = settings.get((lr, scale), {}).values()
            hits, losses = ([v for half in of for v in getattr(half, name)] for name in ("hits", "losses"))
            cells.append(f"{100 * fmean(hits):.1f} ({fmean(losses):.3f})" if hits else "")
        rows.append(f"| {lr:g}, {scale:g} | {' | '.join(cells)} |")
    rows += ["", f"| rate chosen, scale | {' | '.join(tasks)} | accuracy, gain | loss, gain |"]
    rows.append("|---|" + "---:|" * (len(tasks) + 2))
    base = {task: chosen(settings, SCALES[0]) for task, settings in tasks.items()}
    for wanted in (*SCALES, None):
        taken = {task: chosen(settings, wanted) for task, settings in tasks.items()}
        cells = [f"{100 * half.hits.mean():.1f} ({half.losses.mean():.3f})" for half in taken.values()]
        points, loss = (
            mean_and_error([getattr(taken[t], name).mean() - getattr(base[t], name).mean() for t in tasks])
            for name in ("hits", "losses")
        )
        cells.append(f"{100 * points[0]:+.2f} ± {100 * points[1]:.2f}")
        cells.append(f"{loss[0]:+.3f} ± {loss[1]:.3f}")
        rows.append(f"| {'any' if wanted is None else f'{wanted:g}'} | {' | '.join(cells)} |")
    return rows


def run(argv: Sequence[str]) -> None:
    """Train what is missing, then print the table of all lines. Raises `InputError`."""
    parser = StudyParser("module_scales", "Compare module scales by cross-validation.")
    add = parser.add_argument
    add("--task", default="digits", help="data set: a folder or a name (%(default)s)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--epochs", type=whole_number, default=4, help="epochs of each training (%(default)s)")
    add("--scored", type=whole_number, default=2, help="folds of five that are scored (%(default)s)")
    add("--lines", type=Path, default=RESULTS / "module_scales.jsonl", help="file of finished trainings")
    add("--finished", action="store_true", help="train nothing: the table of the lines")
    args = parser.parse_args(argv)
    if not 2 <= args.scored <= FOLDS:
        raise InputError(f"--scored is {args.scored}; give 2 to {FOLDS}, as one fold chooses for another")
    lines = read_lines(args.lines)
    if not args.finished:
        name = Path(args.task).name
        known = {tuple(line[key] for key in ("task", "fold", "lr", "scale", "epochs")) for line in lines}
        wanted = [
            {"fold": fold, "lr": lr, "scale": scale, "epochs": args.epochs}
            for fold in range(args.scored)
            for scale in SCALES
            for lr in RATES
            if (name, fold, lr, scale, args.epochs) not in known
        ]
        if wanted:
            backbone = create_backbone(args.backbone)
            preprocessing = Preprocessing.of(backbone.model)
            for line in lines_of(args.task, backbone, preprocessing, wanted):
                append_line(args.lines, line)
                lines.append(line)
    if lines:
        print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
