"""Candidates: their dict form and their order."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.searching.candidate import Candidate, Proposal
from search_spaces import Architecture

DEPTH = 3
sizes = st.lists(st.integers(0, 64), min_size=DEPTH, max_size=DEPTH)
architectures = st.builds(
    lambda a, b, c: Architecture.of(DEPTH, {"prompt_tokens": a, "lora_rank": b, "adapter_dim": c}),
    sizes,
    sizes,
    sizes,
)
finite = st.floats(0, 1e6)
candidates = st.builds(
    Candidate,
    number=st.integers(0, 10_000),
    generation=st.integers(0, 100),
    proposal=st.builds(
        Proposal,
        architectures,
        st.sampled_from(["reference", "sample", "mutation", "crossover"]),
        st.lists(st.integers(0, 99), max_size=2).map(tuple),
    ),
    params=st.integers(0, 10**9),
    loss=finite,
    loss_standard_error=finite,
    accuracy=st.floats(0, 1),
    images=st.integers(1, 10_000),
)


@settings(derandomize=True, deadline=None, database=None, max_examples=30)
@given(candidates)
def test_a_candidate_survives_json_bit_for_bit(candidate: Candidate):
    assert Candidate.from_dict(json.loads(json.dumps(candidate.to_dict(), allow_nan=False))) == candidate


def test_an_infinite_loss_survives_the_dict():
    candidate = Candidate(3, 1, Proposal(Architecture.empty(2), "sample"), 0, 0, math.inf, 0.0, 0.1, 5)
    assert Candidate.from_dict(candidate.to_dict()) == candidate


def scored(number: int, loss: float, params: int) -> Candidate:
    return Candidate(number, 0, Proposal(Architecture.empty(2), "sample"), params, 7, loss, 0.0, 0.5, 5)


def test_the_order_is_loss_then_parameters_then_number():
    in_order = [scored(7, 0.1, 90), scored(5, 0.2, 10), scored(2, 0.2, 20), scored(4, 0.2, 20)]
    in_order.append(scored(0, math.inf, 1))
    assert sorted(in_order[2:] + in_order[:2], key=Candidate.rank_key) == in_order


def test_accuracy_does_not_rank():
    worse = Candidate(0, 0, Proposal(Architecture.empty(2), "sample"), 5, 7, 0.3, 0.0, 0.9, 5)
    better = Candidate(1, 0, Proposal(Architecture.empty(2), "sample"), 5, 7, 0.2, 0.0, 0.1, 5)
    assert min(worse, better, key=Candidate.rank_key) is better
