"""Searchers propose the next architectures to evaluate from the candidates so far; nothing here needs torch.

A `Searcher` proposes the architectures of a generation from the history of a `SearchTask`; `SEARCHERS` holds
them by name, and `register_searcher` adds one.
"""

from nas_peft.searching.searchers.evolution import Evolution
from nas_peft.searching.searchers.new_proposals import NewProposals
from nas_peft.searching.searchers.noah import Noah
from nas_peft.searching.searchers.nsga2 import Nsga2
from nas_peft.searching.searchers.random_search import RandomSearch
from nas_peft.searching.searchers.registry import (
    SEARCHERS,
    build_searcher,
    describe_searcher,
    option_names,
    parse_options,
    register_searcher,
    searches_front,
)
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from nas_peft.searching.searchers.tpe import Tpe

__all__ = [
    "SEARCHERS",
    "Evolution",
    "NewProposals",
    "Noah",
    "Nsga2",
    "RandomSearch",
    "SearchTask",
    "Searcher",
    "Tpe",
    "build_searcher",
    "describe_searcher",
    "option_names",
    "parse_options",
    "register_searcher",
    "searches_front",
]
