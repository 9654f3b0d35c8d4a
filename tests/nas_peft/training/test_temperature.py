"""Temperature scaling: it changes losses and no prediction, and never sees the images it is judged on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nas_peft.training.temperature import (
    WIDEST,
    cross_entropy,
    cross_fitted_losses,
    fit_temperature,
    halves,
)


def drawn(images: int, scale: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose labels are drawn from their softmax, then scaled: the best temperature is ``scale``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(images, 5))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_is_found(scale: float):
    assert fit_temperature(*drawn(4000, scale)) == pytest.approx(scale, rel=0.06)


def test_few_images_and_perfect_ones_do_not_ask_for_the_extreme():
    assert fit_temperature(np.empty((0, 5)), np.empty(0, dtype=np.int64)) == pytest.approx(1.0, abs=1e-2)
    perfect = 5.0 * np.eye(5)
    assert 1 / WIDEST < fit_temperature(perfect, np.arange(5)) <= 1.01
    assert fit_temperature(-perfect, np.arange(5)) > 1.0


@given(st.floats(1 / WIDEST, WIDEST), st.integers(0, 100))
def test_no_prediction_changes(temperature: float, seed: int):
    logits, labels = drawn(30, 1.0, seed)
    scaled = logits / temperature
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert (cross_entropy(logits, labels, temperature) >= 0).all()


def test_cross_entropy_is_that_of_torch():
    import torch

    logits, labels = drawn(20, 3.0)
    expected = torch.nn.functional.cross_entropy(
        torch.tensor(logits) / 1.7, torch.tensor(labels), reduction="none"
    )
    assert cross_entropy(logits, labels, 1.7) == pytest.approx(expected.numpy())


@pytest.mark.parametrize("images", [1, 2, 7, 100])
def test_halves_share_no_image_and_miss_none(images: int):
    first, second = halves(images)
    assert sorted([*first, *second]) == list(range(images))
    assert abs(len(first) - len(second)) <= 1


def test_the_loss_of_an_image_has_the_temperature_of_the_other_half():
    logits, labels = drawn(60, 3.0)
    losses = cross_fitted_losses(logits, labels)
    for fitted, compared in (halves(60), halves(60)[::-1]):
        temperature = fit_temperature(logits[fitted], labels[fitted])
        assert losses[compared] == pytest.approx(
            cross_entropy(logits[compared], labels[compared], temperature)
        )


def test_an_image_does_not_change_the_temperature_of_its_own_half():
    logits, labels = drawn(60, 3.0)
    first, second = halves(60)
    changed = logits.copy()
    changed[first[0]] = -changed[first[0]]
    before, after = (cross_fitted_losses(values, labels) for values in (logits, changed))
    assert (before[first[1:]] == after[first[1:]]).all()
    assert (before[second] != after[second]).any()


def test_losses_no_longer_depend_on_how_sure_a_network_sounds():
    logits, labels = drawn(400, 1.0)
    plain, loud = (float(cross_entropy(logits * factor, labels).mean()) for factor in (1.0, 5.0))
    assert loud > 1.5 * plain
    scaled, loud_scaled = (
        float(cross_fitted_losses(logits * factor, labels).mean()) for factor in (1.0, 5.0)
    )
    assert loud_scaled == pytest.approx(scaled, rel=0.02)
