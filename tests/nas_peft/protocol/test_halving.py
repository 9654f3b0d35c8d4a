"""Halving: which recipes go on to which length, and which rows."""

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.decision import Contestant
from nas_peft.protocol.halving import (
    BEYOND_NOISE,
    Rounds,
    beyond,
    can_be_better,
    is_better,
    longer_is_better,
    survivors,
)
from nas_peft.protocol.rows import Row, Scores
from search_spaces import Architecture
from supernet import Recipe

SIZES = st.lists(
    st.tuples(st.sampled_from(["searched", "single", "baseline"]), st.floats(0, 1), st.floats(0, 3)),
    min_size=1,
    max_size=9,
)


def row(number: int, group: str) -> Row:
    return Row(f"{group}-{number}", group, "subnet", Architecture.uniform(4, "lora_rank", 1 + number))


def params(of: Row) -> int:
    return of.architecture["lora_rank"][0]


def grid(starts: tuple[str, ...], rates: tuple[float, ...] = (0.1, 0.3)) -> list[Recipe]:
    return [
        Recipe(epochs // (2 if start == "inherited" else 1), lr, augmentation=augmentation, start=start)
        for start, epochs, lr, augmentation in product(starts, (8, 24), rates, ("none", "crop"))
    ]


def rounds(recipes: list[Recipe]) -> Rounds:
    return Rounds({row(0, "single"): recipes}, halved=True)


def test_the_better_third_goes_on_to_the_next_length():
    recipes = grid(("pretrained",), (0.1, 0.3, 0.9, 2.7))
    of_row = rounds(recipes)
    assert of_row.count == 2
    first = list(of_row.recipes(row(0, "single"), 0, ()))
    assert first == [r for r in recipes if (r.epochs, r.augmentation) == (8, "none")]
    best = [first[1], first[2], first[0], first[3]]
    second = of_row.recipes(row(0, "single"), 1, best)
    assert [(r.epochs, r.lr, r.augmentation) for r in second] == [
        (24, 0.3, "none"), (24, 0.9, "none"), (24, 0.3, "crop")
    ]  # fmt: skip
    assert of_row.recipes(row(0, "single"), 2, second) == []


def test_a_start_that_has_no_more_epochs_takes_no_place_of_one_that_has():
    inherited = [Recipe(4, lr, start="inherited") for lr in (0.1, 0.3, 0.9)]
    new = [Recipe(epochs, lr) for epochs in (2, 8, 16) for lr in (0.1, 0.3, 0.9)]
    of_row = rounds([*inherited, *new])
    first = list(of_row.recipes(row(0, "single"), 0))
    assert {(r.start, r.epochs) for r in first} == {("inherited", 4), ("pretrained", 2)}
    second = of_row.recipes(row(0, "single"), 1, [*inherited, *new[:3]])
    assert [(r.start, r.epochs, r.lr) for r in second] == [("pretrained", 8, 0.1)]


def test_augmentations_join_in_the_third_round_or_the_last():
    recipes = [Recipe(n, 0.1, augmentation=a) for n in (2, 4, 8, 16) for a in ("crop", "none", "strong")]
    of_row, found = rounds(recipes), []
    for number in range(4):
        found.append(list(of_row.recipes(row(0, "single"), number, found[-1] if found else ())))
    assert [[r.augmentation for r in tried] for tried in found] == [
        ["crop"], ["crop"], ["crop", "none", "strong"], ["crop"]
    ]  # fmt: skip
    assert [r.augmentation for r in rounds(recipes[:3]).recipes(row(0, "single"), 0, ())] == [
        "crop", "none", "strong"
    ]  # fmt: skip


def test_choices_that_have_not_joined_when_the_rounds_end_are_tried_once_for_longer():
    recipes = [Recipe(n, 0.1, augmentation=a) for n in (2, 4, 8, 16) for a in ("none", "crop", "strong")]
    of_row = rounds(recipes)
    late = of_row.late(row(0, "single"), 1, Recipe(2, 0.3))
    assert late == [Recipe(8, 0.3, augmentation="crop"), Recipe(8, 0.3, augmentation="strong")]
    assert of_row.late(row(0, "single"), 2, Recipe(8, 0.3)) == []  # they joined in the third round
    assert rounds(recipes[:6]).late(row(0, "single"), 1, recipes[0]) == []  # and in the last of two
    assert Rounds({row(0, "single"): recipes}, halved=False).late(row(0, "single"), 1, recipes[0]) == []
    plain = [r for r in recipes if r.augmentation == "none"]
    assert rounds(plain).late(row(0, "single"), 1, plain[0]) == []


def test_whoever_has_next_to_no_errors_cannot_be_beaten_beyond_the_noise():
    def leader(errors: int) -> Contestant:
        return contestant("leader", [0] * errors + [1] * (100 - errors), [0.5] * 100)

    assert [can_be_better(leader(errors)) for errors in (0, 3, 4, 50)] == [False, False, True, True]
    assert not can_be_better(contestant("perfect", [1] * 100, [0.5] * 100))
    assert can_be_better(leader(0).without_images())
    of_a_metric = Contestant("f1", 10, 0.9, 0.5, np.array([0.9, 1.7]), np.array([0.5, 0.5]))
    assert can_be_better(of_a_metric)
    assert can_be_better(replace(leader(0), shifted_loss=0.4))


def test_without_halving_all_recipes_are_one_round():
    recipes = grid(("pretrained", "inherited"))
    found = Rounds({row(0, "single"): recipes}, halved=False)
    assert (found.count, found.recipes(row(0, "single"), 0, ())) == (1, recipes)


def test_a_rate_at_the_end_of_the_grid_is_followed_by_the_next_one():
    recipes = grid(("pretrained",), (0.1, 0.3, 0.9))
    recipes = [r for r in recipes if r.augmentation == "none"]
    first = [r for r in recipes if r.epochs == 8]
    of_row = rounds(recipes)
    upwards = of_row.recipes(row(0, "single"), 1, first[::-1], first)
    assert [(r.epochs, r.lr) for r in upwards] == [(24, 0.9), (24, 2.7)]
    downwards = of_row.recipes(row(0, "single"), 1, first, first)
    assert [(r.epochs, r.lr) for r in downwards] == [(24, 0.1), (24, 0.0333)]
    assert beyond([first[1], first[0], first[2]], first) == []
    assert beyond(first[:1], first[:1]) == []
    assert beyond([], []) == []


def test_a_rate_beyond_the_best_that_failed_is_not_followed_by_one_below_it():
    of_all = [Recipe(2, lr) for lr in (0.1, 0.3, 0.9)] + [Recipe(4, lr) for lr in (0.9, 2.7)]
    assert beyond(of_all[3:], of_all) == []
    assert [r.lr for r in beyond([of_all[4], of_all[3]], of_all)] == [8.1]


def test_recipes_that_failed_do_not_go_on():
    assert rounds(grid(("pretrained",))).recipes(row(0, "single"), 1, ()) == []


def test_each_start_has_lengths_of_its_own():
    recipes = grid(("inherited", "pretrained"))
    short = rounds(recipes).recipes(row(0, "single"), 0, ())
    assert {(r.start, r.epochs) for r in short} == {("inherited", 4), ("pretrained", 8)}
    long = rounds(recipes).recipes(row(0, "single"), 1, short)
    assert {(r.start, r.epochs) for r in long} <= {("inherited", 12), ("pretrained", 24)}


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from([0.1, 0.3, 0.9]), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["none", "crop"]), min_size=1, max_size=2, unique=True),
)
def test_each_round_has_its_length_and_each_augmentation_has_a_round(
    epochs: list[int], rates: list[float], augmentations: list[str]
):
    recipes = [Recipe(n, lr, augmentation=a) for n, lr, a in product(epochs, rates, augmentations)]
    of_row, found = rounds(recipes), []
    for number in range(of_row.count):
        tried = [r for of_round in found for r in of_round]
        found.append(list(of_row.recipes(row(0, "single"), number, found[-1] if found else (), tried)))
        assert {r.epochs for r in found[-1]} == {sorted(epochs)[number]}
        assert len(set(found[-1])) == len(found[-1])
    assert {r.augmentation for tried in found for r in tried} == set(augmentations)
    assert {r.lr for r in found[0]} == set(rates)


