"""Interface between the main job and a searcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from nas_peft.searching.candidate import Candidate, Proposal


class Searcher(Protocol):
    """Proposes architectures to evaluate; knows nothing of networks, images or torch.

    There is no ``tell``: every ask passes the whole history. A searcher that kept what it was told would have
    a state, and that state would have to be saved, restored and kept in step with the run's record, or a
    search that resumes after a kill would go on differently. A function of seed, generation and history has
    nothing to restore, and the record cannot disagree with it. Deriving a population or a model of the losses
    from the history again takes milliseconds, whereas evaluating one candidate takes tenths of a second.

    A searcher is a frozen dataclass whose first field is ``task``, a `SearchTask`; its other fields have
    defaults and are its options. `register_searcher` gives it a name,
    ``tests/nas_peft/searching/searchers/test_conformance.py`` checks the rules for every searcher, and
    ``examples/custom_searcher.py`` is an example. Subclasses inherit `ranked`.

    Candidates are within the budget of the task. A searcher that sets ``searches_front`` proposes from
    ``task.over_range`` instead, which has all sizes, so that its history holds a front. The accuracies of
    candidates that were eliminated early are of other images than the rest's (only their losses are
    estimates of all images), so nobody is eliminated in the search of one that ``compares_accuracies``.
    """

    searches_front: ClassVar[bool] = False

    @property
    def compares_accuracies(self) -> bool:
        """Whether candidates are ranked by their accuracies."""
        return False

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """Proposals of ``generation`` (from 0), given ``history``, the candidates of earlier generations.

        At most ``task.population`` different members of the space with at least one module, within the
        budget, none of them in the history; fewer only when all others have been proposed, and none once the
        space is exhausted. Proposals depend only on the task (which holds the seed), the generation and the
        history, not on earlier asks, the history's order or any global generator. A loss may be infinite.
        """
        ...

    def ranked(self, history: Sequence[Candidate]) -> list[Candidate]:
        """Candidates that may be retrained, best first; here all of them, by `Candidate.rank_key`."""
        return sorted(history, key=Candidate.rank_key)
