"""Halving: recipes start short, and the better ones go on for longer.

A short training says most of what a long one does about a learning rate. So each row tries all its recipes
with the fewest epochs, the better third of them with the next number of epochs, and so on, while the worse
half of the rows is dropped after each round (successive halving, arXiv 1502.07943). Where the best rate is
the highest or the lowest that was tried, the next one beyond joins; augmentations and the other choices of a
recipe (`LATE`) join late. The rounds end when more epochs are no longer better. If that is before the late
choices have joined, the leading row tries them once, with the next number of epochs, and takes one that is
better beyond the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas_peft.protocol.decision import Contestant, ranked, standard_error
from nas_peft.protocol.rows import Params, Row, Scores
from nas_peft.settings.method_recipes import CHOICES
from nas_peft.settings.training_config import TrainingConfig
from supernet import Recipe

LEAST_ROUNDS = 2
"""Rounds after which more epochs may count as no better."""

KEPT = 3
"""One of so many recipes of a row, rounded up, goes on to the next round."""

GAINED = 1.0
"""Standard errors of the paired difference in accuracy that one more round must gain for another.

With two, a task whose longer trainings are 2.5 points better by cross-validation ended too soon
(docs/log/plain_command.md): a round that is not needed costs time, one that is missing costs accuracy.
"""

BEYOND_NOISE = 2.0
"""Standard errors that a late choice must gain: of several that are no better, one always looks the best."""

AUGMENTED_ROUND = 2
"""Round, from 0, in which augmentations other than the first join: they do not pay in short trainings.

So do the values of the other `LATE` choices, each by itself.
"""

LATE = CHOICES
"""Fields of a recipe whose values other than the first join late."""

LATE_STAGE = "recipes, late choices"
"""The stage in which the leading row tries them, if the rounds have ended before they joined."""


@dataclass(frozen=True)
class Rounds:
    """The recipes of each row by round.

    ``all_of`` are the configured recipes of each row; with ``halved`` they come in rounds, otherwise all at
    once. ``several`` says whether any row has more than one recipe.
    """

    all_of: Mapping[Row, Sequence[Recipe]]
    halved: bool

    @classmethod
    def of(cls, rows: Sequence[Row], config: TrainingConfig, probe: Recipe) -> Rounds:
        """The rounds by a configuration."""
        return cls({row: row.recipes(config, probe) for row in rows}, config.halving)

    @property
    def several(self) -> bool:
        """Whether any row has more than one recipe."""
        return any(len(recipes) > 1 for recipes in self.all_of.values())

    @property
    def count(self) -> int:
        """The number of rounds of the row that has most."""
        if not self.halved:
            return 1
        return max((len(found) for r in self.all_of.values() for found in lengths(r).values()), default=0)

    def stage(self, number: int) -> str:
        """The name of the stage that trains a round, counted from 0."""
        if not self.several:
            return "retraining"
        return f"recipes {number + 1}" if self.count > 1 else "recipes"

    def recipes(
        self, row: Row, number: int, best_first: Sequence[Recipe] = (), tried: Sequence[Recipe] = ()
    ) -> Sequence[Recipe]:
        """The recipes that a row tries in a round; none if all its lengths have had their round.

        ``best_first`` are the row's recipes of the round before, ranked; ``tried`` are those of all rounds.
        """
        if not self.halved:
            return self.all_of[row]
        recipes, of_start = self.all_of[row], lengths(self.all_of[row])
        augmented = _augmented(recipes)
        if number == 0:
            shortest = [r for r in recipes if r.epochs == of_start[r.start][0]]
            first = [getattr(recipes[0], name) for name in LATE]
            return [r for r in shortest if not augmented or [getattr(r, name) for name in LATE] == first]
        left = [recipe for recipe in best_first if number < len(of_start[recipe.start])]
        going_on = [*left[: -(-len(left) // KEPT)], *beyond(left, tried)]
        if number == augmented:
            going_on += _with_late_choices(left[:1], recipes)
        return [replace(recipe, epochs=of_start[recipe.start][number]) for recipe in going_on]

    def late(self, row: Row, ended_after: int, best: Recipe) -> Sequence[Recipe]:
        """The recipes with late choices that a row tries where the rounds have ended before they joined.

        ``ended_after`` is the last round, from 0, and ``best`` the row's best recipe so far. Each choice is
        tried by itself with the next number of epochs, because it pays in longer trainings if at all.
        """
        recipes, of_start = self.all_of[row], lengths(self.all_of[row])
        if not self.halved or ended_after >= _augmented(recipes):
            return []
        longer = of_start[best.start][min(ended_after + 1, len(of_start[best.start]) - 1)]
        return [replace(r, epochs=longer) for r in _with_late_choices([best], recipes)]


def _augmented(recipes: Sequence[Recipe]) -> int:
    """The round, from 0, in which a row's late choices join: the last one, if there are few."""
    return min(AUGMENTED_ROUND, max(map(len, lengths(recipes).values())) - 1)


