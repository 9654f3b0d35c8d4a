"""Class balance: the weights and priors of scikit-learn and of the formula, and balanced draws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from search_spaces import InputError
from supernet import Recipe
from supernet.class_balance import balanced_examples, class_weights, draw_row, image_of, log_priors

LABELS = torch.tensor([0] * 12 + [1] * 3 + [3] * 5)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_weights_are_those_of_scikit_learn(labels):
    found = class_weights(torch.tensor(labels), 8)
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=np.array(labels))
    assert found[present].numpy() == pytest.approx(expected)
    assert not found[sorted(set(range(8)) - set(labels))].any()
    assert float(found[torch.tensor(labels)].mean()) == pytest.approx(1.0)


def test_priors_are_the_shares_and_finite_without_images():
    shares = torch.tensor([12, 3, 1, 5]) / 21  # the empty class counts as one image
    assert log_priors(LABELS, 4).exp().tolist() == pytest.approx(shares.tolist())


def test_each_class_is_drawn_as_often_and_every_image_of_it():
    drawn = torch.zeros(4)
    images = torch.zeros(len(LABELS))
    for epoch in range(400):
        examples = balanced_examples(LABELS, torch.Generator().manual_seed(epoch))
        assert len(examples) == len(LABELS)
        chosen = image_of(examples, len(LABELS))
        drawn += torch.bincount(LABELS[chosen], minlength=4)
        images += torch.bincount(chosen, minlength=len(LABELS))
    # 8,000 draws; a standard deviation of 42 for a class
    assert drawn[2] == 0
    assert (drawn[[0, 1, 3]] - 8000 / 3).abs().max() < 200
    assert (images[12:15] - 8000 / 9).abs().max() < 150


def test_examples_of_one_image_are_told_apart():
    examples = balanced_examples(LABELS, torch.Generator().manual_seed(0))
    assert len(examples.unique()) == len(examples)
    chosen = image_of(examples, len(LABELS))
    for image in chosen.unique():
        repeats = examples[chosen == image] // len(LABELS)
        assert repeats.tolist() == list(range(len(repeats)))
        rows = draw_row(examples[chosen == image], len(LABELS))
        assert rows.tolist() == [(int(image) + k) % len(LABELS) for k in range(len(repeats))]


def test_an_unknown_choice_is_refused():
    message = "class_balance is 'balanced'; give one of none, weighted, sampled, logit-adjusted"
    with pytest.raises(InputError, match=message):
        Recipe(1, 0.1, class_balance="balanced")
