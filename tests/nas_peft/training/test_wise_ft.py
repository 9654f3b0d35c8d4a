"""The line between a network before and after its fine-tuning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.training.val_score import ValScore
from nas_peft.training.wise_ft import ALPHAS, choose_alpha, interpolate

repeatable = settings(derandomize=True, deadline=None, database=None)
finite = st.floats(-(2.0**60), 2.0**60, width=32)
vectors = st.lists(finite, min_size=3, max_size=3).map(torch.tensor)


@repeatable
@given(vectors, vectors)
def test_the_ends_of_the_line_are_the_networks_themselves(start: torch.Tensor, tuned: torch.Tensor):
    assert torch.equal(interpolate({"a": start}, {"a": tuned}, 0.0)["a"], start)
    assert torch.equal(interpolate({"a": start}, {"a": tuned}, 1.0)["a"], tuned)


@repeatable
@given(vectors, vectors, st.sampled_from(ALPHAS))
def test_points_of_the_line(start: torch.Tensor, tuned: torch.Tensor, alpha: float):
    found = interpolate({"a": start}, {"a": tuned}, alpha)["a"]
    expected = (1 - alpha) * start.double() + alpha * tuned.double()
    scale = float(torch.maximum(start.abs().max(), tuned.abs().max()))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 * scale)


@repeatable
@given(vectors, st.sampled_from(ALPHAS))
def test_the_line_from_a_network_to_itself_is_a_point(tensor: torch.Tensor, alpha: float):
    assert torch.equal(interpolate({"a": tensor}, {"a": tensor}, alpha)["a"], tensor)


def test_tables_are_those_of_the_tuned_network():
    start, tuned = {"index": torch.tensor([1])}, {"index": torch.tensor([2])}
    assert torch.equal(interpolate(start, tuned, 0.3)["index"], tuned["index"])


def test_different_networks_have_no_line():
    with pytest.raises(ValueError, match="only one has 'b'"):
        interpolate({"a": torch.ones(1)}, {"a": torch.ones(1), "b": torch.ones(1)}, 0.5)


def test_the_grid():
    assert ALPHAS == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


def test_alpha_is_the_best_on_validation_data():
    scores = {
        0.0: ValScore(0.5, 0.1),
        0.5: ValScore(0.9, 0.3),
        0.7: ValScore(0.9, 0.2),
        1.0: ValScore(0.8, 0.1),
    }
    assert choose_alpha(scores) == 0.7
    level = {alpha: ValScore(0.9, 0.2) for alpha in ALPHAS}
    assert choose_alpha(level) == 1.0
