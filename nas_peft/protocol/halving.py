"""Halving: recipes are tried in rounds, and the worse half of the rows is dropped after each round.

Most of the time of a comparison goes into recipes of rows that are behind with every recipe. After successive
halving (arXiv 1502.07943) each round costs about as much as the one before, with fewer rows and more recipes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas_peft.protocol.decision import decide
from nas_peft.protocol.rows import Params, Row, Scores
from supernet import Recipe


def rounds_of(recipes: Sequence[Recipe]) -> list[tuple[Recipe, ...]]:
    """The recipes of each round: the first recipe, those that differ from it in one choice, then the rest.

    The choices are the start, the number of epochs, the learning rate and the augmentation. Recipes of
    another start have lengths of their own, so these are compared with the first recipe of the same start.
    """
    first = recipes[0]
    own = {start: next(r for r in recipes if r.start == start) for start in {r.start for r in recipes}}

    def distance(recipe: Recipe) -> int:  # number of choices in which the recipe differs
        like = own[recipe.start]
        differing = [
            getattr(recipe, name) != getattr(like, name) for name in ("epochs", "lr", "augmentation")
        ]
        return differing.count(True) + (recipe.start != first.start)

    rounds = ([r for r in recipes if distance(r) in steps] for steps in ((0,), (1,), (2, 3, 4)))
    return [tuple(found) for found in rounds if found]


def survivors(scores: Mapping[Row, Scores], params: Params) -> list[Row]:
    """The rows that go on, in their order: all baselines, and the better half of each other group.

    The better half of n rows are the ⌈n/2⌉ rows that `decide` chooses one after another.
    """
    kept: set[Row] = set()
    for group in ("searched", "single"):
        left = {
            row.name: (row, found.contestant(row.name, params(row)))
            for row, found in scores.items()
            if row.group == group
        }
        for _ in range((len(left) + 1) // 2):
            chosen = decide([contestant for _, contestant in left.values()]).name
            kept.add(left.pop(chosen)[0])
    return [row for row in scores if row in kept or row.group == "baseline"]
