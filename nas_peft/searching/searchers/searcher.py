"""The protocol of a searcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from nas_peft.searching.candidate import Candidate, Proposal


class Searcher(Protocol):
    """Asks for architectures to be evaluated; knows nothing of networks, images or torch.

    There is no ``tell``: the history is what a searcher is told, all of it, at every ask. A searcher that
    keeps what it was told has a state, and a state must be saved, restored and kept in step with the record
    of the run, or a search that was killed goes on differently from one that was not. A function of seed,
    generation and history has nothing to restore, and the record cannot disagree with it. What a searcher
    derives from the history (a population, a model of the losses) takes milliseconds to derive again, where
    evaluating one candidate takes tenths of a second.

    A searcher is a frozen dataclass whose first field is ``task``, a `SearchTask`; its other fields have
    defaults and are its options. `register_searcher` gives it a name, and
    ``tests/nas_peft/searching/searchers/test_conformance.py`` says what every searcher must do; ``examples/
    custom_searcher.py`` is one. Subclasses inherit `ranked`.

    Candidates are within the budget of the task. A searcher that sets ``searches_front`` proposes from
    ``task.over_range`` instead: of all sizes, so that its history holds a front.
    """

    searches_front: ClassVar[bool] = False

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """The proposals of ``generation`` (from 0) after ``history``, the candidates of earlier ones.

        They are at most ``task.population`` members of the space with at least one module, within the budget,
        none of them in the history and none twice; fewer only if no other is left, and none at the end of
        the space. They depend on the task (which holds the seed), the generation and the history alone: not
        on earlier asks, the history's order or the state of any global generator. A loss may be infinite.
        """
        ...

    def ranked(self, history: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that may be retrained, best first: all of them, by `Candidate.rank_key`."""
        return sorted(history, key=Candidate.rank_key)
