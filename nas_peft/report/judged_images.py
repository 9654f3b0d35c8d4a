"""The exported subnet on the run's own images: its logits on the test set, or on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nas_peft.data.decoding import pixel_limit
from nas_peft.data.listing import Item
from nas_peft.data.source import Reading
from nas_peft.evaluation.labelled_images import LabelledImages, logits_of
from nas_peft.evaluation.measures import Measures, measure
from nas_peft.report.reported_run import ReportedRun
from nas_peft.run.json_file import read_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.training.image_scores import ImageScores
from search_spaces import InputError
from supernet import load_subnet


@dataclass(frozen=True)
class JudgedImages:
    """Logits ``(N, C)`` and labels ``(N,)`` of images that the exported subnet, or its training, classified.

    Args:
        source: which images they are, in words.
        classes: names of the classes.
        logits: logits as the network gives them.
        labels: true classes.
        temperature: divides the logits for calibrated probabilities; ``None`` where none may be used.
        items: the images themselves; empty where only their logits are there.
        remark: what a reader has to know about the images.
    """

    source: str
    classes: tuple[str, ...]
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    temperature: float | None
    items: tuple[Item, ...] = ()
    remark: str = ""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities ``(N, C)``, calibrated where there is a temperature."""
        scaled = self.logits / (self.temperature or 1.0)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return found

    def measures(self) -> Measures:
        """All measures, with intervals."""
        return measure(self.logits, self.labels, self.classes, self.temperature)


def judged_test_images(run: ReportedRun, dataset: str | None, device: str, bars: StageBars) -> JudgedImages:
    """The exported subnet on the run's test set, which the finished run has opened; nothing is chosen by it.

    ``dataset`` says where the data are now, by default where the run found them. Raises `InputError` if the
    data or the backbone are gone, and if the test set there has other numbers of images by class.
    """
    config, record = run.config, run.result.dataset
    spec = dataset or config.dataset
    subnet = load_subnet(run.path / "subnet.safetensors", backbone_weights=config.backbone_weights)
    subnet.network.to(device)
    with pixel_limit(config.max_pixels):
        images = LabelledImages.of(
            subnet,
            spec,
            "test",
            root=config.data_root,
            reading=Reading(config.layout, config.domains),
            skip_bad_images=config.skip_bad_images,
            own=True,
        )
        counts = np.bincount(images.labels, minlength=len(subnet.classes)).tolist()
        recorded = record.get("class_counts", {}).get("test", counts)  # absent in runs of version 0.1
        if counts != list(recorded) or sum(counts) != record["counts"]["test"]:
            raise InputError(
                f"the test set of '{spec}' has {sum(counts):,} images, in classes of other sizes than the "
                f"run's {record['counts']['test']:,}; give the data of the run to --dataset"
            )
        rows = []
        with bars.counted("evaluation (images)", len(images.items)) as bar:
            for _, row in logits_of(subnet, images):
                rows.append(row)
                bar()
    logits = torch.stack(rows).double().numpy()
    accuracy = float((logits.argmax(axis=1) == images.labels).mean())
    return JudgedImages(
        images.source,
        subnet.classes,
        logits,
        images.labels,
        subnet.temperature,
        images.items,
        _difference(run.result, accuracy),
    )


def judged_validation_images(run: ReportedRun) -> JudgedImages | None:
    """The validation images as the exported row's training on the training set scored them, if that was kept.

    Their probabilities are not calibrated: the temperature was fitted to these images.
    """
    file = _scores_file(run)
    if file is None:
        return None
    scores = ImageScores.read(file)
    accuracy = f"{100 * float(scores.hits.mean()):.1f}%"
    return JudgedImages(
        f"{len(scores.labels):,} validation images",
        tuple(run.inputs.classes),
        scores.logits,
        scores.labels,
        None,
        remark=f"The network is that of the training on the training images alone, with {accuracy} "
        "accuracy. Its probabilities are not calibrated.",
    )


def _scores_file(run: ReportedRun) -> Path | None:
    """The file with the scores of the training that the exported row was chosen by, of the first seed."""
    row, folder = run.result.decided, run.path / "trainings"
    for file in sorted(folder.glob("*.json")):
        record = read_json(file) or {}
        if (record.get("name"), record.get("on"), record.get("seed")) != (
            row.name,
            "train",
            run.options["seed"],
        ):
            continue
        own = record.get("recipe", {})
        scores = folder / f"{file.name.removesuffix('.json')}.val.safetensors"
        same = all(row.recipe.get(name) == value for name, value in own.items())
        if same and record.get("init_seed") is None and scores.is_file():
            return scores
    return None


def _difference(result: SearchResult, accuracy: float) -> str:
    """A remark if the accuracy is not the recorded one, by more than rounding can change."""
    first = next((s for s in result.selected.seeds if s.seed == result.config["seed"]), None)
    if first is None or first.test_accuracy is None:
        return ""
    images = result.dataset["counts"]["test"]
    if abs(accuracy - first.test_accuracy) * images <= max(2, 0.002 * images):
        return ""
    return (
        f"The accuracy here is {100 * accuracy:.1f}%, and the run recorded "
        f"{100 * first.test_accuracy:.1f}%: these are not the images of the run, or the subnet file is "
        "another one."
    )


def confusions(judged: JudgedImages, most: int) -> Sequence[tuple[str, str, int, int]]:
    """The most frequent confusions: true class, predicted class, images, images of the true class."""
    count = len(judged.classes)
    flat = judged.labels * count + judged.logits.argmax(axis=1)
    found = np.bincount(flat, minlength=count**2).reshape(count, count)
    sums = found.sum(axis=1)
    wrong = [(i, j) for i, j in zip(*found.nonzero(), strict=True) if i != j]
    wrong.sort(key=lambda place: (-found[place], place))
    return [(judged.classes[i], judged.classes[j], int(found[i, j]), int(sums[i])) for i, j in wrong[:most]]
