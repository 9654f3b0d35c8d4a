"""Candidates are scored with the supernet's weights, by loss on images that it has not seen."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas_peft.data import Part
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Fold, Found, LocalScorer
from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.generation import Scored
from search_spaces import Architecture, count_flops, count_params
from supernet import Supernet, evaluate

PROPOSALS = [
    Proposal(Architecture.uniform(8, "lora_rank", 2), "reference"),
    Proposal(Architecture.of(8, {"prompt_tokens": [0, 4] * 4}), "mutation", (0,)),
    Proposal(Architecture.of(8, {"adapter_dim": [1] * 8, "lora_rank": [0] * 7 + [4]}), "crossover", (0, 1)),
]


@pytest.fixture(scope="module")
def supernet(tiny_inputs: SearchInputs) -> Supernet:
    supernet = Supernet(tiny_inputs.backbone.model, tiny_inputs.space.largest(), 3, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in supernet.layers.parameters():  # at the start modules without prompts have no effect
            value.copy_(0.05 * torch.randn(value.shape, generator=generator))
    return supernet


@pytest.fixture
def evaluator(tiny_inputs: SearchInputs, supernet: Supernet) -> InheritedEvaluator:
    return evaluator_of(tiny_inputs, [Fold(supernet, tiny_inputs.dataset.val)])


def evaluator_of(inputs: SearchInputs, folds: list[Fold], *, racing: bool = False) -> InheritedEvaluator:
    return InheritedEvaluator(
        LocalScorer(folds, inputs.preprocessing),
        shape=inputs.backbone.shape,
        classes=3,
        racing=racing,
        seed=0,
    )


def score(evaluator: InheritedEvaluator, proposals: list[Proposal] = PROPOSALS) -> list[Candidate]:
    return evaluator.evaluate(proposals, generation=2, first_number=40).candidates


def test_every_proposal_is_scored_in_order(evaluator: InheritedEvaluator, tiny_inputs: SearchInputs):
    ticks: list[int] = []
    scored = evaluator.evaluate(
        PROPOSALS, generation=2, first_number=40, on_candidate=lambda: ticks.append(1)
    )
    found, shape = scored.candidates, tiny_inputs.backbone.shape
    assert [c.proposal for c in found] == PROPOSALS
    assert [c.number for c in found] == [40, 41, 42]
    assert {c.generation for c in found} == {2}
    assert {c.images for c in found} == {len(tiny_inputs.dataset.val)}
    assert [c.params for c in found] == [count_params(p.architecture, shape) for p in PROPOSALS]
    assert [c.flops for c in found] == [count_flops(p.architecture, shape, 3) for p in PROPOSALS]
    assert scored.losses.shape == (3, len(tiny_inputs.dataset.val))
    assert [c.loss for c in found] == scored.losses.astype(np.float64).mean(axis=1).tolist()
    assert len(ticks) == 3


def test_the_score_is_that_of_the_extracted_subnet(
    evaluator: InheritedEvaluator, supernet: Supernet, tiny_inputs: SearchInputs
):
    val = tiny_inputs.dataset.val
    for candidate in score(evaluator):
        subnet = supernet.extract(candidate.architecture).eval()
        alone = evaluate(subnet, val.images, val.labels, preprocessing=tiny_inputs.preprocessing)
        assert candidate.loss == pytest.approx(alone.loss, rel=1e-5)
        assert candidate.loss_standard_error == pytest.approx(alone.loss_standard_error, rel=1e-4)
        assert candidate.accuracy == pytest.approx(alone.accuracy)


def test_each_fold_is_scored_by_the_supernet_that_has_not_seen_it(
    supernet: Supernet, tiny_inputs: SearchInputs
):
    val, other = tiny_inputs.dataset.val, supernet.extract(supernet.capacity)
    with torch.no_grad():
        other.head.weight.add_(0.3)
    first, second = val.take(torch.arange(0, 5)), val.take(torch.arange(5, len(val)))
    folds = [Fold(supernet, first), Fold(other, second)]
    (candidate,) = score(evaluator_of(tiny_inputs, folds), PROPOSALS[:1])
    a = PROPOSALS[0].architecture
    losses = [
        evaluate(f.supernet, f.part.images, f.part.labels, preprocessing=tiny_inputs.preprocessing,
                 architecture=a).losses
        for f in folds
    ]  # fmt: skip
    assert candidate.loss == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)
    assert candidate.images == len(val)


def test_an_overflow_scores_infinity_and_stops_at_once(supernet: Supernet, tiny_inputs: SearchInputs):
    broken = supernet.extract(supernet.capacity)
    with torch.no_grad():
        broken.head.weight.fill_(torch.inf)
    racing = evaluator_of(tiny_inputs, [Fold(broken, tiny_inputs.dataset.val)], racing=True)
    for candidate in score(racing):
        assert candidate.loss == math.inf
        assert candidate.loss_standard_error == 0.0
        assert not candidate.dropped
        assert candidate.images < len(tiny_inputs.dataset.val)


class MadeUp:
    """Losses without a network: each architecture its own mean, each image its own difficulty."""

    sizes = (300, 100)

    def __init__(self, means: dict[Architecture, float]) -> None:
        self.means = means
        self.seen: list[tuple[int, int]] = []

    def score(self, fold: int, indices: np.ndarray, architectures: list[Architecture]) -> Found:
        self.seen.append((len(architectures), len(indices)))
        difficulty = np.random.default_rng(fold).random(self.sizes[fold])[indices]
        rows = [self.means[a] + difficulty for a in architectures]
        noise = [np.random.default_rng(int(1000 * self.means[a])).normal(0, 0.1, 300) for a in architectures]
        losses = np.array([row + n[indices] for row, n in zip(rows, noise, strict=True)], dtype=np.float32)
        return Found(losses, losses < 1, float(len(architectures)))


def raced(
    inputs: SearchInputs, means: dict[Architecture, float], *, racing: bool = True, incumbents: tuple = ()
) -> tuple[Scored, MadeUp]:
    scorer = MadeUp(means)
    evaluator = replace(evaluator_of(inputs, [], racing=racing), scorer=scorer)
    proposals = [Proposal(a, "sample") for a in means]
    return evaluator.evaluate(proposals, generation=0, first_number=0, incumbents=incumbents), scorer


def test_racing_stops_who_is_behind_and_estimates_the_rest(tiny_inputs: SearchInputs):
    small = [Architecture.of(8, {"lora_rank": [rank] + [0] * 7}) for rank in (1, 2, 4, 8)]
    means = dict(zip(small, (0.5, 0.4, 0.9, 1.5), strict=True))  # the two largest are worst
    scored, scorer = raced(tiny_inputs, means)
    whole, _ = raced(tiny_inputs, means, racing=False)
    assert [c.dropped for c in scored.candidates] == [False, False, True, True]
    assert [c.images for c in scored.candidates] == [400, 400, 26, 26]
    assert scorer.seen[:2] == [(4, 19), (4, 7)]  # a sixteenth of each fold, rounded up
    for raced_one, full in zip(scored.candidates, whole.candidates, strict=True):
        assert raced_one.loss == pytest.approx(full.loss, abs=0.0 if not raced_one.dropped else 0.05)
    assert np.isnan(scored.losses[2, 26:]).all()
    assert np.isfinite(scored.losses[:, :26]).all()


def test_incumbents_race_along(tiny_inputs: SearchInputs):
    small, large = (Architecture.of(8, {"lora_rank": [rank] + [0] * 7}) for rank in (1, 8))
    first, _ = raced(tiny_inputs, {small: 0.2})
    incumbents = tuple(zip(first.candidates, first.losses, strict=True))
    (alone,) = raced(tiny_inputs, {large: 0.6})[0].candidates
    (dropped,) = raced(tiny_inputs, {large: 0.6}, incumbents=incumbents)[0].candidates
    assert not alone.dropped
    assert dropped.dropped
    assert dropped.loss == pytest.approx(alone.loss, abs=0.05)
    assert dropped.loss != alone.loss


def test_shifted_folds_are_scored_apart_and_count_alike(tiny_inputs: SearchInputs, supernet: Supernet):
    """The loss on unchanged images is what it is without them; a small fold counts as much as a large one."""
    val = tiny_inputs.dataset.val
    folds = [
        Fold(supernet, part) for part in (val, Part(255 - val.images, val.labels), val.take(torch.arange(2)))
    ]
    plain = score(evaluator_of(tiny_inputs, folds[:1]))
    found = score(replace(evaluator_of(tiny_inputs, folds), shifted_folds=2))
    for one, other in zip(found, plain, strict=True):
        assert replace(one, shifted_loss=None, shifted_accuracy=None) == other
        expected = [
            evaluate(
                supernet,
                fold.part.images,
                fold.part.labels,
                architecture=one.architecture,
                preprocessing=tiny_inputs.preprocessing,
            )
            for fold in folds[1:]
        ]
        assert one.shifted_loss == pytest.approx(np.mean([e.loss for e in expected]), rel=1e-5)
        assert one.shifted_accuracy == pytest.approx(np.mean([e.accuracy for e in expected]))