def contestant(name: str, hits: list[int], losses: list[float]) -> Contestant:
    of_images = np.array(hits, float), np.array(losses, float)
    return Contestant(name, 10, float(of_images[0].mean()), float(of_images[1].mean()), *of_images)


def test_more_epochs_go_on_while_they_gain_more_than_the_noise():
    short = contestant("short", [1] * 80 + [0] * 20, [0.5] * 100)
    more_right = contestant("long", [1] * 90 + [0] * 10, [0.6] * 100)
    assert longer_is_better(short, more_right)  # ten images more, and a standard error is three
    swapped = contestant("long", [0] * 9 + [1] * 85 + [0] * 6, [0.4] * 100)
    assert longer_is_better(short, swapped)  # five images more of 23 that differ: a little over one
    assert not is_better(short, swapped, BEYOND_NOISE)
    less = contestant("long", [0] * 9 + [1] * 83 + [0] * 8, [0.4] * 100)
    assert not longer_is_better(short, less)  # three images more of 21 that differ
    assert not longer_is_better(more_right, short)
    assert not longer_is_better(short, short)


def test_no_more_epochs_are_tried_once_next_to_nothing_is_wrong():
    short = contestant("short", [1] * 90 + [0] * 10, [0.5] * 100)
    found = [contestant("long", [1] * (100 - errors) + [0] * errors, [0.4] * 100) for errors in (3, 4)]
    assert [longer_is_better(short, long) for long in found] == [False, True]
    assert all(is_better(short, long, BEYOND_NOISE) for long in found)


