"""Search spaces, their architectures and what these cost; nothing here needs torch.

An `Architecture` says which modules of which size each layer of a Vision Transformer has. A `SearchSpace` is
a set of architectures (`load_space` reads the presets and your own YAML files). `count_params` gives the cost
of an architecture, `Budget` limits the cost, `mutate` and `crossover` move inside a space, and
`BudgetSampler` draws around a budget. All randomness comes from the `numpy.random.Generator` you pass.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_spaces.architecture import Architecture as Architecture
    from search_spaces.budget import Budget as Budget
    from search_spaces.choices import KindChoices as KindChoices
    from search_spaces.counting import count_bytes as count_bytes
    from search_spaces.counting import count_flops as count_flops
    from search_spaces.counting import count_params as count_params
    from search_spaces.counting import count_params_noah as count_params_noah
    from search_spaces.counting import head_params as head_params
    from search_spaces.errors import InputError as InputError
    from search_spaces.errors import unknown_name as unknown_name
    from search_spaces.kinds import KINDS as KINDS
    from search_spaces.kinds import Kind as Kind
    from search_spaces.kinds import register_kind as register_kind
    from search_spaces.latency import LatencyTable as LatencyTable
    from search_spaces.presets import load_space as load_space
    from search_spaces.presets import preset_names as preset_names
    from search_spaces.reachable import ReachableCounts as ReachableCounts
    from search_spaces.sampling import BudgetSampler as BudgetSampler
    from search_spaces.sampling import range_around as range_around
    from search_spaces.sampling import sampler_around as sampler_around
    from search_spaces.sampling import sampler_over_range as sampler_over_range
    from search_spaces.shape import BackboneShape as BackboneShape
    from search_spaces.space import SearchSpace as SearchSpace
    from search_spaces.variation import crossover as crossover
    from search_spaces.variation import mutate as mutate

# Imported on first use: the command line reads names and errors from here to print its help, and numpy takes
# a fifth of the time that the help may take.
_HOMES = {
    "KINDS": "kinds",
    "Architecture": "architecture",
    "BackboneShape": "shape",
    "Budget": "budget",
    "BudgetSampler": "sampling",
    "InputError": "errors",
    "Kind": "kinds",
    "KindChoices": "choices",
    "LatencyTable": "latency",
    "ReachableCounts": "reachable",
    "SearchSpace": "space",
    "count_bytes": "counting",
    "count_flops": "counting",
    "count_params": "counting",
    "count_params_noah": "counting",
    "crossover": "variation",
    "head_params": "counting",
    "load_space": "presets",
    "mutate": "variation",
    "preset_names": "presets",
    "range_around": "sampling",
    "register_kind": "kinds",
    "sampler_around": "sampling",
    "sampler_over_range": "sampling",
    "unknown_name": "errors",
}

__all__ = [
    "KINDS",
    "Architecture",
    "BackboneShape",
    "Budget",
    "BudgetSampler",
    "InputError",
    "Kind",
    "KindChoices",
    "LatencyTable",
    "ReachableCounts",
    "SearchSpace",
    "count_bytes",
    "count_flops",
    "count_params",
    "count_params_noah",
    "crossover",
    "head_params",
    "load_space",
    "mutate",
    "preset_names",
    "range_around",
    "register_kind",
    "sampler_around",
    "sampler_over_range",
    "unknown_name",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # the next look-up is that of any module
    return found
