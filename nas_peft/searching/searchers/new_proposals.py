"""The proposals of one generation while they are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.task import SearchTask
from search_spaces.enumeration import members_within

Way: TypeAlias = Callable[[], "Proposal | None"]
"""Makes a proposal; ``None`` where a draw came to nothing."""

TRIES = 200
"""Draws for one new architecture before a way to make them counts as used up."""


class NewProposals:
    """Takes what a searcher thinks of, and keeps what may be proposed: new, within the budget, not empty.

    A searcher adds what it wants in the order it wants it, and ends with `completed`, which sees to it that a
    generation is short only when the space is used up.
    """

    def __init__(self, task: SearchTask, history: Sequence[Candidate]) -> None:
        self._task = task
        self._seen = {c.architecture for c in history}
        self._proposals: list[Proposal] = []

    def __len__(self) -> int:
        return len(self._proposals)

    @property
    def full(self) -> bool:
        """Whether the generation is complete."""
        return len(self._proposals) >= self._task.population

    def add(self, proposal: Proposal | None) -> bool:
        """Keep ``proposal`` if it may be proposed and there is room; whether it was kept."""
        if proposal is None:
            return False
        a = proposal.architecture
        if self.full or a in self._seen or not a.kinds or not self._task.fits(a):
            return False
        self._seen.add(a)
        self._proposals.append(proposal)
        return True

    def add_one(self, *ways: Way, tries: int = TRIES) -> bool:
        """Keep one proposal of the first way that makes a new one in ``tries`` draws; whether one did."""
        return any(self.add(way()) for way in ways for _ in range(tries))

    def add_references(self) -> None:
        """The task's references that are members, in their order."""
        for reference in self._task.references:
            if reference in self._task.space:
                self.add(Proposal(reference, "reference"))

    def add_samples(self, rng: np.random.Generator) -> None:
        """Fill up with draws of the task's sampler, as far as they are new."""
        while not self.full and self.add_one(lambda: Proposal(self._task.sampler.sample(rng), "sample")):
            pass

    def completed(self) -> list[Proposal]:
        """The proposals, filled up with whatever members within the budget are left."""
        if not self.full:
            for architecture in members_within(self._task.space, self._task.fits):
                self.add(Proposal(architecture, "enumeration"))
                if self.full:
                    break
        return list(self._proposals)
