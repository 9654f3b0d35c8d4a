"""Baselines by name: what all are, mistakes, and their modules."""

import pytest

from nas_peft.settings.baselines import BASELINES, baseline_names
from search_spaces import Architecture, InputError


def test_all_are_all_but_noah_which_may_follow():
    names = [name for name in BASELINES if name != "noah"]
    assert baseline_names(["all"]) == tuple(names)
    assert baseline_names(["all", "noah"]) == (*names, "noah")
    assert baseline_names(["none"]) == ()
    assert baseline_names(["lora", "linear"]) == ("lora", "linear")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lp_ft", "unknown baseline 'lp_ft'; did you mean 'lp-ft'"),
        ("linear,linear", "the baseline 'linear' is given twice"),
        ("all,lora", "the baseline 'lora' is given twice"),
        ("linear,none", "unknown baseline 'none'"),
    ],
)
def test_mistakes_are_named(text: str, message: str):
    with pytest.raises(InputError, match=message):
        baseline_names(text.split(","))


def test_modules_are_in_every_layer_that_can_have_them():
    assert BASELINES["lora"].architecture(3) == Architecture.uniform(3, "lora_rank", 8)
    assert BASELINES["vpt-shallow"].architecture(3)["shallow_prompt_tokens"] == (50, 0, 0)
    assert BASELINES["full"].architecture(3) == Architecture.empty(3)
    both = dict.fromkeys(("convpass_dim_attention", "convpass_dim_mlp"), (8, 8, 8))
    assert BASELINES["convpass"].architecture(3) == Architecture.of(3, both)
