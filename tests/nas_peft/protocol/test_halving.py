"""Halving: which recipes go on to which length, and which rows."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.decision import Contestant
from nas_peft.protocol.halving import Rounds, beyond, lengths, longer_is_better, survivors
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
    recipes = grid(("pretrained",), (0.1, 0.3, 0.9))
    of_row = rounds(recipes)
    assert of_row.count == 2
    first = list(of_row.recipes(row(0, "single"), 0, ()))
    assert first == [r for r in recipes if r.epochs == 8]
    best = sorted(first, key=lambda r: (r.lr != 0.3, r.lr))
    second = of_row.recipes(row(0, "single"), 1, best)
    assert second == [r for r in recipes if r.epochs == 24 and r.lr == 0.3]  # two of six
    assert of_row.recipes(row(0, "single"), 2, second) == []


def test_without_halving_all_recipes_are_one_round():
    recipes = grid(("pretrained", "inherited"))
    found = Rounds({row(0, "single"): recipes}, halved=False)
    assert (found.count, found.recipes(row(0, "single"), 0, ())) == (1, recipes)


def test_a_rate_at_the_end_of_the_grid_is_followed_by_the_next_one():
    recipes = grid(("pretrained",), (0.1, 0.3, 0.9))
    first = [r for r in recipes if r.epochs == 8 and r.augmentation == "none"]
    of_row = rounds(recipes)
    upwards = of_row.recipes(row(0, "single"), 1, first[::-1])
    assert [(r.epochs, r.lr) for r in upwards] == [(24, 0.9), (24, 2.7)]
    downwards = of_row.recipes(row(0, "single"), 1, first)
    assert [(r.epochs, r.lr) for r in downwards] == [(24, 0.1), (24, 0.0333)]
    assert beyond([first[1], first[0], first[2]]) == []
    assert beyond(first[:1]) == []
    assert beyond([]) == []


def test_recipes_that_failed_do_not_go_on():
    assert rounds(grid(("pretrained",))).recipes(row(0, "single"), 1, ()) == []


def test_each_start_has_lengths_of_its_own():
    recipes = grid(("inherited", "pretrained"))
    short = rounds(recipes).recipes(row(0, "single"), 0, ())
    assert {(r.start, r.epochs) for r in short} == {("inherited", 4), ("pretrained", 8)}
    long = rounds(recipes).recipes(row(0, "single"), 1, short)
    assert {(r.start, r.epochs) for r in long} <= {("inherited", 12), ("pretrained", 24)}


@given(st.lists(st.sampled_from(grid(("pretrained", "inherited"))), min_size=1, max_size=16, unique_by=repr))
def test_every_round_tries_something_and_fewer_than_the_one_before(recipes: list[Recipe]):
    of_row = rounds(recipes)
    last = of_row.recipes(row(0, "single"), 0, ())
    assert {(r.start, r.epochs) for r in last} == {(s, found[0]) for s, found in lengths(recipes).items()}
    for number in range(1, of_row.count):
        tried, last = len(last), of_row.recipes(row(0, "single"), number, last)
        assert len(last) <= -(-tried // 3) + 1


def contestant(name: str, hits: list[int], losses: list[float]) -> Contestant:
    of_images = np.array(hits, float), np.array(losses, float)
    return Contestant(name, 10, float(of_images[0].mean()), float(of_images[1].mean()), *of_images)


def test_more_epochs_go_on_while_they_gain_more_than_the_noise():
    noise = [0.01 * (-1) ** i for i in range(100)]
    short = contestant("short", [1] * 80 + [0] * 20, [0.5 + n for n in noise])
    more_right = contestant("long", [1] * 90 + [0] * 10, [0.6] * 100)
    assert longer_is_better(short, more_right)  # ten images more, a standard error is three
    swapped = contestant("long", [0] * 9 + [1] * 81 + [0] * 10, [0.6] * 100)
    assert not longer_is_better(short, swapped)  # one image more of 19 that differ
    surer = contestant("long", [1] * 80 + [0] * 20, [0.45] * 100)
    assert longer_is_better(short, surer)
    wrong = contestant("long", [1] * 79 + [0] * 21, [0.45] * 100)
    assert not longer_is_better(short, wrong)  # overfits or not: a lower loss does not make up for accuracy
    assert not longer_is_better(short, short)


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
