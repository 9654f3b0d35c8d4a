"""Penalties that hold trained weights near the pretrained function (L2-SP)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from supernet.modules.elastic import ELASTIC


@dataclass(frozen=True)
class Penalty:
    """L2-SP (Li, Grandvalet, Davoine 2018, arXiv 1802.01483), added to the loss of every step:

        (α/2)·‖w − w⁰‖² + (β/2)·‖v‖²

    with w the backbone's trained parameters, w⁰ their values before the training, and v the head's parameters
    (weights and bias), which have no pretrained values. ``backbone`` is α and ``head`` is β.
    """

    backbone: float
    head: float


class PenaltyGradient:
    """Adds the gradient of a `Penalty`, α·(w − w⁰) and β·v, to that of a step.

    The gradient is added once in a step, after those of all parts of the batch and all processes. The penalty
    does not depend on images, so each process adds the same gradient.

    Args:
        penalty: the penalty.
        parameters: trained parameters by their names in `Supernet.named_parameters`; the present values are
            w⁰.
    """

    def __init__(self, penalty: Penalty, parameters: Mapping[str, nn.Parameter]) -> None:
        self._penalty = penalty
        self._backbone: list[tuple[nn.Parameter, Tensor]] = [
            (p, p.detach().clone()) for name, p in parameters.items() if name.startswith("backbone.")
        ]
        self._head = [p for name, p in parameters.items() if name.startswith("head.")]

    @torch.no_grad()
    def add(self) -> None:
        """Add to all parameters that have a gradient; parameters without one were not used and stay at w⁰."""
        for parameter, start in self._backbone:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self._penalty.backbone)
        for parameter in self._head:
            if parameter.grad is not None:
                parameter.grad.add_(parameter, alpha=self._penalty.head)


class ModulePull:
    """Adds the gradient of L2-SP for modules, (α/2)·‖v − v⁰‖², to that of a step.

    v are the module parameters that `ElasticModule.pretrained` names: up-projections of LoRA and adapters,
    scales and shifts of SSF, magnitudes of DoRA. v⁰ are the values there, at which a module leaves the
    pretrained function as it is, whatever the values are that the training starts from. Prompts have no such
    values and are not pulled; neither are the parameters that do not matter at v⁰, nor the head.

    Args:
        alpha: α, above 0.
        parameters: trained parameters by their names in `Supernet.named_parameters`.
    """

    def __init__(self, alpha: float, parameters: Mapping[str, nn.Parameter]) -> None:
        self._alpha = alpha
        self._pulled = [
            (parameter, value)
            for name, parameter in parameters.items()
            if (value := pretrained_value(name)) is not None
        ]

    @torch.no_grad()
    def add(self) -> None:
        """Add to all parameters that have a gradient; those without one were not used and stay."""
        for parameter, value in self._pulled:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - value, alpha=self._alpha)


def pretrained_value(name: str) -> float | None:
    """The value of a module parameter at the pretrained function, by its name in a supernet, or ``None``."""
    parts = name.split(".")
    if len(parts) < 4 or parts[0] != "layers" or parts[2] not in ELASTIC:
        return None
    return ELASTIC[parts[2]].pretrained.get(".".join(parts[3:]))
