"""The comparison: rows, their trainings, and the choice, which validation alone decides."""

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
import torch

from nas_peft.protocol.decision import Decision
from nas_peft.protocol.rows import Row, Scores, baseline_rows, best_of, best_sizes, choose, single_rows
from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.method_recipes import first_half
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.val_score import ValScore
from search_spaces import Architecture
from supernet import Curve, Recipe

DEPTH = 4
LORA = Architecture.uniform(DEPTH, "lora_rank", 2)
MIXED = Architecture.of(DEPTH, {"lora_rank": [2, 0, 0, 0], "prompt_tokens": [0, 0, 4, 4]})
FIRST = Row("candidate-3", "searched", "subnet", MIXED)
SECOND = Row("candidate-9", "searched", "subnet", Architecture.uniform(DEPTH, "adapter_dim", 1))
SINGLE = Row("lora_rank-2", "single", "subnet", LORA)
LINEAR, FULL = baseline_rows(SearchConfig.of(dataset="digits"), DEPTH)
PROBE = Recipe(epochs=7, lr=0.3)


def params(row: Row) -> int:
    """A cost that follows the sizes of the modules."""
    return sum(sum(row.architecture[kind]) for kind in row.architecture.kinds)


def chosen(scores: Mapping[Row, Scores]) -> Row | None:
    found = choose(scores, params)
    return found[0] if found else None


def record(accuracy: float, loss: float) -> TrainingRecord:
    (training,) = SINGLE.trainings(SearchConfig.of(dataset="digits"), PROBE, [0], "train")
    return TrainingRecord(training, Curve(), ValScore(accuracy, loss))


def test_full_fine_tuning_competes_only_where_it_is_allowed():
    scores = {SINGLE: Scores([0.5], [1.0]), FULL: Scores([0.9], [0.2]), LINEAR: Scores([0.95], [0.1])}
    assert [choose(scores, params, allowed) for allowed in (False, True)] == [
        (SINGLE, Decision("lora_rank-2", "alone")),
        (FULL, Decision("full", "accuracy")),
    ]


def test_labels():
    assert [row.label for row in (FIRST, SINGLE, LINEAR, FULL)] == [
        "searched subnet",
        "LoRA alone",
        "linear probing",
        "full fine-tuning",
    ]


def test_baselines_have_no_modules():
    assert (LINEAR.architecture, FULL.architecture) == (Architecture.empty(DEPTH),) * 2
    assert (LINEAR.method, FULL.method) == ("linear", "full")


@pytest.mark.parametrize("row", [FIRST, SINGLE, LINEAR, FULL])
def test_one_training_for_each_seed_by_the_recipe_of_the_method(row: Row):
    config = SearchConfig.of(dataset="digits", epochs=3)
    trainings = row.trainings(config, PROBE, [4, 5], "train_val")
    assert [t.seed for t in trainings] == [4, 5]
    assert {t.on for t in trainings} == {"train_val"}
    recipe = PROBE if row is LINEAR else config.method_recipe(row.method)
    assert {t.recipe for t in trainings} == {recipe} == {row.recipe(config, PROBE)}
    assert len({t.key for t in [*trainings, *row.trainings(config, PROBE, [4, 5], "train")]}) == 4


def test_what_may_be_averaged_is_kept():
    rows = (FIRST, SINGLE, LINEAR, FULL)
    for soup, kept in ((0, []), (2, [FIRST, FULL])):
        config = SearchConfig.of(dataset="digits", soup=soup)
        assert [row for row in rows if row.trainings(config, PROBE, [0], "train")[0].keep] == kept


def test_all_but_linear_probing_start_from_a_trained_head_where_asked():
    rows = [FIRST, SINGLE, LINEAR, FULL]
    on, off = (SearchConfig.of(dataset="digits", head_epochs=value) for value in (3, 0))
    heads = [row.trainings(on, PROBE, [0], "train")[0].head for row in rows]
    head = on.head_recipe()
    assert head is not None
    assert head.epochs == 3
    assert heads == [head, head, None, head]
    assert all(row.trainings(off, PROBE, [0], "train")[0].head is None for row in rows)


def test_scores_have_no_test():
    assert [f.name for f in fields(Scores)] == ["val_accuracy", "val_loss", "images", "metric"]
    scores = Scores.of([record(0.5, 1.0), record(0.75, 0.5)])
    assert scores == Scores([0.5, 0.75], [1.0, 0.5])


def test_the_scores_of_images_count_where_every_seed_has_them():
    images = ImageScores.of(torch.eye(3), torch.tensor([0, 1, 1]))
    with_images = replace(record(2 / 3, 1.0), images=images)
    assert Scores.of([with_images, with_images]).images == [images, images]
    assert Scores.of([with_images, record(0.5, 1.0)]).images == []


