"""Plan of a search as studies run it, and the range of architectures that the search covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.harness.recipes import LR
from nas_peft.searching.searchers import SearchTask
from search_spaces import (
    Architecture,
    BackboneShape,
    Budget,
    BudgetSampler,
    SearchSpace,
    count_params,
    load_space,
    sampler_around,
    sampler_over_range,
)
from search_spaces.mixture import MixtureSampler, Sampler

Way = Literal["evolution", "evolution-whole", "random", "noah"]
"""Name of a searcher; ``evolution-whole`` scores every candidate on every image, without racing."""


@dataclass(frozen=True)
class SearchPlan:
    """Everything that decides a search but the data and the seed; defaults are those of ``nas-peft search``.

    Of several ``supernet_epochs`` validation data choose one, as in ``nas-peft search``.
    """

    ways: tuple[Way, ...] = ("evolution",)
    space: str = "default"
    budget: str = "0.75%"
    chooser: Literal["groups", "one-path"] = "groups"
    trained: Literal["space and budget", "space"] = "space and budget"
    supernet_epochs: int | tuple[int, ...] = 4
    supernet_lr: float = LR
    generations: int = 6
    population: int = 12

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        epochs = self.supernet_epochs
        return asdict(self) | {
            "ways": list(self.ways),
            "supernet_epochs": epochs if isinstance(epochs, int) else list(epochs),
        }


@dataclass(frozen=True)
class Range:
    """Architectures that a search covers on a backbone.

    Attributes:
        space: search space.
        shape: backbone that parameters are counted on.
        limit: budget in parameters.
        around: sampler of architectures from somewhat below the budget up to it.
        over: sampler of the front, half ``around`` the budget, half over all sizes.
        trained: sampler of the architectures that the supernet is trained on.
    """

    space: SearchSpace
    shape: BackboneShape
    limit: int
    around: BudgetSampler
    over: MixtureSampler
    trained: Sampler

    @classmethod
    def of(cls, plan: SearchPlan, shape: BackboneShape, backbone_params: int) -> Range:
        """Range of a plan on a backbone."""
        space = load_space(plan.space, shape.depth)
        limit = Budget.parse(plan.budget, backbone_params=backbone_params).max_params
        around = sampler_around(space, shape, limit)
        whole = sampler_over_range(space, shape, count_params(space.largest(), shape))
        trained = space if plan.trained == "space" else MixtureSampler((around, space))
        return cls(space, shape, limit, around, MixtureSampler((around, whole)), trained)

    def fits(self, a: Architecture) -> bool:
        """Whether an architecture is within the budget."""
        return count_params(a, self.shape) <= self.limit

    def references(self) -> list[Architecture]:
        """Each kind alone in every layer, at the sizes within the budget; the largest of each kind first."""
        by_kind = [
            [a for a in self.space.uniform_architectures(kind) if self.fits(a)]
            for kind, _ in self.space.kinds
        ]
        largest = [fitting[-1] for fitting in by_kind if fitting]
        return [*largest, *(a for fitting in by_kind for a in fitting[:-1])]

    def task(self, plan: SearchPlan, seed: int) -> SearchTask:
        """Task that searchers are given: the budget, and the front over all sizes beside it."""

        def of(sampler: Any, fits: Callable[[Architecture], bool], front: SearchTask | None) -> SearchTask:
            references = self.references()[: plan.population // 2]
            return SearchTask(
                self.space, fits, sampler, references, plan.population, plan.generations, seed, front=front
            )

        return of(self.around, self.fits, of(self.over, lambda a: True, None))