def test_without_the_scores_of_images_any_gain_counts():
    short, long = Contestant("short", 10, 0.8, 0.5), Contestant("long", 10, 0.81, 0.5)
    assert longer_is_better(short, long)
    assert not longer_is_better(long, short)
    assert not longer_is_better(short, short)


@given(SIZES)
def test_baselines_stay_and_half_of_each_other_group(found: list[tuple[str, float, float]]):
    scores = {row(n, group): Scores([a], [loss]) for n, (group, a, loss) in enumerate(found)}
    kept = survivors(scores, params)
    assert [r for r in scores if r in kept] == kept
    for group, share in (("searched", 2), ("single", 2), ("baseline", 1)):
        of_group = [r for r in scores if r.group == group]
        assert len([r for r in kept if r.group == group]) == -(-len(of_group) // share)


@given(SIZES)
def test_nobody_who_stays_is_worse_than_one_who_goes(found: list[tuple[str, float, float]]):
    scores = {row(n, group): Scores([a], [loss]) for n, (group, a, loss) in enumerate(found)}
    kept = survivors(scores, params)
    for gone in set(scores) - set(kept):
        better = scores[gone].contestant("gone", params(gone))
        for stays in (r for r in kept if r.group == gone.group):
            assert not better.dominates(scores[stays].contestant("stays", params(stays)))


def test_each_value_of_each_other_choice_joins_once_with_the_best_recipe():
    choices = product((2, 4, 8), ("none", "crop"), ("none", "weighted", "sampled"), (0.0, 0.1))
    recipes = [Recipe(n, 0.1, augmentation=a, class_balance=b, drop_path=p) for n, a, b, p in choices]
    of_row = rounds(recipes)
    first = list(of_row.recipes(row(0, "single"), 0, ()))
    second = list(of_row.recipes(row(0, "single"), 1, first))
    third = of_row.recipes(row(0, "single"), 2, second)
    assert [len(tried) for tried in (first, second)] == [1, 1]
    assert [(r.epochs, r.augmentation, r.class_balance, r.drop_path) for r in third] == [
        (8, "none", "none", 0.0),
        (8, "crop", "none", 0.0),
        (8, "none", "weighted", 0.0),
        (8, "none", "sampled", 0.0),
        (8, "none", "none", 0.1),
    ]
