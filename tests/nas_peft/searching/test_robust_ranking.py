"""The order of candidates in a search for robust subnets."""

from __future__ import annotations

import math

from nas_peft.searching.candidate import Candidate, Proposal, cost_of
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.robust_ranking import RobustRanking, by_loss
from search_spaces import Architecture


def candidate(number: int, loss: float, shifted: float | None, params: int = 10) -> Candidate:
    proposal = Proposal(Architecture.uniform(2, "lora_rank", 1 + number), "sample")
    return Candidate(number, 0, proposal, params, 1, loss, 0.0, 0.5, 8, shifted_loss=shifted)


FIELD = [
    candidate(0, 0.50, 2.0),
    candidate(1, 0.54, 1.0),
    candidate(2, 0.56, 0.1),  # beyond the margin
    candidate(3, 0.52, 1.0, params=5),
    candidate(4, math.inf, None),
    candidate(5, 0.90, 0.05),
]


def test_within_the_margin_the_shifted_loss_decides_then_the_loss():
    assert [c.number for c in RobustRanking(0.05)(FIELD)] == [3, 1, 0, 2, 5, 4]
    assert [c.number for c in RobustRanking(0.05)(FIELD[::-1])] == [3, 1, 0, 2, 5, 4]
    assert [c.number for c in RobustRanking(1.0)(FIELD)] == [5, 2, 3, 1, 0, 4]
    assert [c.number for c in RobustRanking(0.0)(FIELD)] == [0, 3, 1, 2, 5, 4]


def test_without_shifted_losses_the_order_is_that_of_the_loss():
    plain = [candidate(n, loss, None) for n, loss in enumerate((0.3, 0.1, math.inf))]
    assert RobustRanking(0.05)(plain) == by_loss(plain)


def test_the_front_is_of_both_losses():
    front = pareto_front(FIELD, lambda c: cost_of(c, "shifted_loss"))
    assert [c.number for c in front] == [5, 2, 3, 0]


def test_a_candidate_keeps_its_shifted_scores_and_others_have_no_such_fields():
    assert Candidate.from_dict(FIELD[1].to_dict()) == FIELD[1]
    assert "shifted_loss" not in FIELD[4].to_dict()
    assert cost_of(FIELD[4], "shifted_loss") == math.inf
