"""Random search: the baseline that every other searcher has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.new_proposals import NewProposals
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from search_spaces.streams import stream


@dataclass(frozen=True)
class RandomSearch(Searcher):
    """Draws over the whole range, as the supernet's training does, and learns nothing.

    Has no references, so that the result shows what chance finds.
    """

    searches_front: ClassVar[bool] = True
    task: SearchTask

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        new = NewProposals(self.task.over_range, history)
        new.add_samples(stream(self.task.seed, "random", generation))
        return new.completed()
