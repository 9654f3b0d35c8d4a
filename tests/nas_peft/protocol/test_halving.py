"""Halving: which recipes come in which round, and which rows go on."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.halving import rounds_of, survivors
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


def test_the_first_recipe_comes_first_then_those_of_one_other_choice_then_the_rest():
    recipes = grid(("pretrained",))
    first, second, rest = rounds_of(recipes)
    assert first == (recipes[0],)
    assert [(r.epochs, r.lr, r.augmentation) for r in second] == [
        (8, 0.1, "crop"), (8, 0.3, "none"), (24, 0.1, "none")
    ]  # fmt: skip
    assert len(rest) == 4


def test_another_start_is_one_choice_although_its_lengths_are_others():
    recipes = grid(("inherited", "pretrained"))
    first, second, rest = rounds_of(recipes)
    assert first == (recipes[0],)
    assert Recipe(8, 0.1, start="pretrained") in second
    assert Recipe(24, 0.1, start="pretrained") in rest


@given(st.lists(st.sampled_from(grid(("pretrained", "inherited"))), min_size=1, max_size=16, unique_by=repr))
def test_each_recipe_has_one_round_and_none_is_empty(recipes: list[Recipe]):
    rounds = rounds_of(recipes)
    assert all(rounds)
    assert sorted(map(repr, sum(rounds, ()))) == sorted(map(repr, recipes))
    assert rounds[0][0] == recipes[0]


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
