"""The registry of methods: what each trains, and that it says where it is from."""

from typing import get_args

import pytest

from nas_peft.settings.methods import METHODS, Method
from nas_peft.settings.training_config import TrainingConfig


def test_every_name_is_a_method():
    assert set(METHODS) == set(get_args(Method))
    assert all(info.name == name for name, info in METHODS.items())
    assert len({info.label for info in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_each_has_a_paper_an_account_of_it_and_an_option_for_its_rate(name: str):
    info = METHODS[name]
    assert "arXiv" in info.paper
    assert info.taken_over.endswith(".")
    assert info.rate is None or info.rate in TrainingConfig.model_fields


def test_only_linear_probing_chooses_its_rate_by_itself():
    assert [name for name, info in METHODS.items() if info.rate is None] == ["linear"]
    assert METHODS["linear"].trains == "head"
