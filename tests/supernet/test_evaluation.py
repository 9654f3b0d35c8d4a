"""Losses and hits, image by image."""

import pytest
import torch
import torch.nn.functional as F

from supernet import Evaluation, evaluate


@pytest.fixture(scope="module")
def small(plain, default_space, randomised):
    return randomised(plain(), default_space.largest())


@torch.no_grad()
def test_it_is_the_cross_entropy_and_the_hit_of_each_image(small, toy, preprocessing, default_space):
    images, labels = toy
    a = default_space.largest()
    result = evaluate(small, images, labels, preprocessing=preprocessing, architecture=a)
    logits = small(preprocessing.normalise(images), a)
    assert result.losses.shape == result.hits.shape == (40,)
    torch.testing.assert_close(result.losses, F.cross_entropy(logits, labels, reduction="none"))
    assert torch.equal(result.hits, logits.argmax(-1) == labels)
    assert 0 < result.accuracy < 1
    assert result.accuracy == pytest.approx(float((logits.argmax(-1) == labels).float().mean()))
    assert result.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_logits_are_kept_where_they_are_asked_for(small, toy, preprocessing):
    kept = evaluate(small, *toy, preprocessing=preprocessing, batch_size=7, keep_logits=True)
    assert kept.logits.dtype == torch.float32
    torch.testing.assert_close(
        F.cross_entropy(kept.logits, toy[1], reduction="none"), kept.losses, atol=1e-6, rtol=1e-6
    )
    assert evaluate(small, *toy, preprocessing=preprocessing).logits is None


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_batches_do_not_matter(small, toy, preprocessing, batch_size):
    whole = evaluate(small, *toy, preprocessing=preprocessing)
    parts = evaluate(small, *toy, preprocessing=preprocessing, batch_size=batch_size)
    torch.testing.assert_close(parts.losses, whole.losses, atol=1e-5, rtol=1e-5)
    assert torch.equal(parts.hits, whole.hits)


def test_the_architecture_matters(small, toy, preprocessing, default_space):
    whole = evaluate(small, *toy, preprocessing=preprocessing)
    none = evaluate(small, *toy, preprocessing=preprocessing, architecture=default_space.smallest())
    assert (whole.losses - none.losses).abs().max() > 1e-3


def test_standard_error():
    losses = torch.tensor([1.0, 2.0, 3.0, 6.0])
    result = Evaluation(losses, torch.tensor([True, False, False, False]))
    assert (result.loss, result.accuracy) == (3.0, 0.25)
    # deviations -2 -1 0 3, sum of squares 14, over 3, over 4
    assert result.loss_standard_error == pytest.approx((14 / 3 / 4) ** 0.5)
    assert Evaluation(losses[:1], torch.tensor([True])).loss_standard_error == 0.0


def test_each_class_counts_alike_in_the_balanced_accuracy():
    losses, labels = torch.zeros(5), torch.tensor([0, 0, 0, 3, 3])
    hits = torch.tensor([True, True, True, False, True])
    assert Evaluation(losses, hits, labels=labels).balanced_accuracy == pytest.approx((1 + 0.5) / 2)
    with pytest.raises(ValueError, match="needs the labels"):
        _ = Evaluation(losses, hits).balanced_accuracy


def test_an_evaluation_knows_its_labels(small, toy, preprocessing):
    found = evaluate(small, *toy, preprocessing=preprocessing)
    assert torch.equal(found.labels, toy[1])
    by_class = [found.hits[toy[1] == label].double().mean() for label in toy[1].unique()]
    assert found.balanced_accuracy == pytest.approx(float(torch.stack(by_class).mean()))
