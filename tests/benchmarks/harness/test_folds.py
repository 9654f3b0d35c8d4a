"""Folds of images."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.folds import folds_of


@given(counts=st.lists(st.integers(1, 13), min_size=1, max_size=6), folds=st.integers(2, 5))
def test_every_class_is_spread_evenly(counts: list[int], folds: int) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    fold = folds_of(labels, folds)
    for label in range(len(counts)):
        of_class = torch.bincount(fold[labels == label], minlength=folds)
        assert of_class.max() - of_class.min() <= 1
    assert fold.unique().numel() == min(folds, len(labels))
