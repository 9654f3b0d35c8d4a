"""Which remedy lowers the error on shifted images, each alone, on validation data?

::

    python -m benchmarks.robustness_study.remedies --task digits --seeds 2

The search and its objective aside, this compares single trainings with one of them, LoRA of rank 8 at every
product of every layer: other kinds, sizes and lowest layers, other rates and lengths, a head that is trained
first, L2-SP, augmentations, the line of WiSE-FT, and full fine-tuning. No test image is read. Shifted images
are corrupted copies of the validation images, by the corruptions of the choice; on ``pacs``, where training
images have two domains, each domain is left out in turn and is what the training is scored on.

Finished trainings are lines of ``--lines``, where an interrupted command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.lines import append_line, read_lines
from benchmarks.harness.recipes import HEAD, LR
from benchmarks.harness.results import RESULTS
from benchmarks.harness.standard_error import mean_and_error
from benchmarks.robustness_study.tasks import NAMES, StudyTask, study_task
from nas_peft.corruptions.choosing import ShiftedValidation
from nas_peft.data.folds import stratified_folds
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.single_methods import lora_everywhere
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.methods import METHODS, Method
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.training import Training
from nas_peft.training.trainings import scores_of, starting_network, trained_on
from nas_peft.training.wise_ft import interpolate
from search_spaces import Architecture, BackboneShape, count_params
from search_spaces.streams import stream
from supernet import Constant, Supernet, pooled_features, train

LINES = RESULTS / "robustness_remedies.jsonl"
BASE = "LoRA everywhere, rank 8"
TASKS = tuple(name for name in NAMES if name != "cifar100-tail")
"""Those whose shift validation images can show."""
EPOCHS = 4
FULL_LR = 3e-4
HELD_OUT = 5
"""One of so many images of the domains that are trained on is for validation."""
MARGIN = 0.05

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Remedy:
    """One training; ``changes`` are those of its recipe, and ``alpha`` a point on the line of WiSE-FT."""

    name: str
    group: str
    architecture: Architecture
    method: Method = "subnet"
    changes: Mapping[str, Any] = field(default_factory=dict)
    head_first: bool = False
    alpha: float = 1.0


def remedies(shape: BackboneShape) -> list[Remedy]:
    """The trainings to compare; the first is the one that the others are compared with."""
    depth = shape.depth

    def lora(rank: int, lowest: int = 0) -> Architecture:
        whole = lora_everywhere(rank, shape)
        sizes = {kind: [n if i >= lowest else 0 for i, n in enumerate(whole[kind])] for kind in whole.kinds}
        return Architecture.of(depth, sizes)

    def alone(kind: str, size: int) -> Architecture:
        return Architecture.uniform(depth, kind, size)

    base = lora(8)
    nothing = Architecture.empty(depth)
    found = [Remedy(BASE, "base", base)]
    found += [Remedy(f"LoRA everywhere, rank {rank}", "size", lora(rank)) for rank in (1, 2, 4, 16)]
    found += [
        Remedy(f"LoRA from layer {lowest + 1} up", "lowest layer", lora(8, lowest))
        for lowest in (depth // 4, depth // 2, depth * 3 // 4)
    ]
    found += [
        Remedy(f"{kind} {size}", "kind", alone(kind, size))
        for kind, size in (
            ("lora_rank", 8),
            ("adapter_dim", 16),
            ("prompt_tokens", 8),
            ("ssf", 1),
        )
    ]
    convpass = {kind: [8] * depth for kind in ("convpass_dim_attention", "convpass_dim_mlp")}
    found.append(Remedy("Convpass 8", "kind", Architecture.of(depth, convpass)))
    found += [
        *(Remedy(f"rate {lr:g}", "rate", base, changes={"lr": lr}) for lr in (1e-3, 2e-3, 1e-2)),
        *(Remedy(f"{n} epochs", "length", base, changes={"epochs": n}) for n in (2, 8)),
        Remedy("head first", "head", base, head_first=True),
        *(Remedy(f"L2-SP {a:g}", "L2-SP", base, changes={"l2_sp": a}) for a in (1e-3, 1e-2)),
        *(
            Remedy(name, "augmentation", base, changes={"augmentation": name})
            for name in ("augmix", "crop", "strong")
        ),
        *(Remedy(f"α {alpha:g}", "WiSE-FT", base, head_first=True, alpha=alpha) for alpha in (0.5, 0.75)),
        Remedy("full fine-tuning", "full", nothing, "full", {"lr": FULL_LR}),
        Remedy("full, AugMix", "full", nothing, "full", {"lr": FULL_LR, "augmentation": "augmix"}),
        Remedy("full, head first", "full", nothing, "full", {"lr": FULL_LR}, head_first=True),
    ]
    return found


def parts_of(task: StudyTask) -> Iterator[tuple[str, SearchInputs, TrainingInputs]]:
    """What trainings of a task are given, with a name: once, or once for each domain that is left out."""
    config = SearchConfig.of(dataset=task.dataset, objective="robust", class_balance=task.class_balance)
    inputs = SearchInputs.load(config.on("cpu"), StageBars(quiet=True))
    data = inputs.dataset
    network = Supernet(
        inputs.backbone.model, Architecture.empty(inputs.backbone.depth), len(data.classes), seed=0
    )
    features = pooled_features(network, data.train.images, inputs.preprocessing).cpu()
    shared = inputs.for_trainings(features)
    domains = sorted({name for name in data.train_domains if name is not None})
    if len(domains) < 2:
        yield task.name, inputs, shared
        return
    for left_out in domains:
        inside = torch.tensor([name == left_out for name in data.train_domains])
        kept, other = data.train.take(indices(~inside)), data.train.take(indices(inside))
        held_out = torch.zeros(len(kept), dtype=torch.bool)
        held_out[stratified_folds(kept.labels, HELD_OUT, stream(0, "remedies"))[0]] = True
        yield (
            f"{task.name}, {left_out} left out",
            inputs,
            replace(
                shared,
                train=kept.take(indices(~held_out)),
                val=kept.take(indices(held_out)),
                features=features[~inside][~held_out],
                shifted=ShiftedValidation(other, MARGIN),
            ),
        )


def indices(mask: Tensor) -> Tensor:
    """Ascending indices of the true elements."""
    return mask.nonzero().flatten()


def line_of(remedy: Remedy, seed: int, inputs: SearchInputs, shared: TrainingInputs) -> dict[str, Any]:
    """Train by a remedy; accuracy and calibrated loss, on unchanged and on shifted images."""
    recipe = replace(inputs.config.method_recipe(remedy.method), epochs=EPOCHS, lr=LR)
    recipe = replace(recipe, **remedy.changes)
    training = Training(
        remedy.name,
        remedy.method,
        remedy.architecture,
        recipe,
        HEAD if remedy.head_first else None,
        seed,
        "train",
        inputs.config.execution(remedy.method),
        False,
    )
    network = starting_network(training, shared, "cpu")
    start = network.module_tensors(remedy.architecture)
    start = {name: value.clone() for name, value in start.items()}
    part = trained_on(training, shared)
    train(
        network,
        part.images,
        part.labels,
        preprocessing=shared.preprocessing,
        chooser=Constant(remedy.architecture),
        recipe=recipe,
        seed=seed,
        trainable=METHODS[remedy.method].trains,
        execution=training.execution,
    )
    if remedy.alpha < 1:
        tuned = network.module_tensors(remedy.architecture)
        network.load_module_tensors(interpolate(start, tuned, remedy.alpha))
    val, images = scores_of(network.eval(), training, shared)
    return {
        "group": remedy.group,
        "remedy": remedy.name,
        "seed": seed,
        "params": count_params(remedy.architecture, inputs.backbone.shape),
        "accuracy": val.accuracy,
        "loss": float(images.calibrated_losses.mean()),
        "shifted_accuracy": images.shifted_accuracy,
        "shifted_loss": images.shifted_loss,
    }


def table(lines: Sequence[Line]) -> list[str]:
    """Markdown: each remedy's means over kinds of shift, with its paired change from the base.

    A kind of shift is the corruptions of one data set, or the domains that are left out, however many parts
    and seeds there are of it. The changes of shifted accuracy are given for each kind, too; with an error
    where there are several parts.
    """
    base = {(line["part"], line["seed"]): line for line in lines if line["remedy"] == BASE}
    kinds = list(dict.fromkeys(_kind(line) for line in lines))
    found = [
        "| remedy | accuracy, change | shifted accuracy, change | shifted loss, change | "
        + " | ".join(f"shifted accuracy on {kind}" for kind in kinds)
        + " |",
        "|---|" + "---:|" * (3 + len(kinds)),
    ]
    for name in dict.fromkeys(line["remedy"] for line in lines):
        own = [line for line in lines if line["remedy"] == name and (line["part"], line["seed"]) in base]

        def changes(measure: str, kind: str, of: Sequence[Line] = own) -> list[float]:
            return [
                line[measure] - base[line["part"], line["seed"]][measure]
                for line in of
                if _kind(line) == kind
            ]

        cells = []
        for measure, scale, digits in (
            ("accuracy", 100, 1),
            ("shifted_accuracy", 100, 1),
            ("shifted_loss", 1, 3),
        ):
            of_kinds = [fmean(of) for kind in kinds if (of := changes(measure, kind))]
            level = fmean(
                fmean(line[measure] for line in own if _kind(line) == kind)
                for kind in kinds
                if changes(measure, kind)
            )
            mean, error = mean_and_error([scale * change for change in of_kinds])
            spread = f" ± {error:.{digits}f}" if len(of_kinds) > 1 else ""
            change = "" if name == BASE else f", {mean:+.{digits}f}{spread}"
            cells.append(f"{scale * level:.{digits}f}{change}")
        for kind in kinds:
            of_kind = [100 * change for change in changes("shifted_accuracy", kind)]
            mean, error = mean_and_error(of_kind) if of_kind else (0.0, 0.0)
            spread = f" ± {error:.1f}" if len(of_kind) > 1 else ""
            cells.append("" if name == BASE or not of_kind else f"{mean:+.1f}{spread}")
        found.append(f"| {name} | {' | '.join(cells)} |")
    return found


def _kind(line: Line) -> str:
    return "other domains" if "left out" in line["part"] else str(line["part"])


def run(argv: Sequence[str]) -> None:
    """Train what is missing and print the table. Raises `InputError`."""
    parser = StudyParser("remedies", "Compare single remedies against shift on validation data.")
    add = parser.add_argument
    add("--task", action="append", choices=TASKS, help="task; repeat for more (all)")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of cifar100, dtd10 and pacs")
    add("--store", type=Path, default=Path("runs/robustness_study"), help="folder of tables that tasks need")
    add("--seeds", type=whole_number, default=2, help="seeds of each training (%(default)s)")
    add("--lines", type=Path, default=LINES, help="finished trainings (%(default)s)")
    add("--only", action="append", help="name of a remedy; repeat for more (all)")
    args = parser.parse_args(argv)
    lines = read_lines(args.lines)
    done = {(line["part"], line["remedy"], line["seed"]) for line in lines}
    for task in args.task or TASKS:
        for part, inputs, shared in parts_of(study_task(task, args.data, args.store)):
            for remedy in remedies(inputs.backbone.shape):
                for seed in range(args.seeds):
                    wanted = args.only is None or remedy.name in (BASE, *args.only)
                    if not wanted or (part, remedy.name, seed) in done:
                        continue
                    lines.append({"part": part, **line_of(remedy, seed, inputs, shared)})
                    append_line(args.lines, lines[-1])
    print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
