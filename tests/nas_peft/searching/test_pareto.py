"""The front: nothing on it is beaten, and everything off it is."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.pareto import best_layers, pareto_front
from search_spaces import Architecture

laws = settings(derandomize=True, deadline=None, database=None, max_examples=80)
LOSSES = st.sampled_from([0.1, 0.2, 0.3, 0.4, math.inf])


def candidate(number: int, params: int, loss: float, dropped: bool = False) -> Candidate:
    proposal = Proposal(Architecture.empty(2), "sample")
    return Candidate(number, 0, proposal, params, 7 * params, loss, 0.0, 0.5, 5, dropped=dropped)


def cost(c: Candidate) -> float:
    return float(c.params)


candidates = st.lists(st.tuples(st.integers(1, 6), LOSSES, st.booleans()), max_size=12).map(
    lambda drawn: [candidate(i, *of) for i, of in enumerate(drawn)]
)


@laws
@given(candidates)
def test_everyone_is_on_the_front_or_beaten_by_somebody_on_it(drawn: list[Candidate]):
    front = pareto_front(drawn, cost)
    whole = [c for c in drawn if math.isfinite(c.loss) and not c.dropped]
    for c in whole:
        beaten = any(p.params <= c.params and p.loss <= c.loss for p in front if p is not c)
        assert (c in front) != beaten
    assert set(map(id, front)) <= set(map(id, whole))
    assert [c.params for c in front] == sorted({c.params for c in front})
    assert [c.loss for c in front] == sorted({c.loss for c in front}, reverse=True)


@laws
@given(candidates, st.integers(1, 8))
def test_layers_are_fronts_of_what_is_left(drawn: list[Candidate], at_least: int):
    found = best_layers(drawn, cost, at_least)
    assert len({c.number for c in found}) == len(found)
    whole = [c for c in drawn if math.isfinite(c.loss) and not c.dropped]
    assert len(found) >= min(at_least, len(whole))
    assert found[: len(pareto_front(drawn, cost))] == pareto_front(drawn, cost)


def test_of_equal_candidates_the_first_is_on_the_front():
    first, second = candidate(0, 3, 0.2), candidate(1, 3, 0.2)
    assert pareto_front([second, first], cost) == [first]
    assert pareto_front([replace(first, loss=0.3), second], cost) == [second]
