"""A searcher of your own: local search, registered under a name and run by ``nas_peft.search``.

The searcher is the class below; the rest of the file runs a search with it::

    python examples/custom_searcher.py --dataset digits --out runs/local

Fields with defaults are the options of a searcher: here ``--searcher-options starts=2``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nas_peft
from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers import NewProposals, Searcher, SearchTask, register_searcher
from search_spaces import Architecture, InputError
from search_spaces.streams import stream


@dataclass(frozen=True)
class LocalSearch(Searcher):
    """Proposes neighbours of the best candidates: one size in one layer becomes the next smaller or larger.

    Args:
        task: the search task.
        starts: number of best candidates whose neighbours are proposed.
    """

    task: SearchTask
    starts: int = 3

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise InputError(f"starts is {self.starts}; give a whole number from 1 up")

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "local", generation)
        new = NewProposals(self.task, history)  # keeps new ones within the budget, up to a generation
        if generation == 0:
            new.add_references()
            new.add_samples(rng)
        steps = [
            Proposal(neighbour, "step", (c.number,))
            for c in self.ranked(history)[: self.starts]
            for neighbour in self._neighbours(c.architecture)
        ]
        for i in rng.permutation(len(steps)):
            new.add(steps[int(i)])
        new.add_samples(rng)
        return new.completed()  # fewer than a generation only if no architecture is left

    def _neighbours(self, a: Architecture) -> Iterator[Architecture]:
        for kind, choices in self.task.space.kinds:
            for layer, size in enumerate(a[kind]):
                if size not in choices.sizes:
                    continue  # the layer is beyond the depth of the kind
                at = choices.sizes.index(size)
                for other in choices.sizes[max(0, at - 1) : at] + choices.sizes[at + 1 : at + 2]:
                    changed = (*a[kind][:layer], other, *a[kind][layer + 1 :])
                    yield Architecture(a.depth, (*((k, s) for k, s in a.sizes if k != kind), (kind, changed)))


register_searcher("local", LocalSearch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits", help="name or folder of the data set")
    parser.add_argument("--searcher-options", default="", help="options of the searcher, such as starts=2")
    parser.add_argument("--generations", type=int, default=6, help="generations of the search")
    parser.add_argument("--population", type=int, default=24, help="candidates in each generation")
    parser.add_argument("--supernet-epochs", type=int, default=16, help="epochs of training the supernet")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each retraining and baseline")
    parser.add_argument("--retrain", type=int, default=3, help="number of best searched subnets to retrain")
    parser.add_argument("--out", type=Path, default=None, help="run folder; by default a folder under runs/")
    args = vars(parser.parse_args())
    out = args.pop("out")
    result = nas_peft.search(nas_peft.SearchConfig.of(searcher="local", **args), out)
    print(f"{result.selected.label}: {result.selected.description}; run folder: {result.run}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
