"""Halving: recipes are tried in rounds, and the worse half of the rows is dropped after each round.

Most of the time of a comparison goes into recipes of rows that are behind with every recipe. After successive
halving (arXiv 1502.07943) each round costs about as much as the one before, with fewer rows and more recipes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_peft.protocol.decision import decide
from nas_peft.protocol.rows import Params, Row, Scores
from nas_peft.settings.training_config import TrainingConfig
from supernet import Recipe


@dataclass(frozen=True)
class Rounds:
    """The recipes of each row by round; ``several`` if any row has more than one recipe."""

    of_row: Mapping[Row, Sequence[Sequence[Recipe]]]
    several: bool

    @classmethod
    def of(cls, rows: Sequence[Row], config: TrainingConfig, probe: Recipe) -> Rounds:
        """The rounds by a configuration: one for all recipes, or those of halving."""
        recipes = {row: row.recipes(config, probe) for row in rows}
        several = any(len(of_row) > 1 for of_row in recipes.values())
        return cls({r: rounds_of(all_) if config.halving else [all_] for r, all_ in recipes.items()}, several)

    @property
    def count(self) -> int:
        """The number of rounds of the row that has most."""
        return max(map(len, self.of_row.values()), default=0)

    def stage(self, number: int) -> str:
        """The name of the stage that trains a round, counted from 0."""
        if not self.several:
            return "retraining"
        return f"recipes {number + 1}" if self.count > 1 else "recipes"

    def recipes(self, row: Row, number: int) -> Sequence[Recipe]:
        """The recipes that a row tries in a round; none where it has had all."""
        return self.of_row[row][number] if number < len(self.of_row[row]) else ()


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
