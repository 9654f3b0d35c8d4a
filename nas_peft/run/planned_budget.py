"""The budget of a run whose time is planned, where the user gives none."""

from __future__ import annotations

from math import ceil

from nas_peft.run.single_methods import lora_everywhere
from search_spaces import BackboneShape, count_params

LEAST_PERCENT = 4
"""Share of the backbone's parameters that a plan's budget has at least."""

LEAST_RANK = 8
"""Rank of LoRA everywhere that a plan's budget has room for.

A share alone leaves little on a narrow backbone: 4% are rank 3 on the shipped one and rank 23 on ViT-B/16. So
low a rank is behind on six tasks of seven, by cross-validation (docs/log/plan_budget.md).
"""


def budget_of(shape: BackboneShape, params: int, head_params: int = 0) -> str:
    """The budget of a plan: `LEAST_PERCENT` of the backbone, or what LoRA of `LEAST_RANK` everywhere needs.

    ``params`` is the number of the backbone's parameters, and ``head_params`` that of a classifier for which
    the budget has to have room, too. Of subnets that are equal on validation data the smaller one is
    exported.
    """
    needed = 100 * count_params(lora_everywhere(LEAST_RANK, shape), shape) / params
    return f"{ceil(max(LEAST_PERCENT, needed) + 100 * head_params / params)}%"
