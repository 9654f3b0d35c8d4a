"""Collection of the proposals of one generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.task import SearchTask
from search_spaces.enumeration import members_within

Way: TypeAlias = Callable[[], "Proposal | None"]
"""Makes a proposal, or ``None`` if the draw failed."""

TRIES = 200
"""Draws without a new architecture after which a way counts as exhausted."""


class NewProposals:
    """Collects proposals and keeps those allowed: new, within the budget, not empty.

    A searcher adds proposals in order of preference and ends with `completed`, which fills the generation
    unless the space is exhausted.
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
        """Keep ``proposal`` if it is allowed and there is room. Returns whether it was kept."""
        if proposal is None:
            return False
        a = proposal.architecture
        if self.full or a in self._seen or not a.kinds or not self._task.fits(a):
            return False
        self._seen.add(a)
        self._proposals.append(proposal)
        return True

    def add_one(self, *ways: Way, tries: int = TRIES) -> bool:
        """Keep one proposal of the first way that makes a new one in ``tries`` draws.

        Returns whether a proposal was kept.
        """
        return any(self.add(way()) for way in ways for _ in range(tries))

    def add_references(self) -> None:
        """Add the task's references that are members, in their order."""
        for reference in self._task.references:
            if reference in self._task.space:
                self.add(Proposal(reference, "reference"))

    def add_samples(self, rng: np.random.Generator) -> None:
        """Fill up with new draws of the task's sampler."""
        while not self.full and self.add_one(lambda: Proposal(self._task.sampler.sample(rng), "sample")):
            pass

    def completed(self) -> list[Proposal]:
        """The proposals, filled up with any other members within the budget."""
        if not self.full:
            for architecture in members_within(self._task.space, self._task.fits):
                self.add(Proposal(architecture, "enumeration"))
                if self.full:
                    break
        return list(self._proposals)
