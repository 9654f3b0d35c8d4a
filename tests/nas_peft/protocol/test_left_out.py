"""Trainings without a domain: which there are, and how they count for the training they belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas_peft.protocol.left_out import judged, trainings_without
from nas_peft.training.image_scores import ImageScores, ShiftedScores
from nas_peft.training.temperature import cross_entropy, fit_temperature
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.val_score import ValScore
from search_spaces import Architecture
from supernet import Curve, Recipe

DOMAINS = ("photo", "art/old")
TRAINING = Training(
    "lora", "subnet", Architecture.uniform(2, "lora_rank", 2), Recipe(1, 1e-3), None, 0, "train"
)


def scores(images: int, seed: int, shifted: int = 0) -> ImageScores:
    generator = torch.Generator().manual_seed(seed)

    def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(count, 3, generator=generator), torch.arange(count) % 3

    copies = ShiftedScores(*drawn(shifted), margin=0.05) if shifted else None
    return ImageScores.of(*drawn(images), copies)


def record(training: Training, images: ImageScores) -> TrainingRecord:
    return TrainingRecord(training, Curve([1.0], 1, 1.0), ValScore(0.5, 1.0), images=images)


def of_all(training: Training = TRAINING) -> dict[str, TrainingRecord]:
    """The records of a training and of those without each domain."""
    others = trainings_without([training], DOMAINS)
    found = {training.key: record(training, scores(12, 0, shifted=6))}
    return found | {t.key: record(t, scores(9 * i, i)) for i, t in enumerate(others, 1)}


def test_each_training_on_the_training_set_has_one_without_each_domain():
    final = replace(TRAINING, on="train_val")
    ingredient = replace(TRAINING, seed=1, init_seed=0)
    found = trainings_without([TRAINING, final, ingredient], DOMAINS)
    assert [t.without for t in found] == list(DOMAINS)
    assert all(replace(t, without=None) == TRAINING for t in found)
    keys = {TRAINING.key, *(t.key for t in found)}
    assert keys == {
        "lora.train.lr0.001.seed0",
        "lora.train.without-photo.lr0.001.seed0",
        "lora.train.without-art%2Fold.lr0.001.seed0",  # a file name
    }
    assert [Training.from_dict(t.to_dict()) for t in found] == found
    assert trainings_without([TRAINING], ()) == []


def test_each_left_out_domain_counts_as_all_copies_together():
    records = of_all()
    own = records[TRAINING.key]
    found = judged(own, records, DOMAINS)
    assert found.images is not None
    assert own.images is not None
    assert (found.images.logits == own.images.logits).all()
    temperature = fit_temperature(own.images.logits, own.images.labels)
    parts = [r.images for key, r in records.items() if key != TRAINING.key]
    losses = [cross_entropy(i.logits, i.labels, temperature).mean() for i in parts if i is not None]
    expected = ((own.images.shifted_loss or 0) + sum(losses)) / 3
    assert found.images.shifted_loss == pytest.approx(expected, rel=1e-6)
    hits = [float((i.logits.argmax(axis=1) == i.labels).mean()) for i in parts if i is not None]
    assert found.images.shifted_accuracy == pytest.approx(
        ((own.images.shifted_accuracy or 0) + sum(hits)) / 3
    )
    assert found.images.margin == 0.05


def test_an_average_is_judged_on_left_out_domains_as_the_training_it_belongs_to():
    records = of_all()
    own = judged(records[TRAINING.key], records, DOMAINS).images
    assert own is not None
    average = scores(12, 7, shifted=6)
    found = average.with_left_out_of(own)
    assert (found.logits == average.logits).all()
    assert found.shifted_loss != average.shifted_loss
    plain = scores(12, 0, shifted=6)
    assert plain.with_left_out_of(own) == own
    assert average.with_left_out_of(plain) == average  # nothing was left out


def test_what_cannot_be_judged_has_failed_and_what_need_not_stays():
    records = of_all()
    (first, _) = trainings_without([TRAINING], DOMAINS)
    failed = records | {first.key: TrainingRecord.failed(first, "the loss is not finite")}
    found = judged(records[TRAINING.key], failed, DOMAINS)
    assert found.failure == (
        "seed 0, learning rate 0.001: without the domain, seed 0, learning rate 0.001: the loss is not finite"
    )
    assert found.images is None
    stopped = replace(records[TRAINING.key], stopped_at=1)
    assert judged(stopped, records, DOMAINS) is stopped
    assert judged(records[TRAINING.key], records, ()) is records[TRAINING.key]
