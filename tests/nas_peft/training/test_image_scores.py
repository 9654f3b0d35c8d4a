"""The scores of images: kept as bytes, equal after a trip, and those of the evaluation."""

import pickle  # noqa: TID251 - the way of records between processes
from math import log

import pytest
import torch

from nas_peft.training.image_scores import ImageScores, ShiftedScores
from nas_peft.training.temperature import cross_entropy, fit_temperature

LABELS = torch.tensor([0, 1, 2, 2])
SCORES = ImageScores.of(torch.tensor([[5.0, 0, 0], [0, 5.0, 0], [0, 0, 5.0], [5.0, 0, 0]]), LABELS)


def test_hits_and_losses():
    assert SCORES.hits.tolist() == [True, True, True, False]
    right, wrong = log(1 + 2 * 2.718281828**-5), log(2.718281828**5 + 2)
    assert SCORES.losses == pytest.approx([right, right, right, wrong], abs=1e-6)
    assert SCORES.labels.tolist() == LABELS.tolist()


def test_calibrated_losses_are_those_of_other_images_and_change_no_hit():
    assert SCORES.calibrated_losses.shape == SCORES.losses.shape
    assert (SCORES.calibrated_losses != SCORES.losses).any()
    assert SCORES.hits.sum() == 3


def test_a_trip_as_bytes_or_between_processes_keeps_all():
    assert len(SCORES.losses) == 4  # computed values do not travel
    there = pickle.loads(pickle.dumps(SCORES))
    assert there == SCORES == ImageScores(SCORES.data)
    assert set(vars(there)) == {"data"}
    assert (there.logits == SCORES.logits).all()


def test_logits_of_half_precision_are_kept_in_full():
    found = ImageScores.of(torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16), torch.tensor([0]))
    assert found.logits.tolist() == [[0.5, 0.25]]


def test_shifted_images_are_scored_at_the_temperature_of_the_others():
    shifted = ShiftedScores(torch.tensor([[1.0, 0, 0], [1.0, 0, 0]]), torch.tensor([0, 1]), 0.05)
    scores = ImageScores.of(torch.from_numpy(SCORES.logits), LABELS, shifted)
    temperature = fit_temperature(SCORES.logits, SCORES.labels)
    of_each = cross_entropy(shifted.logits.double().numpy(), shifted.labels.numpy(), temperature)
    assert scores.shifted_loss == pytest.approx(of_each.mean())
    assert (scores.shifted_accuracy, scores.margin) == (0.5, 0.05)
    assert scores.losses == pytest.approx(SCORES.losses)
    assert (SCORES.shifted_loss, SCORES.shifted_accuracy) == (None, None)
