"""What one module of each kind costs, and how kinds are registered."""

import pytest

from search_spaces import KINDS, Kind, register_kind


def test_costs_are_the_elements_of_the_tensors():
    d, size = 6, 5
    assert KINDS["prompt_tokens"].params(size, d) == 30  # 5×6
    assert KINDS["lora_rank"].params(size, d) == 5 * 6 + 18 * 5  # A 5×6, B 18×5
    assert KINDS["adapter_dim"].params(size, d) == 5 * 6 + 5 + 6 * 5 + 6  # down, its bias, up, its bias


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_absent_module_costs_nothing_and_larger_ones_more(name):
    costs = [KINDS[name].params(size, 64) for size in range(20)]
    assert costs[0] == 0
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("name", ["lora_rank", "depth"])
def test_a_taken_name_is_refused(name):
    before = dict(KINDS)
    with pytest.raises(ValueError, match=f"'{name}' is taken"):
        register_kind(Kind(name, "Other", lambda size, width: size))
    assert before == KINDS


def test_a_registered_kind_is_known(monkeypatch):
    monkeypatch.setattr("search_spaces.kinds.KINDS", known := {})
    kind = Kind("ssf", "SSF", lambda size, width: 2 * width * size)
    register_kind(kind)
    assert known == {"ssf": kind}