def _with_late_choices(best: Sequence[Recipe], recipes: Sequence[Recipe]) -> list[Recipe]:
    """Each of the ``best`` with each late value other than the first of ``recipes``, one at a time."""
    found = []
    for name in LATE:
        values = dict.fromkeys(getattr(r, name) for r in recipes)
        others = [value for value in values if value != getattr(recipes[0], name)]
        found += [replace(r, **{name: other}) for r in best for other in others]
    return found


def lengths(recipes: Sequence[Recipe]) -> dict[str, list[int]]:
    """The numbers of epochs of each start, ascending: those from inherited weights have their own."""
    return {
        start: sorted({r.epochs for r in recipes if r.start == start}) for start in {r.start for r in recipes}
    }


def beyond(best_first: Sequence[Recipe], tried: Sequence[Recipe]) -> list[Recipe]:
    """The best recipe at a new learning rate, if it has the highest or the lowest that was ever tried.

    The new rate is as far from the best as the best is from its neighbour. ``best_first`` is ranked; the
    rates are those of the recipes in ``tried`` that have the same start.
    """
    rates = sorted({recipe.lr for recipe in tried if best_first and recipe.start == best_first[0].start})
    if len(rates) < 2 or best_first[0].lr not in (rates[0], rates[-1]):
        return []
    neighbour = rates[1] if best_first[0].lr == rates[0] else rates[-2]
    return [replace(best_first[0], lr=float(f"{best_first[0].lr ** 2 / neighbour:.3g}"))]


def is_better(before: Contestant, now: Contestant, by: float) -> bool:
    """Whether a training is more accurate by more than so many standard errors of the paired difference.

    Without the scores of images any gain counts.
    """
    return now.accuracy - before.accuracy > by * standard_error(now.hits, before.hits)


def longer_is_better(shorter: Contestant, longer: Contestant) -> bool:
    """Whether the best training of more epochs is a reason to try more still.

    It is if it is more accurate than the best of fewer epochs by `GAINED` standard errors, and if another
    could be more accurate still (`can_be_better`).
    """
    return is_better(shorter, longer, GAINED) and can_be_better(longer)


def can_be_better(leader: Contestant) -> bool:
    """Whether any training could be more accurate than ``leader`` by more than the noise.

    None could if not even one that is right on all images is better by `BEYOND_NOISE` standard errors: the
    leader has three errors or fewer then. Other metrics than accuracy, missing images and a choice for
    shifted ones know no such bound.
    """
    if leader.shifted_loss is not None or leader.hits is None or not set(leader.hits) <= {0.0, 1.0}:
        return True
    perfect = replace(leader, accuracy=1.0, hits=np.ones_like(leader.hits))
    return is_better(leader, perfect, BEYOND_NOISE)


def survivors(scores: Mapping[Row, Scores], params: Params) -> list[Row]:
    """The rows that go on, in their order: all baselines, and the better half of each other group.

    The better half of n rows are the ⌈n/2⌉ rows that `decide` chooses one after another.
    """
    kept: set[str] = set()
    for group in ("searched", "single"):
        rivals = [
            found.contestant(row.name, params(row)) for row, found in scores.items() if row.group == group
        ]
        kept.update(ranked(rivals, (len(rivals) + 1) // 2))
    return [row for row in scores if row.name in kept or row.group == "baseline"]
