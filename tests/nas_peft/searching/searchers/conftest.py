"""Tasks without a network: spaces, budgets and made-up losses."""

import math
from collections.abc import Callable, Iterable, Sequence

import pytest

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers import Searcher, SearchTask
from search_spaces import (
    Architecture,
    BackboneShape,
    KindChoices,
    SearchSpace,
    count_params,
    load_space,
    sampler_around,
)

SHAPE = BackboneShape.vit(8, 4, tokens=5)
KIND_WORTH = {"lora_rank": 1.0, "adapter_dim": 0.6, "prompt_tokens": 0.3}
Evaluate = Callable[[Sequence[Proposal], int, int], list[Candidate]]


def _cost(a: Architecture) -> int:
    return count_params(a, SHAPE)


@pytest.fixture(scope="session")
def cost() -> Callable[[Architecture], int]:
    """The parameters of an architecture."""
    return _cost


@pytest.fixture(scope="session")
def spaces() -> dict[str, SearchSpace]:
    """A free one, one of both forms, and NOAH's, of four layers and width 8."""
    mixed = (
        ("adapter_dim", KindChoices((0, 1, 2))),
        ("lora_rank", KindChoices((1, 2, 4), depths=(0, 2, 4))),
    )
    return {
        "default": load_space("default", 4),
        "mixed": SearchSpace("mixed", 4, mixed),
        "noah": load_space("noah-vtab", 4),
    }


@pytest.fixture(scope="session")
def make_task() -> Callable[..., SearchTask]:
    """A task in a space within a number of parameters."""

    def make(
        space: SearchSpace, limit: int, *, seed: int = 0, population: int = 8, generations: int = 4
    ) -> SearchTask:
        uniform = [a for kind, _ in space.kinds for a in space.uniform_architectures(kind)]
        return SearchTask(
            space=space,
            fits=lambda a: _cost(a) <= limit,
            sampler=sampler_around(space, SHAPE, limit),
            references=uniform,
            population=population,
            generations=generations,
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def evaluate() -> Evaluate:
    """Made-up losses: kinds and layers are worth more or less, and sizes ever less the larger they are."""

    def loss(a: Architecture) -> float:
        worth = sum(
            KIND_WORTH[kind] * (1.0 if layer % 2 == 0 else 0.3) * math.log2(1 + size) / (1 + layer)
            for kind, sizes in a.sizes
            for layer, size in enumerate(sizes)
        )
        return 3 * math.exp(-worth / 3)

    def candidates(proposals: Sequence[Proposal], generation: int, first: int) -> list[Candidate]:
        found = []
        for number, proposal in enumerate(proposals, first):
            value = loss(proposal.architecture)
            accuracy = round(math.exp(-value), 1)  # with many ties
            params = _cost(proposal.architecture)
            found.append(
                Candidate(number, generation, proposal, params, 9 * params, value, 0.1, accuracy, 30)
            )
        return found

    return candidates


@pytest.fixture(scope="session")
def search(evaluate: Evaluate) -> Callable[..., list[Candidate]]:
    """A whole search by a searcher, as the main job does it."""

    def run(searcher: Searcher, generations: Iterable[int], using: Evaluate = evaluate) -> list[Candidate]:
        history: list[Candidate] = []
        for generation in generations:
            proposals = searcher.ask(generation, list(history))
            if not proposals:
                break
            history += using(proposals, generation, len(history))
        return history

    return run
