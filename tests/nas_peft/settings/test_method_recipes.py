"""The recipes of methods and of the supernet that a configuration stands for."""

from typing import Any

import pytest

import supernet
from nas_peft.settings.lists import CLASS_BALANCES
from nas_peft.settings.methods import METHODS
from nas_peft.settings.search_config import SearchConfig


@pytest.mark.parametrize(
    ("method", "epochs", "lr"),
    [("supernet", 3, 0.1), ("subnet", 4, 0.2), ("full", 4, 0.4)],
)
def test_each_method_has_its_recipe(method: str, epochs: int, lr: float):
    config = SearchConfig.of(
        dataset="digits",
        supernet_epochs=3,
        supernet_lr=0.1,
        epochs=4,
        lr=0.2,
        linear_epochs=5,
        full_lr=0.4,
        batch_size=7,
        weight_decay=0.5,
    )
    recipe = config.supernet_recipes()[0] if method == "supernet" else config.method_recipe(method)
    assert (recipe.epochs, recipe.lr) == (epochs, lr)
    assert (recipe.batch_size, recipe.weight_decay) == (7, 0.5)
    probe = config.linear_recipe(0.3)
    assert (probe.epochs, probe.lr, probe.batch_size, probe.weight_decay) == (5, 0.3, 7, 0.5)


def test_the_defaults_are_the_registry_s():
    config = SearchConfig.of(dataset="digits")
    for name, method in METHODS.items():
        if method.lr is not None:
            recipe = config.method_recipe(name)
            assert (recipe.lr, recipe.weight_decay) == (method.lr, method.weight_decay)


def test_rates_are_rounded_products():
    config = SearchConfig.of(dataset="digits", lr_grid="0.3,1,3")
    assert [r.lr for r in config.recipes("full")] == [9e-5, 3e-4, 9e-4]
    (only,) = SearchConfig.of(dataset="digits", lr=0.123456789).recipes("subnet")
    assert only.lr == 0.123456789


def test_searched_subnets_may_start_from_inherited_weights_for_fewer_epochs():
    config = SearchConfig.of(dataset="digits", lr_grid="1,3", start="pretrained,inherited")
    assert config.start == ("pretrained", "inherited")
    found = [(recipe.start, recipe.epochs, recipe.lr) for recipe in config.searched_recipes()]
    assert found == [
        ("pretrained", 8, 5e-3),
        ("pretrained", 8, 1.5e-2),
        ("inherited", 4, 5e-3),
        ("inherited", 4, 1.5e-2),
    ]
    assert all(recipe.start == "pretrained" for recipe in config.recipes("subnet"))
    alone = SearchConfig.of(dataset="digits", epochs="8,24", start="inherited", inherited_epochs="2,6")
    assert [(r.start, r.epochs) for r in alone.searched_recipes()] == [("inherited", 2), ("inherited", 6)]


def test_a_method_s_own_recipe_has_the_first_of_each_list_and_linear_probes_have_neither():
    config = SearchConfig.of(dataset="digits", epochs="3,9", augmentation="crop,none", label_smoothing=0.1)
    own = config.method_recipe("full")
    assert (own.epochs, own.augmentation, own.label_smoothing) == (3, "crop", 0.1)
    assert [(r.epochs, r.augmentation) for r in config.recipes("full")] == [
        (3, "crop"), (3, "none"), (9, "crop"), (9, "none")
    ]  # fmt: skip
    for head in (config.linear_recipe(0.1), config.head_recipe()):
        assert head is not None
        assert (head.augmentation, head.label_smoothing) == ("none", 0.0)


def test_the_head_is_trained_first_unless_for_no_epochs():
    config = SearchConfig.of(dataset="digits", head_epochs=3, head_lr=0.2, batch_size=7, weight_decay=0.5)
    head = config.head_recipe()
    assert head is not None
    assert (head.epochs, head.lr, head.batch_size, head.weight_decay) == (3, 0.2, 7, 0.5)
    assert SearchConfig.of(dataset="digits", head_epochs=0).head_recipe() is None


def test_an_unknown_method_has_none():
    with pytest.raises(KeyError):
        SearchConfig.of(dataset="digits").method_recipe("prompt")


@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ({}, 4),
        ({"epochs": 100}, 50),
        ({"epochs": 1}, 1),
        ({"no_retrain": True}, 32),
        ({"epochs": 100, "supernet_epochs": 7}, 7),
        ({"supernet_epochs": "7"}, 7),
    ],
)
def test_the_supernet_has_half_of_the_epochs_unless_told_otherwise(values: dict[str, Any], epochs: int):
    (recipe,) = SearchConfig.of(dataset="digits", **values).supernet_recipes()
    assert recipe.epochs == epochs


def test_the_supernet_may_have_several_lengths_to_choose_from():
    config = SearchConfig.of(dataset="digits", supernet_epochs=" 4, 16", supernet_lr=1e-3)
    assert config.supernet_epochs == (4, 16)
    assert [(r.epochs, r.lr) for r in config.supernet_recipes()] == [(4, 1e-3), (16, 1e-3)]


def test_the_supernet_has_the_first_augmentation_unless_told_otherwise():
    config = SearchConfig.of(dataset="digits", epochs="8,24", augmentation="crop,none", label_smoothing=0.1)
    (recipe,) = config.supernet_recipes()
    assert (recipe.epochs, recipe.augmentation, recipe.label_smoothing) == (4, "crop", 0.1)
    several = SearchConfig.of(dataset="digits", supernet_epochs="4,16", supernet_augmentation="none,strong")
    assert [(r.epochs, r.augmentation) for r in several.supernet_recipes()] == [
        (4, "none"), (4, "strong"), (16, "none"), (16, "strong")
    ]  # fmt: skip


def test_every_choice_of_a_recipe_is_a_list_whose_values_are_combined():
    lists = {"class_balance": "none,weighted", "weight_decay": "1e-4,0.1", "drop_path": "0,0.1"}
    config = SearchConfig.of(dataset="digits", module_dropout=0.2, **lists)
    assert config.several_recipes
    recipes = config.recipes("subnet")
    found = [(r.class_balance, r.weight_decay, r.drop_path, r.module_dropout) for r in recipes]
    assert found == [
        (balance, decay, rate, 0.2)
        for balance in ("none", "weighted")
        for decay in (1e-4, 0.1)
        for rate in (0.0, 0.1)
    ]
    # a penalty takes the place of weight decay, and only modules have dropout of modules
    assert {(r.weight_decay, r.module_dropout) for r in config.recipes("l2-sp")} == {(0.0, 0.0)}
    assert len(config.recipes("l2-sp")) == 4
    (of_supernet,) = config.supernet_recipes()
    assert (of_supernet.class_balance, of_supernet.module_dropout) == ("none", 0.2)
    two = SearchConfig.of(dataset="digits", supernet_class_balance="weighted,none").supernet_recipes()
    assert [r.class_balance for r in two] == ["weighted", "none"]
    assert CLASS_BALANCES == supernet.class_balance.CLASS_BALANCES
