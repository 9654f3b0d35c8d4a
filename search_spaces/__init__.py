"""Search spaces, their architectures and what these cost; nothing here needs torch.

An `Architecture` says which modules of which size each layer of a Vision Transformer has. A `SearchSpace` is
a set of architectures (`load_space` reads the presets and your own YAML files). `count_params` gives the cost
of an architecture, `Budget` limits the cost, `mutate` and `crossover` move inside a space, and
`BudgetSampler` draws around a budget. All randomness comes from the `numpy.random.Generator` you pass.
"""

from search_spaces.architecture import Architecture
from search_spaces.budget import Budget
from search_spaces.choices import KindChoices
from search_spaces.counting import count_bytes, count_flops, count_params, count_params_noah, head_params
from search_spaces.errors import InputError, unknown_name
from search_spaces.kinds import KINDS, Kind, register_kind
from search_spaces.latency import LatencyTable
from search_spaces.presets import load_space, preset_names
from search_spaces.reachable import ReachableCounts
from search_spaces.sampling import BudgetSampler, range_around, sampler_around, sampler_over_range
from search_spaces.shape import BackboneShape
from search_spaces.space import SearchSpace
from search_spaces.variation import crossover, mutate

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
