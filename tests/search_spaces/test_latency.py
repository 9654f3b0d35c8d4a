"""Latencies as sums over modules: exact at what was measured, rising, and the same after JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Architecture, LatencyTable

DEPTH = 4
TABLE = LatencyTable(
    10.0, (("lora_rank", ((0, 0.0), (2, 0.5), (8, 0.75))), ("prompt_tokens", ((0, 0.0), (4, 0.25))))
)
SIZES = {"lora_rank": st.integers(0, 8), "prompt_tokens": st.integers(0, 4)}
ARCHITECTURES = st.fixed_dictionaries(
    {kind: st.lists(sizes, min_size=DEPTH, max_size=DEPTH) for kind, sizes in SIZES.items()}
).map(lambda sizes: Architecture.of(DEPTH, sizes))


def test_it_is_the_sum_over_layers():
    assert TABLE.latency(Architecture.empty(DEPTH)) == 10
    a = Architecture.of(DEPTH, {"lora_rank": [2, 0, 8, 2], "prompt_tokens": [0, 4, 0, 0]})
    assert TABLE.latency(a) == pytest.approx(10 + 0.5 + 0.75 + 0.5 + 0.25)


def test_between_measured_sizes_is_a_straight_line():
    a = Architecture.of(DEPTH, {"lora_rank": [5, 0, 0, 0], "prompt_tokens": [1, 0, 0, 0]})
    assert TABLE.latency(a) == pytest.approx(10 + 0.625 + 0.0625)


@given(ARCHITECTURES, ARCHITECTURES)
def test_what_covers_another_is_no_faster(a: Architecture, b: Architecture):
    either = Architecture.of(
        DEPTH, {kind: [max(pair) for pair in zip(a[kind], b[kind], strict=True)] for kind in SIZES}
    )
    assert TABLE.latency(either) >= max(TABLE.latency(a), TABLE.latency(b)) - 1e-12


@given(ARCHITECTURES, st.permutations(range(DEPTH)))
def test_layers_are_alike(a: Architecture, order: list[int]):
    moved = Architecture.of(DEPTH, {kind: [a[kind][i] for i in order] for kind in SIZES})
    assert TABLE.latency(moved) == TABLE.latency(a)  # exactly: a race compares costs


def test_it_goes_through_json():
    assert LatencyTable.from_dict(json.loads(json.dumps(TABLE.to_dict()))) == TABLE


@pytest.mark.parametrize(
    ("sizes", "words"),
    [({"adapter_dim": [1, 0, 0, 0]}, "adapter_dim"), ({"lora_rank": [9, 0, 0, 0]}, "up to 8, not 9")],
)
def test_what_it_does_not_reach_is_an_error(sizes: dict[str, list[int]], words: str):
    with pytest.raises(ValueError, match=words):
        TABLE.latency(Architecture.of(DEPTH, sizes))


@pytest.mark.parametrize("points", [((0, 0.0), (2, 0.5), (4, 0.4)), ((1, 0.5), (2, 0.6)), ((0, 0.0),)])
def test_a_table_that_does_not_rise_is_refused(points: tuple[tuple[int, float], ...]):
    with pytest.raises(ValueError, match="lora_rank"):
        LatencyTable(1.0, (("lora_rank", points),))
