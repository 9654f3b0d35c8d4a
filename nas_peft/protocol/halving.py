"""Halving: recipes start short, and the better ones go on for longer.

A short training says most of what a long one does about a rate or an augmentation. So each row tries all its
recipes with the fewest epochs, the better third of them with the next number of epochs, and so on, while the
worse half of the rows is dropped after each round (successive halving, arXiv 1502.07943).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nas_peft.protocol.decision import decide
from nas_peft.protocol.rows import Params, Row, Scores
from nas_peft.settings.training_config import TrainingConfig
from supernet import Recipe

KEPT = 3
"""One of so many recipes of a row, rounded up, goes on to the next round."""


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
        return cls({r: by_length(all_) if config.halving else [all_] for r, all_ in recipes.items()}, several)

    @property
    def count(self) -> int:
        """The number of rounds of the row that has most."""
        return max(map(len, self.of_row.values()), default=0)

    def stage(self, number: int) -> str:
        """The name of the stage that trains a round, counted from 0."""
        if not self.several:
            return "retraining"
        return f"recipes {number + 1}" if self.count > 1 else "recipes"

    def recipes(self, row: Row, number: int, ranked: Sequence[Recipe]) -> Sequence[Recipe]:
        """The recipes that a row tries in a round; none if all its lengths have had their round.

        ``ranked`` are the row's recipes of the round before, best first.
        """
        if number >= len(self.of_row[row]):
            return ()
        if number == 0:
            return self.of_row[row][0]
        kept = [replace(recipe, epochs=1) for recipe in ranked[: -(-len(ranked) // KEPT)]]
        return [recipe for recipe in self.of_row[row][number] if replace(recipe, epochs=1) in kept]


def by_length(recipes: Sequence[Recipe]) -> list[tuple[Recipe, ...]]:
    """The recipes of each round if all go on: those of the fewest epochs, of the next number, and so on.

    Each start has lengths of its own, so the first round has the shortest of every start.
    """
    lengths = {
        start: sorted({r.epochs for r in recipes if r.start == start}) for start in {r.start for r in recipes}
    }
    return [
        tuple(r for r in recipes if lengths[r.start].index(r.epochs) == number)
        for number in range(max(map(len, lengths.values())))
    ]


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
