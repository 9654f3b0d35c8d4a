"""Candidates are scored with the supernet's weights, by loss on the part that they are given."""

import math

import pytest
import torch

from nas_peft.candidate import Candidate, Proposal
from nas_peft.inherited import InheritedEvaluator
from nas_peft.run_inputs import RunInputs
from search_spaces import Architecture, count_params
from supernet import Supernet, evaluate

PROPOSALS = [
    Proposal(Architecture.uniform(8, "lora_rank", 2), "reference"),
    Proposal(Architecture.of(8, {"prompt_tokens": [0, 4] * 4}), "mutation", (0,)),
    Proposal(Architecture.of(8, {"adapter_dim": [1] * 8, "lora_rank": [0] * 7 + [4]}), "crossover", (0, 1)),
]


@pytest.fixture
def evaluator(tiny_inputs: RunInputs) -> InheritedEvaluator:
    capacity = tiny_inputs.space.largest()
    supernet = Supernet(tiny_inputs.backbone.model, capacity, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in supernet.layers.parameters():  # at the start modules without prompts have no effect
            value.copy_(0.05 * torch.randn(value.shape, generator=generator))
    return InheritedEvaluator(supernet, tiny_inputs.dataset.val, tiny_inputs.preprocessing)


def score(evaluator: InheritedEvaluator, proposals: list[Proposal] = PROPOSALS) -> list[Candidate]:
    return evaluator.evaluate(proposals, generation=2, first_number=40)


def test_every_proposal_is_scored_in_order(evaluator: InheritedEvaluator):
    ticks: list[int] = []
    found = evaluator.evaluate(PROPOSALS, generation=2, first_number=40, on_candidate=lambda: ticks.append(1))
    assert [c.proposal for c in found] == PROPOSALS
    assert [c.number for c in found] == [40, 41, 42]
    assert {c.generation for c in found} == {2}
    assert {c.images for c in found} == {len(evaluator.part)}
    assert [c.params for c in found] == [
        count_params(p.architecture, evaluator.supernet.shape) for p in PROPOSALS
    ]
    assert len(ticks) == 3


def test_the_score_is_that_of_the_extracted_subnet(evaluator: InheritedEvaluator):
    for candidate in score(evaluator):
        subnet = evaluator.supernet.extract(candidate.architecture).eval()
        alone = evaluate(
            subnet, evaluator.part.images, evaluator.part.labels, preprocessing=evaluator.preprocessing
        )
        assert candidate.loss == pytest.approx(alone.loss, rel=1e-5)
        assert candidate.loss_standard_error == pytest.approx(alone.loss_standard_error, rel=1e-4)
        assert candidate.accuracy == pytest.approx(alone.accuracy)


def test_a_score_does_not_depend_on_its_company(evaluator: InheritedEvaluator):
    together = score(evaluator)
    alone = [score(evaluator, [proposal])[0] for proposal in reversed(PROPOSALS)][::-1]
    assert [c.loss for c in together] == [c.loss for c in alone]
    assert len({c.loss for c in together}) == 3


def test_an_overflow_scores_infinity(evaluator: InheritedEvaluator):
    with torch.no_grad():
        evaluator.supernet.head.weight.fill_(torch.inf)
    for candidate in score(evaluator):
        assert candidate.loss == math.inf
        assert candidate.loss_standard_error == 0.0
