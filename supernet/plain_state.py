"""The state dict of a plain timm model that computes what a subnet without modules computes."""

from __future__ import annotations

from typing import Any, cast

from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from search_spaces import KINDS, InputError
from supernet.supernet import Supernet


def plain_state(network: Supernet, original: nn.Module) -> dict[str, Tensor]:
    """The tensors of timm's own model with the subnet's head as its classifier, by timm's names.

    ``network`` is the result of `merged`; ``original`` is the backbone before merging. A distilled DeiT has
    two classifiers whose logits timm averages; both are the head.

    Raises `InputError` if a module remains, and if merging added a bias that timm's class does not have.
    """
    if network.capacity.kinds:
        labels = ", ".join(KINDS[kind].label for kind in network.capacity.kinds)
        raise InputError(f"{labels} cannot be merged into the weights; use the subnet with its modules")
    state = _without_classifier(network.backbone)
    if added := sorted(state.keys() ^ _without_classifier(original).keys()):
        raise InputError(
            f"merging needs other parameters than this timm model has ({', '.join(added[:3])}); "
            "use the subnet unmerged"
        )
    for classifier in classifiers(original):
        for name, value in network.head.state_dict().items():
            state[f"{classifier}.{name}"] = value.detach().clone()
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def classifiers(model: nn.Module) -> tuple[str, ...]:
    """The names of a timm model's classifiers."""
    return ("head", "head_dist") if isinstance(model, VisionTransformerDistilled) else ("head",)


def with_head(model: nn.Module, head: nn.Linear) -> nn.Module:
    """Put the values of ``head`` into the classifiers of the timm ``model``, and return the model."""
    cast(Any, model).reset_classifier(head.out_features)
    for name in classifiers(model):
        getattr(model, name).load_state_dict(head.state_dict())
    return model.eval().requires_grad_(False)


def _without_classifier(model: nn.Module) -> dict[str, Tensor]:
    of_head = tuple(f"{name}." for name in classifiers(model))
    return {name: value for name, value in model.state_dict().items() if not name.startswith(of_head)}
