"""The runs of the study, and the measurement of their models."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from benchmarks.harness.halves import Half, half_of
from benchmarks.harness.lines import append_line, read_lines, rewrite_lines
from benchmarks.robustness_study.tasks import StudyTask
from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.data.materialise import materialise
from nas_peft.data.part import Part
from nas_peft.data.source import Reading, list_source
from nas_peft.evaluation.labelled_images import LabelledImages
from nas_peft.main_job import search
from nas_peft.robustness.class_frequency import frequency_groups
from nas_peft.robustness.measuring import TestImages, measure_models
from nas_peft.robustness.models import NamedModel, models_of_run
from nas_peft.robustness.own_images import OwnImages
from nas_peft.robustness.result import ModelRobustness
from nas_peft.robustness.shifted_sets import read_shifted_sets
from nas_peft.run.progress import StageBars
from nas_peft.settings.search_config import SearchConfig

Objective: TypeAlias = Literal["accuracy", "robust"]
OBJECTIVES: tuple[Objective, ...] = ("accuracy", "robust")

BASELINES = "linear,full,lp-ft,l2-sp,lora,adapter,noah"
OPTIONS = (
    "epochs",
    "supernet_epochs",
    "generations",
    "population",
    "retrain",
    "augmentation",
    "robust_augmentation",
    "l2_sp",
    "soup",
    "baselines",
    "noah_seeds",
    "images",
    "severities",
)
"""Options of the command line on which a line depends."""

METHODS = {
    "full": "full fine-tuning",
    "linear": "linear probing",
    "lp-ft": "LP-FT",
    "l2-sp": "L2-SP",
    "full-uniform-soup": "uniform soup of full fine-tuning",
    "full-greedy-soup": "greedy soup of full fine-tuning",
    "full-wise-ft": "WiSE-FT",
    "lora": "LoRA",
    "adapter": "adapters",
    "noah": "NOAH",
}
"""Baselines by the names of their rows."""
SEARCHED = {
    "": "searched",
    "-uniform-soup": "searched, uniform soup",
    "-greedy-soup": "searched, greedy soup",
    "-wise-ft": "searched, WiSE-FT",
}
"""Rows of the best searched subnet by what follows its name; with the robust objective they are called so."""


@dataclass(frozen=True)
class Study:
    """The study of a command line; finished lines are in ``file``."""

    args: argparse.Namespace

    @property
    def file(self) -> Path:
        """The file of lines."""
        path: Path = self.args.lines
        return path

    def lines(self, tasks: Sequence[StudyTask], half: Half) -> list[dict[str, Any]]:
        """One line for each task, seed, objective and model; runs and measures what is missing."""
        for folder in (self.args.store, self.file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        done = read_lines(self.file)
        rewrite_lines(self.file, done)
        found = []
        for task in tasks:
            for seed in range(self.args.seeds):
                for objective in self.args.objective:
                    key = {"task": task.name, "seed": seed, "objective": objective, "half": half}
                    key |= {"options": self.options()}
                    line = next((one for one in done if all(one[k] == v for k, v in key.items())), None)
                    if line is None:
                        line = {**key, **self.measured(task, seed, objective, half)}
                        append_line(self.file, line)
                    found.append(line)
        return found

    def options(self) -> dict[str, Any]:
        """The options on which a line depends."""
        return {name: getattr(self.args, name) for name in OPTIONS}

    def measured(self, task: StudyTask, seed: int, objective: Objective, half: Half) -> dict[str, Any]:
        """Search, and measure the models of the run on a half of the test images."""
        run = self.searched(task, seed, objective)
        found = models_of_run(run, lambda done, total: None)
        named = _named(found.models, objective)
        images = self.images(task, named[0], half)
        record = named[0].subnet.training["dataset"]
        groups = frequency_groups(record["class_counts"]["train"]) if task.shift == "rare" else ()
        measured = measure_models(
            named,
            images,
            corruptions=corruptions_for("test") if task.shift == "corruptions" else (),
            severities=self.args.severities if task.shift == "corruptions" else (),
            groups=groups,
        )
        return {
            "about": task.about,
            "images": len(images.clean),
            "left_out": found.left_out,
            "rows": {model.name: _scores(model, task) for model in measured},
        }

    def baselines(self, seed: int) -> str:
        """The baselines of a seed; NOAH's own search takes longer than all others, so it is in the first."""
        names = str(self.args.baselines).split(",")
        return ",".join(name for name in names if name != "noah" or seed < self.args.noah_seeds) or "none"

    def searched(self, task: StudyTask, seed: int, objective: Objective) -> Path:
        """The run folder of a search, which is resumed, or read if it has finished."""
        args = self.args
        config = SearchConfig.of(
            dataset=task.dataset,
            seed=seed,
            budget="9%",  # that of a plan
            space="large",
            epochs=args.epochs,
            supernet_epochs=args.supernet_epochs,
            generations=args.generations,
            population=args.population,
            retrain=args.retrain,
            augmentation=args.robust_augmentation if objective == "robust" else args.augmentation,
            l2_sp=args.l2_sp,
            class_balance=task.class_balance,
            soup=args.soup,
            objective=objective,
            baselines=self.baselines(seed) if objective == "accuracy" else "none",
            singles="lora_rank",  # one single method, which each run needs; the study's are baselines
        )
        digest = hashlib.sha256(json.dumps(self.options(), sort_keys=True).encode()).hexdigest()[:8]
        out: Path = args.store / "runs" / f"{task.name}-seed{seed}-{objective}-{digest}"
        with StageBars() as bars:
            search(config, out, device=args.device, bars=bars)
        return out

    def images(self, task: StudyTask, model: NamedModel, half: Half) -> TestImages:
        """A half of the test images, and of the left-out domain."""
        subnet = model.subnet
        most = self.args.images if task.shift == "corruptions" else None  # which have fifteen copies each
        labelled = LabelledImages.of(subnet, task.dataset)
        clean = half_of(materialise(labelled.items, lambda: None), half, "robustness study", most)
        domains: dict[str, Part] = {}
        if task.left_out is not None:
            to_tensor = subnet.preprocessing.to_tensor
            own = OwnImages([list_source(task.dataset, to_tensor, None, Reading())])
            given = [f"{task.left_out.name}={task.left_out}"]
            for one in read_shifted_sets(given, subnet.classes, to_tensor, own):
                domains[one.name] = half_of(
                    materialise(one.items, lambda: None), half, "robustness study", most
                )
        model.subnet.network.to(torch.device(self.args.device))
        return TestImages(clean, domains)


