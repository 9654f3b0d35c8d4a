"""The configuration: what is wrong with it is said."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import supernet
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.lists import AUGMENTATIONS, STARTS, UNCROPPED
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError
from supernet import DEFAULT_BACKBONE, Execution


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("epochs", 0, "give a whole number from 1 up, or several separated by commas, such as 4,16"),
        ("epochs", "8,", "give a whole number from 1 up"),
        ("epochs", "8,8", "give each number of epochs once"),
        (
            "augmentation",
            "crops",
            "unknown augmentation 'crops'; did you mean 'crop'? give one of none, crop, ",
        ),
        (
            "augmentation",
            "",
            "give one of none, crop, crop-flip, strong, mixup, cutmix, augmix, or several separated",
        ),
        ("augmentation", "none,none", "give each augmentation once"),
        ("start", "scratch", "unknown start 'scratch'; give one of pretrained, inherited, or several"),
        ("supernet_augmentation", "none,flip", "unknown augmentation 'flip'"),
        ("label_smoothing", 1, "less than 1"),
        ("label_smoothing", -0.1, "greater than or equal to 0"),
        ("seed", -1, "greater than or equal to 0"),
        ("shots", 0, "greater than or equal to 1"),
        ("population", 1, "greater than or equal to 2"),
        ("lr", 0.0, "greater than 0"),
        ("weight_decay", -1e-4, "greater than or equal to 0"),
        ("mutation_probability", 1.5, "less than or equal to 1"),
        ("generations", "many", "valid integer"),
        ("count_head", "perhaps", "valid boolean"),
        ("supernet_lr", float("nan"), "finite number"),
        ("chooser", "one-per-batch", "'one-per-image', 'one-path', 'groups' or 'sandwich'"),
        ("image_size", "32x", "give pixels, such as 48 or 32x48 (height first)"),
        ("image_size", "0", "give pixels, such as 48 or 32x48 (height first)"),
        ("groups", 0, "greater than or equal to 1"),
        ("precision", "fp16", "'auto', 'fp32', 'tf32' or 'bf16'"),
        ("micro_batches", 0, "greater than or equal to 1"),
        ("data_parallel", 0, "greater than or equal to 1"),
        ("bitfit_lr", 0, "greater than 0"),
        ("lr_grid", "", "give comma-separated factors above 0, such as 0.3,1,3"),
        ("lr_grid", "1;3", "give comma-separated factors above 0, such as 0.3,1,3"),
        ("lr_grid", "0,1", "factors above 0"),
        ("lr_grid", "inf", "factors above 0"),
        ("lr_grid", "1,3,1.0", "give each factor once"),
        ("soup", 1, "give 0 for none, or 2 or more trainings to average"),
        ("soup", -1, "greater than or equal to 0"),
        ("baselines", "lienar", "unknown baseline 'lienar'; did you mean 'linear'?"),
        ("baselines", "linear,none", "unknown baseline 'none'"),
        ("baselines", "full,full", "the baseline 'full' is given twice; give each once"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_what_is_allowed(field: str, value: Any, allowed: str):
    pattern = f"^{field} is {re.escape(repr(value))}: .*{re.escape(allowed)}"
    with pytest.raises(InputError, match=pattern) as caught:
        SearchConfig.of(**{"dataset": "digits", field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "guess"),
    [({"dataset": "digits", "epoch": 3}, "'epoch'; did you mean 'epochs'?"), ({"datset": "x"}, "'dataset'?")],
)
def test_a_wrong_name_is_named_with_the_nearest_one_also_where_it_leaves_a_gap(values, guess):
    with pytest.raises(InputError, match=f"^there is no option .*{re.escape(guess)}$"):
        SearchConfig.of(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"groups": 4, "chooser": "one-per-image"},
            "groups is 4, which only the chooser 'groups' reads, and the chooser is 'one-per-image'; "
            "give --chooser groups, or leave groups out",
        ),
        (
            {"distil": True, "chooser": "one-path"},
            "distil needs the chooser 'sandwich', and the chooser is 'one-path'; "
            "give --chooser sandwich, or leave distil out",
        ),
        (
            {"batch_size": 7, "micro_batches": 4, "data_parallel": 2},
            "a batch of 7 images is too small for 8 parts (micro_batches times data_parallel); "
            "give a larger batch_size or fewer parts",
        ),
        (
            {"batch_size": 7, "micro_batches": 8},
            "a batch of 7 images is too small for 8 parts (micro_batches); "
            "give a larger batch_size or fewer parts",
        ),
        (
            {"baselines": "linear", "full_lr": 0.1},
            "full_lr is 0.1, which only full, lp-ft and l2-sp read, and the baselines are 'linear'; "
            "leave full_lr out, or add one of them",
        ),
        (
            {"bitfit_lr": 0.1},
            "bitfit_lr is 0.1, which only bitfit read, and the baselines are 'linear,full'; "
            "leave bitfit_lr out, or add one of them",
        ),
        (
            {"early_stopping": True, "lr_grid": "1,3", "pack": 4},
            "early_stopping ends single trainings, and pack is 4; leave one of them out",
        ),
        (
            {"no_retrain": True, "epochs": "4,8"},
            "no_retrain skips all separate trainings, and epochs names 2 to choose from for each of them; "
            "give one, or leave no_retrain out",
        ),
        (
            {"no_retrain": True, "augmentation": "none,crop,strong"},
            "no_retrain skips all separate trainings, and augmentation names 3 to choose from for each of "
            "them; give one, or leave no_retrain out",
        ),
        (
            {"inherited_epochs": "4,8"},
            "inherited_epochs is 4, 8, and nothing starts from inherited weights; give --start inherited, or "
            "leave inherited_epochs out",
        ),
        (
            {"no_retrain": True, "start": "inherited"},
            "no_retrain skips all separate trainings, and start sets an option of theirs; "
            "leave out one or the other",
        ),
        (
            {"no_retrain": True, "soup": 2},
            "no_retrain skips all separate trainings, and soup sets an option of theirs; "
            "leave out one or the other",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(values: dict[str, Any], message: str):
    with pytest.raises(InputError) as caught:
        SearchConfig.of(dataset="digits", **values)
    assert str(caught.value) == message


def test_without_a_search_only_full_fine_tuning_is_averaged():
    with pytest.raises(InputError, match=r"^soup is 3, .*'linear,bitfit'; add full to them, or"):
        BaselinesConfig.of(dataset="digits", baselines="linear,bitfit", soup=3)
    assert BaselinesConfig.of(dataset="digits", soup=3).soup == 3


@pytest.mark.parametrize(
    "values",
    [
        {"chooser": "groups", "groups": 4},
        {"chooser": "sandwich", "distil": True},
        {"batch_size": 8, "micro_batches": 4, "data_parallel": 2},
        {"baselines": "bitfit", "bitfit_lr": 0.1},
        {"baselines": "l2-sp", "full_lr": 0.1},
        {"baselines": "all", "lr_grid": "0.3,1,3"},
        {"baselines": "none", "soup": 2},
    ],
)
def test_options_that_go_together_are_taken(values: dict[str, Any]):
    config = SearchConfig.of(dataset="digits", **values)
    assert SearchConfig.of(**config.to_dict()) == config


@pytest.mark.parametrize(("text", "pixels"), [(None, None), ("48", (48, 48)), ("32x48", (32, 48))])
def test_an_image_size_is_one_side_or_height_and_width(text: str | None, pixels: tuple[int, int] | None):
    assert SearchConfig.of(dataset="digits", image_size=text).pixels() == pixels


def test_only_the_supernet_is_compiled():
    values = {"precision": "bf16", "compile": True, "micro_batches": 3, "checkpointing": True}
    config = SearchConfig.of(dataset="digits", **values)
    assert config.execution("supernet") == Execution("bf16", True, 3, True)
    for method in ("subnet", "linear", "full"):
        assert config.execution(method) == Execution("bf16", False, 3, True)
    assert SearchConfig.of(dataset="digits").execution("supernet") == Execution()


def test_the_data_set_has_no_default():
    with pytest.raises(InputError, match=r"^dataset is .*: field required$"):
        SearchConfig.of(seed=1)


def test_a_configuration_is_frozen():
    config = SearchConfig.of(dataset="digits")
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1


def test_the_default_backbone_is_the_shipped_one():
    assert SearchConfig.of(dataset="digits").backbone == DEFAULT_BACKBONE


def test_one_grid_has_one_spelling():
    texts = {SearchConfig.of(dataset="digits", lr_grid=text).lr_grid for text in (".3, 1,3.0", "0.3,1,3")}
    assert texts == {(0.3, 1.0, 3.0)}
    assert SearchConfig.of(dataset="digits", baselines="linear, full").baselines == ("linear", "full")


def test_epochs_and_augmentations_are_lists_and_one_value_is_written_plainly():
    one = SearchConfig.of(dataset="digits", epochs=8, augmentation="crop")
    assert (one.epochs, one.augmentation) == ((8,), ("crop",))
    assert SearchConfig.of(dataset="digits", epochs="8").epochs == SearchConfig.of(dataset="digits").epochs
    several = SearchConfig.of(dataset="digits", epochs="8, 24", augmentation=["none", "crop-flip"])
    assert (several.epochs, several.augmentation) == ((8, 24), ("none", "crop-flip"))
    for config in (one, several):
        assert SearchConfig.of(**config.to_dict()) == config


def test_the_starts_are_those_of_a_recipe():
    assert STARTS == supernet.recipe.STARTS


def test_the_augmentations_are_those_of_the_supernet():
    assert AUGMENTATIONS == supernet.AUGMENTATIONS
    assert UNCROPPED == supernet.augmentation.UNCROPPED


def test_yaml_round_trip():
    config = SearchConfig.of(
        dataset="torch/cifar100",
        data_root=Path("some/where"),
        shots=16,
        backbone_weights=Path("vit.safetensors"),
        budget="0.4M",
        count_head=True,
        lr=1e-3,
    )
    read = yaml.safe_load(config.to_yaml())
    assert SearchConfig.of(**read) == config
    assert read == config.to_dict()
    assert list(read) == list(SearchConfig.model_fields)  # in the order of the fields, readable


@pytest.mark.parametrize("epochs", [0, -1, "0", "4,0", "4,", "", "4;16", "four", 2.5, "4,4"])
def test_impossible_numbers_of_epochs_are_named(epochs: Any):
    with pytest.raises(InputError, match=r"supernet_epochs is .*(give a whole number from 1|each .* once)"):
        SearchConfig.of(dataset="digits", supernet_epochs=epochs)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("class_balance", "weigthed", "did you mean 'weighted'? give one of none, weighted, sampled, "),
        ("drop_path", 1, "give a probability from 0 to less than 1"),
        ("module_dropout", "0,0", "give each number once"),
        ("weight_decay", "", "give a number greater than or equal to 0"),
        ("metric", "f1", "'accuracy', 'balanced-accuracy', 'macro-f1' or 'log-loss'"),
    ],
)
def test_a_wrong_choice_is_named(field: str, value: Any, allowed: str):
    with pytest.raises(InputError, match=f"^{field} is {re.escape(repr(value))}: .*{re.escape(allowed)}"):
        SearchConfig.of(dataset="digits", **{field: value})
