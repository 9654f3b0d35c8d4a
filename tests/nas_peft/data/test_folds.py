"""Folds share out a part, evenly in size and by class."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.data.folds import domain_folds, others, stratified_folds
from search_spaces import InputError

laws = settings(derandomize=True, deadline=None, database=None, max_examples=50)


@laws
@given(st.lists(st.integers(0, 5), min_size=8, max_size=60), st.integers(2, 8), st.integers(0, 99))
def test_every_image_is_left_out_once_and_classes_are_even(classes: list[int], number: int, seed: int):
    labels = torch.tensor(classes)
    folds = stratified_folds(labels, number, np.random.default_rng(seed))
    assert sorted(torch.cat(folds).tolist()) == list(range(len(labels)))
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in set(classes):
        counts = [int((labels[fold] == label).sum()) for fold in folds]
        assert max(counts) - min(counts) <= 1
    for i, fold in enumerate(folds):
        kept = others(folds, i)
        assert sorted(torch.cat([kept, fold]).tolist()) == list(range(len(labels)))
        assert kept.tolist() == sorted(kept.tolist())


def test_equal_generators_give_equal_folds_and_others_do_not():
    labels = torch.arange(40) % 4
    first, same, other = (
        [fold.tolist() for fold in stratified_folds(labels, 5, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    )
    assert first == same
    assert first != other


def test_what_is_too_small_is_refused():
    with pytest.raises(ValueError, match="fewer than 2 leave nothing out"):
        stratified_folds(torch.zeros(5, dtype=torch.int64), 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="2 images cannot make 3 folds"):
        stratified_folds(torch.zeros(2, dtype=torch.int64), 3, np.random.default_rng(0))


def test_domains_are_left_out_by_name():
    domains = ["b", "a", None, "b", "a", "a"]
    labels = torch.tensor([0, 0, 1, 1, 1, 0])
    found = domain_folds(domains, labels)
    assert {name: indices.tolist() for name, indices in found.items()} == {"a": [1, 4, 5], "b": [0, 3]}
    assert domain_folds(["a", None, "a"], labels[:3]) == {}
    with pytest.raises(InputError, match="1 classes are all in the domain 'a'"):
        domain_folds(["a", "b"], torch.tensor([0, 1]))
