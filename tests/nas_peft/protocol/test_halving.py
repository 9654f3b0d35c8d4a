"""Halving: which recipes go on to which length, and which rows."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.halving import Rounds, by_length, survivors
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


def grid(starts: tuple[str, ...]) -> list[Recipe]:
    return [
        Recipe(epochs // (2 if start == "inherited" else 1), lr, augmentation=augmentation, start=start)
        for start, epochs, lr, augmentation in product(starts, (8, 24), (0.1, 0.3), ("none", "crop"))
    ]


def rounds(recipes: list[Recipe]) -> Rounds:
    return Rounds({row(0, "single"): by_length(recipes)}, several=True)


def test_the_better_third_goes_on_to_the_next_length():
    recipes = grid(("pretrained",))
    of_row = rounds(recipes)
    assert of_row.count == 2
    first = of_row.recipes(row(0, "single"), 0, ())
    assert first == tuple(r for r in recipes if r.epochs == 8)
    second = of_row.recipes(row(0, "single"), 1, first[::-1])
    assert second == [r for r in recipes if r.epochs == 24 and (r.lr == 0.3)]  # two of four
    assert of_row.recipes(row(0, "single"), 2, second) == ()


def test_recipes_that_failed_do_not_go_on():
    of_row = rounds(grid(("pretrained",)))
    assert of_row.recipes(row(0, "single"), 1, ()) == []


def test_each_start_has_lengths_of_its_own():
    short, long = by_length(grid(("inherited", "pretrained")))
    assert {(r.start, r.epochs) for r in short} == {("inherited", 4), ("pretrained", 8)}
    assert {(r.start, r.epochs) for r in long} == {("inherited", 12), ("pretrained", 24)}


@given(st.lists(st.sampled_from(grid(("pretrained", "inherited"))), min_size=1, max_size=16, unique_by=repr))
def test_each_recipe_has_one_round_and_none_is_empty(recipes: list[Recipe]):
    found = by_length(recipes)
    assert all(found)
    assert sorted(map(repr, sum(found, ()))) == sorted(map(repr, recipes))


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
