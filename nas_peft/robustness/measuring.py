"""Measuring of models on clean images, corrupted copies and other domains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from nas_peft.corruptions.catalogue import CORRUPTIONS
from nas_peft.corruptions.corrupting import corrupted
from nas_peft.data.part import Part
from nas_peft.evaluation.measures import calibration_error
from nas_peft.robustness.class_frequency import FrequencyGroup
from nas_peft.robustness.models import NamedModel
from nas_peft.robustness.result import (
    CorruptionScores,
    FrequencyScores,
    ModelRobustness,
    Scores,
    share_error,
)
from nas_peft.training.temperature import Labels, Logits, cross_entropy
from supernet.images import Images

BATCH = 64
"""Images that a model classifies at a time."""


@dataclass(frozen=True)
class TestImages:
    """The images that models are tested on: ``clean``, and the parts of other ``domains`` by name."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    clean: Part
    domains: dict[str, Part] = field(default_factory=dict)


def passes(images: TestImages, corruptions: int, severities: int, models: int) -> int:
    """The number of images that `measure_models` classifies, once for each model."""
    others = sum(len(part) for part in images.domains.values())
    return models * (len(images.clean) * (1 + corruptions * severities) + others)


def measure_models(
    models: Sequence[NamedModel],
    images: TestImages,
    *,
    corruptions: Sequence[str],
    severities: Sequence[int],
    groups: Sequence[FrequencyGroup] = (),
    on_images: Callable[[int], None] = lambda count: None,
) -> tuple[ModelRobustness, ...]:
    """The robustness of each model; all are tested on the same copies, which are made once.

    Args:
        models: models of equal classes and preprocessing, each on the device to compute on.
        images: uint8 images on the CPU with the labels of the models.
        corruptions: names of corruptions for the test; any other is refused.
        severities: severities from 1 to 5 of each corruption.
        groups: thirds of the classes whose recall is given.
        on_images: called with the number of images that were classified since the last call.
    """
    labels = images.clean.labels.numpy()
    clean = [_logits(model, images.clean.images, on_images) for model in models]
    by_corruption: list[list[CorruptionScores]] = [[] for _ in models]
    hits = [np.zeros(len(labels)) for _ in models]
    for name in corruptions:
        found: list[dict[int, Scores]] = [{} for _ in models]
        for severity in severities:
            copies = corrupted(images.clean.images[:], name, severity, use="test")
            for index, model in enumerate(models):
                logits = _logits(model, copies, on_images)
                found[index][severity] = _scores(model, logits, labels)
                hits[index] += logits.argmax(axis=1) == labels
        for index, by_severity in enumerate(found):
            by_corruption[index].append(CorruptionScores(name, CORRUPTIONS[name].group, by_severity))
    domains: list[dict[str, Scores]] = [{} for _ in models]
    for name, part in images.domains.items():
        for index, model in enumerate(models):
            logits = _logits(model, part.images, on_images)
            domains[index][name] = _scores(model, logits, part.labels.numpy())
    copies_of_each = len(corruptions) * len(severities)
    return tuple(
        ModelRobustness(
            model.name,
            model.label,
            model.params,
            model.subnet.temperature,
            clean=_scores(model, clean[index], labels),
            corruptions=tuple(by_corruption[index]),
            corruption_error=share_error(hits[index] / copies_of_each) if copies_of_each else None,
            domains=domains[index],
            frequency=tuple(_of_groups(model, clean[index], labels, groups)),
            without_val=model.subnet.training.get("on") == "train",
        )
        for index, model in enumerate(models)
    )


def _logits(model: NamedModel, images: Images, on_images: Callable[[int], None]) -> Logits:
    rows = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        rows.append(model.subnet.logits_of(batch))
        on_images(len(batch))
    found: Logits = torch.cat(rows).double().numpy()
    return found


def _confidence(model: NamedModel, logits: Logits) -> NDArray[np.float64]:
    return np.asarray(np.exp(-cross_entropy(logits, logits.argmax(axis=1), model.subnet.temperature or 1.0)))


def _scores(model: NamedModel, logits: Logits, labels: Labels) -> Scores:
    hits = logits.argmax(axis=1) == labels
    return Scores(
        images=len(labels),
        accuracy=float(hits.mean()),
        standard_error=share_error(hits.astype(float)),
        log_loss=float(cross_entropy(logits, labels, model.subnet.temperature or 1.0).mean()),
        calibration_error=calibration_error(_confidence(model, logits), hits),
    )


def _of_groups(
    model: NamedModel, logits: Logits, labels: Labels, groups: Sequence[FrequencyGroup]
) -> Iterable[FrequencyScores]:
    hits, confidence = logits.argmax(axis=1) == labels, _confidence(model, logits)
    for group in groups:
        inside = np.isin(labels, group.labels)
        if not inside.any():
            continue
        recalls = [hits[labels == label].mean() for label in group.labels if (labels == label).any()]
        yield FrequencyScores(
            name=group.name,
            classes=len(group.labels),
            fewest=group.fewest,
            most=group.most,
            images=int(inside.sum()),
            recall=float(np.mean(recalls)),
            calibration_error=calibration_error(confidence[inside], hits[inside]),
        )
