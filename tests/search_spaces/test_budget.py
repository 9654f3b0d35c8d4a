"""What a budget's text means, what it allows, and what is said when nothing fits."""

import re

import pytest

from search_spaces import (
    Architecture,
    BackboneShape,
    Budget,
    InputError,
    KindChoices,
    SearchSpace,
    count_params,
    load_space,
)

TEN, BASE = BackboneShape.vit(10, 2), BackboneShape.vit(768)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500k", 500_000),
        ("500K", 500_000),
        ("0.4M", 400_000),
        (".4m", 400_000),
        ("0.29M", 290_000),
        ("12000", 12_000),
        (" 12 k ", 12_000),
        ("0.5%", 429_993),  # 429,993.28 of ViT-B/16's 85,998,656
        ("100%", 85_998_656),
    ],
)
def test_what_a_text_means(text, expected):
    budget = Budget.parse(text, backbone_params=85_998_656)
    assert (budget.max_params, budget.count_head, budget.text) == (expected, False, text)


def test_shares_are_exact():
    assert Budget.parse("0.57%", backbone_params=10_000).max_params == 57


@pytest.mark.parametrize("text", ["", "k", "many", "-5k", "5G", "1e6", "5k%", "1,000", "0.5.1M", "nan", "٣k"])
def test_other_texts_are_refused(text):
    with pytest.raises(
        InputError, match=re.escape(f"the budget is {text!r}; give a number of parameters such as")
    ):
        Budget.parse(text, backbone_params=1000)


@pytest.mark.parametrize("text", ["0", "0.0M", "0.01%", "0.9"])
def test_less_than_one_parameter_is_refused(text):
    with pytest.raises(InputError, match=f"the budget '{text}' is less than one parameter"):
        Budget.parse(text, backbone_params=1000)


def test_a_limit_below_one_is_refused():
    with pytest.raises(InputError, match="max_params is 0; give a whole number from 1 up"):
        Budget(0, False, "0")


def test_the_head_counts_where_asked():
    a = Architecture.uniform(2, "lora_rank", 1)  # 2·4·10 = 80
    without, within = Budget(100, False, "100"), Budget(100, True, "100")
    assert (without.limit(30), within.limit(30)) == (100, 70)
    assert without.allows(a, TEN, 30)
    assert not within.allows(a, TEN, 30)
    assert within.allows(a, TEN, 20)
    assert not Budget(79, False, "79").allows(a, TEN, 0)


def test_feasible_exactly_from_the_smallest_subnet_on():
    space = load_space("noah-vtab", 12)
    smallest = count_params(space.smallest(), BASE)
    assert smallest == 3 * (768 + 4 * 768 + 2 * 768 + 1 + 768)
    Budget(smallest, False, "x").require_feasible(space, BASE, 0)
    Budget(smallest + 50, True, "x").require_feasible(space, BASE, 50)
    message = (
        f"smallest subnet of the space 'noah-vtab' has {smallest:,}; raise it to at least {smallest:,}, or "
        "choose a space with smaller sizes$"
    )
    with pytest.raises(InputError, match=message):
        Budget(smallest - 1, False, "x").require_feasible(space, BASE, 0)
    with pytest.raises(
        InputError, match=f"head 50, which counts; raise it to at least {smallest + 50:,}, .*leave the"
    ):
        Budget(smallest + 49, True, "x").require_feasible(space, BASE, 50)


def test_the_empty_architecture_does_not_make_a_budget_feasible():
    space = load_space("default", 12)
    Budget(768, False, "768").require_feasible(space, BASE, 0)  # one prompt in one layer
    with pytest.raises(
        InputError, match=r"the budget '767' is 767 parameters, but the smallest subnet .* has 768;"
    ):
        Budget(767, False, "767").require_feasible(space, BASE, 0)


def test_the_smallest_present_kind_need_not_be_the_first():
    space = SearchSpace(
        "s", 4, (("adapter_dim", KindChoices((0, 1))), ("lora_rank", KindChoices((1,), (0, 2))))
    )
    Budget(31, False, "31").require_feasible(space, TEN, 0)  # an adapter: 31, LoRA in two layers: 80
    with pytest.raises(InputError, match="has 31;"):
        Budget(30, False, "30").require_feasible(space, TEN, 0)