def _named(models: Sequence[NamedModel], objective: Objective) -> list[NamedModel]:
    """The models of the study's rows, by method.

    Of the searched subnets that is the one that was averaged, the best by validation; single methods that
    only a run needs are left out.
    """
    found = []
    by_name = {model.name: model for model in models}
    end = next(suffix for suffix in SEARCHED if suffix)
    stem = next((n.removesuffix(end) for n in by_name if n.startswith("candidate-") and n.endswith(end)), "")
    if not stem:
        stem = next(name for name in by_name if name.startswith("candidate-"))
    wanted = {f"{stem}{suffix}": label for suffix, label in SEARCHED.items()}
    robustly = {name: label.replace("searched", "searched robustly") for name, label in wanted.items()}
    for name, label in (robustly if objective == "robust" else {**METHODS, **wanted}).items():
        if name in by_name:
            model = by_name[name]
            found.append(NamedModel(label, label, model.params, model.subnet))
    return found


def _scores(model: ModelRobustness, task: StudyTask) -> dict[str, Any]:
    """Accuracy in domain and under the task's shift, with all scores behind them."""
    shifted = {
        "corruptions": model.mean_corruption_accuracy,
        "domain": model.average_domain_accuracy,
        "rare": next((g.recall for g in model.frequency if g.name == "few"), None),
    }[task.shift]
    return {"in_domain": model.clean.accuracy, "shifted": shifted, **model.to_dict()}