def test_the_mean_over_seeds_decides():
    scores = {FIRST: Scores([0.9, 0.5], [1.0, 1.0]), SECOND: Scores([0.71, 0.71], [1.0, 1.0])}
    assert chosen(scores) is best_of("searched", scores, params) is SECOND


def test_a_single_method_that_is_better_is_chosen_and_a_baseline_never():
    scores = {
        FIRST: Scores([0.8], [0.5]),
        SECOND: Scores([0.9], [0.6]),
        SINGLE: Scores([0.92], [0.8]),
        LINEAR: Scores([0.95], [0.1]),
        FULL: Scores([1.0], [0.0]),
    }
    assert choose(scores, params) == (SINGLE, Decision(SINGLE.name, "accuracy"))
    assert best_of("searched", scores, params) is SECOND
    assert best_of("single", scores, params) is SINGLE


def test_ties_go_to_the_lower_loss_then_to_the_cheaper_row():
    scores = {FIRST: Scores([0.8], [0.9]), SINGLE: Scores([0.8], [1.0])}
    assert choose(scores, params) == (FIRST, Decision(FIRST.name, "loss"))
    tied = {FIRST: Scores([0.8], [1.0]), SINGLE: Scores([0.8], [1.0])}
    assert params(SINGLE) < params(FIRST)
    assert choose(tied, params) == (SINGLE, Decision(SINGLE.name, "params"))
    assert chosen(dict(reversed(tied.items()))) is SINGLE
    assert choose(tied, lambda row: 0 if row is FIRST else 1) == (FIRST, Decision(FIRST.name, "params"))


def test_baselines_alone_leave_nothing_to_export():
    assert choose({LINEAR: Scores([0.9], [1.0]), FULL: Scores([0.9], [1.0])}, params) is None


def test_every_baseline_is_a_row_of_its_own_and_none_is_none():
    rows = baseline_rows(SearchConfig.of(dataset="digits", baselines="all"), DEPTH, pruned=LORA)
    assert [row.name for row in rows] == [name for name in BASELINES if name != "noah"]
    assert len({row.label for row in rows}) == len(rows) == 14
    assert {row.group for row in rows} == {"baseline"}
    of = {row.name: row for row in rows}
    assert of["lora"].architecture == Architecture.uniform(DEPTH, "lora_rank", 8)
    assert of["vpt-shallow"].architecture["shallow_prompt_tokens"] == (50, 0, 0, 0)
    assert of["bitfit"].architecture == Architecture.empty(DEPTH)
    assert baseline_rows(SearchConfig.of(dataset="digits", baselines="none"), DEPTH) == []


def test_noah_s_row_is_what_its_search_found():
    config = SearchConfig.of(dataset="digits", baselines="all,noah")
    rows = baseline_rows(config, DEPTH, LORA, LORA)
    assert [row.name for row in rows] == list(BASELINES)
    assert rows[-1] == Row("noah", "baseline", "subnet", LORA)
    with pytest.raises(ValueError, match="NOAH is among the baselines"):
        baseline_rows(config, DEPTH, pruned=LORA)


def test_pruned_lora_goes_on_from_what_is_left_for_the_other_half():
    config = SearchConfig.of(
        dataset="digits", baselines="lora-pruned", epochs="1,2,7", lr_grid="1,3", lr=0.01
    )
    (row,) = baseline_rows(config, DEPTH, pruned=LORA)
    assert row == Row("lora-pruned", "baseline", "lora-pruned", LORA)
    assert [(r.epochs, r.lr) for r in row.recipes(config, PROBE)] == [
        (1, 0.01), (1, 0.03), (4, 0.01), (4, 0.03)
    ]  # fmt: skip
    assert {r.start for r in row.recipes(config, PROBE)} == {"inherited"}
    before = first_half(config)
    assert (before.epochs, before.lr, before.start) == (3, 0.01, "pretrained")
    last = row.recipes(config, PROBE)[-1]
    (training,) = row.trainings(config, PROBE, [0], "train", last)
    assert (training.key, training.head) == ("lora-pruned.train.inherited.e4.lr0.03.seed0", None)
    with pytest.raises(ValueError, match=r"pruned LoRA is among the baselines, .*; pass pruned="):
        baseline_rows(config, DEPTH)


