"""Whole recipes: names, files, what wins over them, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.whole_recipes import RECIPE_OPTIONS, RECIPES
from search_spaces import InputError


def test_published_recipes_are_valid_and_given_options_win() -> None:
    for name, recipe in RECIPES.items():
        config = SearchConfig.of(dataset="digits", recipe=name)
        plain = SearchConfig.of(dataset="digits", **recipe.options)
        assert config.recipe == name
        assert config.recipes("subnet") == plain.recipes("subnet")
    (vtab,) = SearchConfig.of(dataset="digits", recipe="vtab").recipes("subnet")
    assert (vtab.epochs, vtab.lr, vtab.augmentation, vtab.drop_path) == (100, 1e-3, "none", 0.0)
    (plus,) = BaselinesConfig.of(dataset="digits", recipe="adapter-plus", epochs=3).recipes("subnet")
    assert (plus.epochs, plus.lr, plus.drop_path) == (3, 1e-3, 0.1)


def test_a_file_is_read_once_and_recorded(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: [4, 8]\nclass_balance: none,weighted\nmodule_dropout: 0.1\nsupernet_lr: 0.01\n")
    config = SearchConfig.of(dataset="digits", recipe=str(file), module_dropout=0.2)
    assert (config.epochs, config.class_balance) == ((4, 8), ("none", "weighted"))
    assert (config.module_dropout, config.supernet_lr) == ((0.2,), 0.01)
    file.unlink()
    assert SearchConfig.of(**yaml.safe_load(config.to_yaml())) == config


def test_a_plan_keeps_what_a_recipe_sets() -> None:
    config = SearchConfig.of(dataset="digits", recipe="vtab", time="auto")
    assert set(RECIPES["vtab"].options) <= set(config.fixed)
    assert set(RECIPE_OPTIONS) <= set(SearchConfig.model_fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 3\n", r"no option 'epoch'; did you mean 'epochs'\?"),
        ("dataset: digits\n", "sets 'dataset', which is no part of a recipe"),
        ("epochs: 0\n", "epochs is 0: give a whole number from 1 up"),
        ("", "sets nothing; write lines such as 'epochs: 24'"),
        ("epochs: [1\n", "correct the YAML there"),
        ("- 3\n", "holds no options"),
        (None, "neither a published recipe nor a file"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        SearchConfig.of(dataset="digits", recipe=str(file))
    assert "\n" not in str(caught.value)


def test_the_nearest_name_is_named_and_a_search_s_options_are_not_for_baselines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe is 'vtb'.*did you mean 'vtab'\?"):
        SearchConfig.of(dataset="digits", recipe="vtb")
    file = tmp_path / "mine.yaml"
    file.write_text("supernet_lr: 0.01\n")
    with pytest.raises(InputError, match="no option 'supernet_lr'"):
        BaselinesConfig.of(dataset="digits", recipe=str(file))
