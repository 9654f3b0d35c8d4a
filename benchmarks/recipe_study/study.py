"""The trainings of the study, in the order in which one decides the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.harness.bench import Bench
from benchmarks.harness.halves import Half
from benchmarks.harness.lines import read_lines
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.store import Store
from benchmarks.recipe_study.choices import CHOICES, VTAB, StudyRow, field_of
from benchmarks.recipe_study.jobs import Reading, Trial, contestant
from nas_peft.protocol.decision import decide
from nas_peft.training.training import Training
from search_spaces import InputError

Mixture = tuple[str, ...]
"""Names of the choices of a recipe; none of them is ``vtab``."""


def name_of(mixture: Mixture) -> str:
    """Name of a recipe: ``vtab``, ``crop``, ``crop + longer``."""
    return " + ".join(mixture) or VTAB


def of_all_images(val: Mapping[str, Any] | None) -> dict[str, float] | None:
    """The validation scores of a line without those of single images."""
    return None if val is None else {name: val[name] for name in ("accuracy", "loss", "calibrated_loss")}


def finished_trainings(store: Path, tasks: Sequence[str], rows: Sequence[str]) -> list[dict[str, Any]]:
    """The trainings in a store that were scored on validation data, also of incomplete rows."""
    names = {Path(task).name for task in tasks}
    return [
        {
            "task": line["task"],
            "row": line["row"],
            "recipe": name_of(tuple(line["choices"])),
            "seed": line["training"]["seed"],
            "chosen": False,
            "val": line["val"],
        }
        for line in read_lines(store / "lines.jsonl")
        if line["kind"] == "training" and line["training"]["on"] == "train"
        if line["task"] in names and line["row"] in rows
    ]


@dataclass(frozen=True)
class Study:
    """The study of a store: tasks, rows, seeds of the choices and of the final models, default length."""

    store: Store
    bench: Bench
    tasks: Sequence[str]
    rows: Sequence[StudyRow]
    choice_seeds: int
    seeds: int
    epochs: int

    def trial(
        self,
        task: str,
        row: StudyRow,
        mixture: Mixture,
        seed: int,
        on: Literal["train", "train_val"] = "train",
    ) -> Trial:
        """The training of a row by the recipe of ``mixture``."""
        recipe = row.recipe(mixture, self.epochs)
        architecture = row.architecture(self.bench.backbone.shape)
        return Trial(task, mixture, Training(row.name, row.method, architecture, recipe, HEAD, seed, on))

    def preferred(self, task: str, row: StudyRow, mixtures: Sequence[Mixture]) -> Mixture:
        """The mixture that the rule prefers by the first seed. Raises `InputError` if all have diverged."""
        found = {name_of(m): (m, self.trial(task, row, m, 0)) for m in mixtures}
        rivals = []
        for name, (_, trial) in found.items():
            val = self.store[trial]["val"]
            if val is not None:
                rivals.append(contestant(name, val))
        if not rivals:
            raise InputError(f"all trainings of {row.label} on {task} have diverged; leave the row out")
        return found[decide(rivals).name][0]

    def mixtures(self, task: str, row: StudyRow) -> list[Mixture]:
        """The two mixtures that the choices alone suggest, without those that are a single choice.

        The first is the best augmentation with the longer training, whether or not that augmentation is
        better than none: crops pay in longer trainings. The second has all choices that the rule prefers to
        ``vtab``, the best one of each field.
        """
        augmentations = [name for name in row.choices if "augmentation" in CHOICES[name]]
        best = self.preferred(task, row, [(name,) for name in augmentations])
        by_field: dict[str, list[Mixture]] = {}
        for name in row.choices:
            if self.preferred(task, row, [(), (name,)]):
                by_field.setdefault(field_of(name), []).append((name,))
        all_gaining = tuple(self.preferred(task, row, of_field)[0] for of_field in by_field.values())
        return [m for m in dict.fromkeys(((*best, "longer"), all_gaining)) if len(m) > 1]

    def chosen(self, task: str, row: StudyRow) -> Mixture:
        """The recipe that validation data choose among everything tried."""
        alone: list[Mixture] = [(name,) for name in row.choices]
        return self.preferred(task, row, [(), *alone, *self.mixtures(task, row)])

    def pairs(self, task: str) -> tuple[tuple[str, int, Trial, Trial], ...]:
        """Final models by ``vtab`` and by the chosen recipe, for each row and seed."""
        return tuple(
            (
                row.name,
                seed,
                self.trial(task, row, (), seed, "train_val"),
                self.trial(task, row, self.chosen(task, row), seed, "train_val"),
            )
            for row in self.rows
            for seed in range(self.seeds)
        )

    def run(self, half: Half) -> None:
        """Run every missing training, task by task and row by row; read the test halves last."""
        for task in self.tasks:
            for row in self.rows:
                what = f"{Path(task).name}, {row.label}"
                alone: list[Mixture] = [(), *((name,) for name in row.choices)]
                seeds = range(self.choice_seeds)
                self.store.run([self.trial(task, row, m, s) for s in seeds for m in alone], what)
                mixed = self.mixtures(task, row)
                self.store.run([self.trial(task, row, m, 0) for m in mixed], f"{what}, mixtures")
                chosen = self.chosen(task, row)
                self.store.run([self.trial(task, row, chosen, s) for s in seeds], f"{what}, chosen")
                finals = [
                    self.trial(task, row, m, s, "train_val") for s in range(self.seeds) for m in ((), chosen)
                ]
                self.store.run(finals, f"{what}, final models")
        readings = [Reading(task, half, self.pairs(task)) for task in self.tasks]
        self.store.run(readings, "test halves")

    def report(self, half: Half) -> dict[str, Any]:
        """Validation scores of every training, what was chosen, and the readings of the half."""
        trainings, readings = [], []
        for task in self.tasks:
            for row in self.rows:
                chosen = self.chosen(task, row)
                tried: list[Mixture] = [(), *((name,) for name in row.choices), *self.mixtures(task, row)]
                for mixture in dict.fromkeys((*tried, chosen)):
                    for seed in range(self.choice_seeds):
                        trial = self.trial(task, row, mixture, seed)
                        if trial in self.store:
                            line = self.store[trial]
                            trainings.append(
                                {
                                    "task": line["task"],
                                    "row": row.name,
                                    "recipe": name_of(mixture),
                                    "seed": seed,
                                    "chosen": mixture == chosen,
                                    "val": of_all_images(line["val"]),
                                    "seconds": line.get("seconds"),
                                }
                            )
            line = self.store[Reading(task, half, self.pairs(task))]
            readings += [{"task": line["task"], "images": line["images"], **one} for one in line["of"]]
        return {"trainings": trainings, "test": readings}
