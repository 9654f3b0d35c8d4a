"""The trainings of a row: which recipe it uses, and what cannot be used."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.row_runs import RowRuns, best_recipe
from nas_peft.protocol.rows import Row
from nas_peft.training.image_scores import ImageScores, ShiftedScores
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.val_score import ValScore
from search_spaces import Architecture, InputError
from supernet import Curve, Recipe

ROW = Row("lora_rank-2", "single", "subnet", Architecture.uniform(4, "lora_rank", 2))


def training(lr: float, seed: int = 0, on: Any = "train") -> Training:
    return Training(ROW.name, "subnet", ROW.architecture, Recipe(8, lr), None, seed, on)


def record(lr: float, accuracy: float, loss: float = 1.0, seed: int = 0, **changes: Any) -> TrainingRecord:
    return TrainingRecord(training(lr, seed), Curve(), ValScore(accuracy, loss), **changes)


def failed(lr: float, seed: int = 0, on: Any = "train") -> TrainingRecord:
    return TrainingRecord.failed(training(lr, seed, on), "the loss is nan")


def test_the_accuracy_decides_then_the_loss_whatever_the_order():
    records = [record(0.1, 0.8, 1.4), record(0.3, 0.9, 1.6), record(1.0, 0.9, 1.5)]
    assert best_recipe(records).lr == best_recipe(records[::-1]).lr == 1.0
    tied = [record(0.3, 0.8), record(0.1, 0.8)]
    assert best_recipe(tied).lr == best_recipe(tied[::-1]).lr


def test_accuracies_that_the_images_cannot_tell_apart_leave_the_choice_to_the_loss():
    """Of 100 images 9 differ, 5 against 4: a third of a standard error."""
    records = []
    for lr, wrong, margin in ((0.1, range(5), 1.0), (0.3, range(5, 9), 6.0)):
        logits = torch.tensor([[6.0, 0.0, 0.0]]).repeat(100, 1)
        logits[list(wrong)] = torch.tensor([0.0, margin, 0.0])
        scores = ImageScores.of(logits, torch.zeros(100, dtype=torch.int64))
        records.append(record(lr, float(scores.hits.mean()), float(scores.losses.mean()), images=scores))
    assert records[0].val.accuracy < records[1].val.accuracy
    assert best_recipe(records).lr == 0.1
    assert best_recipe([replace(r, images=None) for r in records]).lr == 0.3


def scored(lr: float, wrong: range, shifted: float | None = None) -> TrainingRecord:
    """A record with the scores of 100 images, of which ``wrong`` are wrong, and of copies of them."""
    labels = torch.zeros(100, dtype=torch.int64)
    logits = torch.tensor([[6.0, 0.0, 0.0]]).repeat(100, 1)
    logits[list(wrong)] = torch.tensor([0.0, 1.0, 0.0])
    copies = None if shifted is None else ShiftedScores(shifted * logits, labels.clone(), 9.0)
    images = ImageScores.of(logits, labels, copies)
    return record(lr, float(images.hits.mean()), float(images.losses.mean()), images=images)


def test_a_late_choice_is_taken_only_if_it_is_better_beyond_the_noise():
    runs = RowRuns(ROW)
    runs.add_tried([scored(0.1, range(20)), scored(0.3, range(30))], 0)
    runs.add_late([scored(1.0, range(18))], 0)  # two images better, of two that differ: 1.4 standard errors
    assert (runs.recipe.lr, len(runs.tried), runs.error) == (0.1, 3, None)
    runs.add_late([scored(3.0, range(10))], 0)
    assert runs.recipe.lr == 3.0
    robust = RowRuns(ROW)
    robust.add_tried([scored(0.1, range(20), shifted=0.2)], 0)
    robust.add_late([scored(1.0, range(20), shifted=1.0)], 0)
    assert robust.recipe.lr == 1.0


def test_further_seeds_follow_the_chosen_recipe_and_not_a_late_one_that_was_refused():
    runs = RowRuns(ROW)
    runs.add_tried([scored(0.1, range(20))], 0)
    runs.add_late([scored(1.0, range(18))], 0)
    others = [record(0.1, 0.7, seed=1), record(0.1, 0.9, seed=2)]
    runs.add_seeds(others)
    assert [found.seed for found in runs.chosen] == [0, 1, 2]
    assert {found.training.recipe.lr for found in runs.chosen} == {0.1}
    assert (len(runs.tried), runs.error) == (4, None)
    runs.add_seeds([failed(0.1, seed=3)])
    assert "seed 3" in str(runs.error)


def test_what_failed_or_was_stopped_early_cannot_be_chosen():
    records = [failed(0.1), record(0.3, 0.99, stopped_at=2), record(1.0, 0.5)]
    assert best_recipe(records).lr == 1.0
    with pytest.raises(InputError, match=r"^seed 0, learning rate 0\.1: the loss is nan$"):
        best_recipe(records[:2])
    assert records[1].failure == "seed 0, learning rate 0.3: stopped early, after epoch 2"
    assert records[2].failure is None
    assert failed(0.1, on="train_val").failure == "final model, seed 0, learning rate 0.1: the loss is nan"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 0.75, 1.0]), st.floats(0, 2), st.sampled_from(["", "error", "stopped"])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_rate_that_is_used_is_as_good_as_any_usable(found: list[tuple[float, float, str]]):
    changes: dict[str, dict[str, Any]] = {"": {}, "error": {"error": "x"}, "stopped": {"stopped_at": 1}}
    records = [record(10.0**-i, a, loss, **changes[c]) for i, (a, loss, c) in enumerate(found)]
    usable = [r for r in records if r.failure is None]
    if not usable:
        with pytest.raises(InputError):
            best_recipe(records)
        return
    (best,) = (r for r in records if r.training.recipe == best_recipe(records))
    assert best in usable
    for other in usable:
        assert (-best.val.accuracy, best.val.loss) <= (-other.val.accuracy, other.val.loss)


def test_the_first_seed_chooses_the_rate_and_the_others_join():
    runs = RowRuns(ROW)
    first = [record(0.1, 0.7), record(0.3, 0.8)]
    runs.add_tried(first, 0)
    assert runs.recipe == Recipe(8, 0.3)
    others = [record(0.3, 0.1, seed=1), record(0.3, 0.2, seed=2)]
    runs.add_tried(others, 0)
    assert runs.tried == [*first, *others]
    assert runs.chosen == [first[1], *others]
    assert runs.scores.val_accuracy == [0.8, 0.1, 0.2]
    assert runs.error is None


def test_with_one_rate_all_seeds_come_at_once():
    runs = RowRuns(ROW)
    runs.add_tried([record(0.1, 0.7), record(0.1, 0.9, seed=1)], 0)
    assert runs.scores.val_accuracy == [0.7, 0.9]


def test_a_row_fails_with_any_training_that_counts():
    at_all_rates, in_a_seed, in_the_end, elsewhere = (RowRuns(ROW) for _ in range(4))
    at_all_rates.add_tried([failed(0.1), failed(0.3)], 0)
    assert (at_all_rates.recipe, at_all_rates.chosen) == (None, [])
    assert at_all_rates.error == "seed 0, learning rate 0.1: the loss is nan"
    in_a_seed.add_tried([record(0.1, 0.7), failed(0.1, seed=1)], 0)
    assert in_a_seed.error == "seed 1, learning rate 0.1: the loss is nan"
    in_the_end.add_tried([record(0.1, 0.7)], 0)
    in_the_end.set_finals([failed(0.1, on="train_val")])
    assert in_the_end.error == "final model, seed 0, learning rate 0.1: the loss is nan"
    elsewhere.add_tried([record(0.1, 0.7), failed(0.3)], 0)
    assert elsewhere.error is None


def test_recipes_that_differ_in_epochs_or_augmentation_alone_are_told_apart():
    recipes = [Recipe(8, 0.1), Recipe(24, 0.1), Recipe(24, 0.1, augmentation="crop")]
    records = [
        TrainingRecord(
            Training(ROW.name, "subnet", ROW.architecture, recipe, None, seed, "train"),
            Curve(),
            ValScore(0.5, loss),
        )
        for seed in (0, 1)
        for recipe, loss in zip(recipes, (0.4, 0.3, 0.2), strict=True)
    ]
    runs = RowRuns(ROW)
    runs.add_tried(records, 0)
    assert runs.recipe == recipes[2]
    assert runs.chosen == [records[2], records[5]]


def test_more_recipes_may_change_the_choice_and_a_recipe_that_failed_may_be_followed_by_one_that_did_not():
    runs = RowRuns(ROW)
    runs.add_tried([failed(0.1)], 0)
    assert not runs.competes
    runs.add_tried([record(0.3, 0.7)], 0)
    assert runs.recipe == Recipe(8, 0.3)
    runs.add_tried([record(1.0, 0.8)], 0)
    assert (runs.recipe, runs.error, len(runs.chosen)) == (Recipe(8, 1.0), None, 1)
    runs.dropped_after = 3
    assert not runs.competes
