"""Jobs of the study: trainings with the scores of each validation image, and readings of half a test set."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from safetensors.torch import load

from benchmarks.harness.bench import Bench, Line
from benchmarks.harness.halves import Half, half_of
from benchmarks.harness.jobs import freeze
from benchmarks.harness.keys import digest, task_name
from nas_peft.protocol.decision import Contestant
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import image_values
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, trained_network
from supernet import NonFiniteLoss, Recipe, evaluate

STUDY = "recipe study"


DIGITS = 5
"""Decimals of the losses of images in a line."""


def described(training: Training) -> dict[str, Any]:
    """The training without the fields of its recipe that have their default.

    Then a field that is added to recipes leaves the keys of finished trainings as they are.
    """
    known = {field.name: field.default for field in fields(Recipe)}
    found = training.to_dict()
    found["recipe"] = {name: v for name, v in found["recipe"].items() if known[name] != v}
    found["head"] = found["head"] and {name: v for name, v in found["head"].items() if known[name] != v}
    return found


@dataclass(frozen=True)
class Trial:
    """One training by a recipe, on the training set, or as a final model; ``choices`` name its recipe."""

    task: str
    choices: tuple[str, ...]
    training: Training
    kind: str = "training"

    @property
    def key(self) -> str:
        """Digest of the task's name and the training."""
        return digest([STUDY, task_name(self.task), described(self.training)])

    def run(self, bench: Bench) -> Line:
        """Train, and keep the scores of each validation image, or the tensors of a final model.

        The line alone is enough to choose by, so that a study goes on from its lines on another machine.
        A loss that overflows is a result too: the line names the error and has no scores.
        """
        _, inputs = bench.task(self.task)
        line: Line = {
            "task": task_name(self.task),
            "row": self.training.name,
            "choices": list(self.choices),
            "training": described(self.training),
        }
        try:
            record, tensors = run_training(self.training, inputs, bench.device)
        except NonFiniteLoss as error:
            return line | {"diverged": str(error), "val": None}
        assert record.curve is not None  # a training that raised nothing
        if record.val is None:
            bench.save_model(self.key, tensors)
            return line | {"diverged": None, "val": None, "seconds": round(record.curve.seconds, 2)}
        assert record.images is not None  # scored on the validation set
        val = {**record.val._asdict(), **of_images(record.images)}
        return line | {"diverged": None, "val": val, "seconds": round(record.curve.seconds, 2)}


def of_images(scores: ImageScores) -> Line:
    """What a line has of the validation images: which are right, their calibrated losses, and the mean."""
    calibrated = scores.calibrated_losses
    return {
        "calibrated_loss": float(calibrated.mean()),
        "right": "".join(str(int(hit)) for hit in image_values("accuracy", scores)),
        "losses": [round(float(loss), DIGITS) for loss in calibrated],
    }


def contestant(name: str, val: Line) -> Contestant:
    """The scores of a line as they take part in a choice, by the rule of `nas-peft search`."""
    right = np.array([float(hit) for hit in val["right"]])
    losses = np.array(val["losses"])
    return Contestant(name, 0, float(right.mean()), float(losses.mean()), right, losses)


@dataclass(frozen=True)
class Reading:
    """The reading of one half of a task's test set by pairs of final models, after everything was chosen.

    ``pairs`` are, for a row and a seed, the training by ``vtab`` and that by the chosen recipe.
    """

    task: str
    half: Half
    pairs: tuple[tuple[str, int, Trial, Trial], ...]
    kind: str = "test"

    @property
    def decision(self) -> str:
        """Digest of all evaluated models."""
        return digest([[base.key, chosen.key] for _, _, base, chosen in self.pairs])

    @property
    def key(self) -> str:
        """Digest of task, half and models."""
        return digest([STUDY, "test", task_name(self.task), self.half, self.decision])

    def run(self, bench: Bench) -> Line:
        """Evaluate all models on the half; models that are not in the store are trained again.

        Raises `InputError` if the final half was read for other models.
        """
        if self.half == "final":
            freeze(bench.folder / "opened" / f"{task_name(self.task)}.json", self.decision)
        test, inputs = bench.open_test(self.task, f"{STUDY}, {self.half} half: {self.decision}")
        part = half_of(test, self.half, STUDY)
        found: dict[str, np.ndarray[Any, np.dtype[np.bool_]]] = {}
        for trial in {trial.key: trial for _, _, *both in self.pairs for trial in both}.values():
            if not bench.model_file(trial.key).exists():
                trial.run(bench)
            tensors = load(bench.model_file(trial.key).read_bytes())
            network = trained_network(trial.training, tensors, inputs, bench.device)
            result = evaluate(network, part.images, part.labels, preprocessing=bench.preprocessing)
            assert result.predicted is not None  # labels are given
            found[trial.key] = (result.predicted.cpu() == part.labels.cpu()).numpy()
        return {
            "task": task_name(self.task),
            "half": self.half,
            "decision": self.decision,
            "images": len(part),
            "of": [
                {
                    "row": row,
                    "seed": seed,
                    "choices": list(chosen.choices),
                    "vtab": float(found[base.key].mean()),
                    "chosen": float(found[chosen.key].mean()),
                    "vtab_only": int((found[base.key] & ~found[chosen.key]).sum()),
                    "chosen_only": int((~found[base.key] & found[chosen.key]).sum()),
                }
                for row, seed, base, chosen in self.pairs
            ],
        }