def test_the_size_of_a_single_method_is_the_best_on_validation_data():
    smaller = Row("lora_rank-1", "single", "subnet", Architecture.uniform(DEPTH, "lora_rank", 1))
    other = Row("ssf-1", "single", "subnet", Architecture.uniform(DEPTH, "ssf", 1))
    scores = {
        FIRST: Scores([0.99], [0.1]),
        SINGLE: Scores([0.8], [1.0]),
        smaller: Scores([0.8], [0.9]),
        other: Scores([0.5], [2.0]),
        LINEAR: Scores([0.9], [0.5]),
    }
    assert best_sizes(scores, params) == [smaller, other]
    tied = {SINGLE: Scores([0.8], [0.9]), smaller: Scores([0.8], [0.9])}
    assert best_sizes(tied, params) == [smaller]
    assert best_sizes(tied | {SINGLE: Scores([0.81], [2.0])}, params) == [SINGLE]


def test_single_methods_are_named_rows():
    assert single_rows({"lora_rank-2": LORA}) == [SINGLE]


def test_lp_ft_starts_from_the_whole_probe_and_l2_sp_has_no_weight_decay():
    config = SearchConfig.of(dataset="digits", baselines="all", weight_decay=0.5, head_epochs=0)
    rows = {row.name: row for row in baseline_rows(config, DEPTH, pruned=LORA)}
    heads = {name: row.trainings(config, PROBE, [0], "train")[0].head for name, row in rows.items()}
    assert {name for name, head in heads.items() if head is not None} == {"lp-ft"}
    assert heads["lp-ft"] == PROBE
    decays = {name: row.recipe(config, PROBE).weight_decay for name, row in rows.items() if name != "linear"}
    assert {name for name, decay in decays.items() if decay != 0.5} == {"l2-sp"}
    assert decays["l2-sp"] == 0.0


def rates(row: Row, config: SearchConfig) -> tuple[float, ...]:
    return tuple(recipe.lr for recipe in row.recipes(config, PROBE))


def test_recipes_are_all_combinations_and_each_has_a_file_of_its_own():
    config = SearchConfig.of(
        dataset="digits", epochs="8,24", augmentation="none,crop-flip", lr_grid="1,3", label_smoothing=0.1
    )
    recipes = FULL.recipes(config, PROBE)
    assert [(r.epochs, r.lr, r.augmentation) for r in recipes] == [
        (epochs, lr, augmentation)
        for epochs in (8, 24)
        for lr in (3e-4, 9e-4)
        for augmentation in ("none", "crop-flip")
    ]
    assert {r.label_smoothing for r in recipes} == {0.1}
    assert FULL.recipe(config, PROBE) == recipes[0]
    trainings = [
        t
        for r in recipes
        for on in ("train", "train_val")
        for t in FULL.trainings(config, PROBE, [0, 1], on, r)
    ]
    assert len({t.key for t in trainings}) == len(trainings) == 32
    assert trainings[0].key == "full.train.e8.lr0.0003.seed0"
    assert trainings[-1].key == "full.train_val.e24.crop-flip.lr0.0009.seed1"
    (probe,) = LINEAR.recipes(config, PROBE)
    assert probe == PROBE
    assert LINEAR.trainings(config, PROBE, [0], "train")[0].key == "linear.train.lr0.3.seed0"
    one = SearchConfig.of(dataset="digits", epochs=24, augmentation="crop")
    assert FULL.trainings(one, PROBE, [0], "train")[0].key == "full.train.crop.lr0.0003.seed0"


def test_rates_are_factors_on_each_method_s_own_and_the_probe_s_is_the_probe_s():
    config = SearchConfig.of(
        dataset="digits", baselines="all", lr_grid="0.3,1,3", lr=0.01, full_lr=0.002, bitfit_lr=0.05
    )
    rows = {row.name: rates(row, config) for row in baseline_rows(config, DEPTH, pruned=LORA)}
    assert rows["linear"] == (0.3,)
    assert rows["full"] == rows["lp-ft"] == rows["l2-sp"] == (0.0006, 0.002, 0.006)
    assert rows["bitfit"] == (0.015, 0.05, 0.15)
    assert rows["lora"] == rows["ssf"] == rates(FIRST, config) == (0.003, 0.01, 0.03)
    assert FULL.recipe(config, PROBE).lr == 0.002
    recipes = FULL.recipes(config, PROBE)
    keys = {t.key for recipe in recipes for t in FULL.trainings(config, PROBE, [0], "train", recipe)}
    assert keys == {f"full.train.lr{lr}.seed0" for lr in ("0.0006", "0.002", "0.006")}


def test_nothing_searched():
    scores = {SINGLE: Scores([0.8], [1.0]), LINEAR: Scores([0.9], [1.0])}
    assert best_of("searched", scores, params) is None
    assert choose(scores, params) == (SINGLE, Decision(SINGLE.name, "alone"))
