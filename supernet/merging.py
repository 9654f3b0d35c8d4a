"""Merging of modules into the backbone's own weights."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from search_spaces import Architecture, InputError
from supernet.modules import ELASTIC, ElasticModule, LoRAPositions, Place
from supernet.operations import Operations
from supernet.position_folding import fold_positions
from supernet.projection_weights import biases_beside, parts_of, read_projection
from supernet.supernet import Supernet
from supernet.trunk import Trunk

PLACES: tuple[Place, ...] = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")

INPUTS: dict[Place, Place] = {"qkv_input": "qkv", "fc1_input": "fc1"}
"""Inputs of projections, with the projections that modules there merge into."""


@torch.no_grad()
def merged(subnet: Supernet) -> Supernet:
    """A network that computes the same function, with LoRA, DoRA, FacT, RepAdapter and SSF merged.

    The backbone is a copy; the subnet's own stays as it is. LoRA on the position embedding is merged where
    the backbone adds a table of positions right before its layers (`fold_positions`). Modules that cannot be
    merged (prompts, adapters) remain. If none remain (an empty ``capacity``), the backbone is a plain timm
    model with other weights, and timm's own ``forward_features`` and ``forward_head`` compute the input of
    ``head``. Parameters have timm's names; a shift may add a bias that timm's class does not have.

    Raises `InputError` for a shift on a normalisation without a bias (RMSNorm), and for a mergeable module
    that applies at the same place after one that cannot be merged, or to the input of one.
    """
    _require_mergeable_first(subnet)
    backbone = copy.deepcopy(subnet.backbone)
    folded = _fold_positions(Trunk(backbone), subnet)
    rest = [kind for kind in subnet.capacity.kinds if not ELASTIC[kind].mergeable and kind not in folded]
    result = Supernet(
        backbone,
        Architecture.of(subnet.capacity.depth, {kind: subnet.capacity[kind] for kind in rest}),
        subnet.num_classes,
    )
    own = subnet.module_tensors(subnet.capacity)
    result.load_module_tensors({name: own[name] for name in result.module_tensors(result.capacity)})
    for i, (layer, modules) in enumerate(zip(result.trunk.layers, subnet.layers, strict=True)):
        found = cast(nn.ModuleDict, modules)
        mergeable = [kind for kind in subnet.capacity.kinds if kind in found and ELASTIC[kind].mergeable]
        for places in (PLACES, tuple(INPUTS)):  # what LoRA adds to a projection reads the changed input too
            for kind in mergeable:
                _merge(layer, cast(ElasticModule, found[kind]), places, f"{kind} of layer {i}")
    return result


def _fold_positions(trunk: Trunk, subnet: Supernet) -> tuple[str, ...]:
    """Fold LoRA on positions into ``trunk`` if possible; return the kind if it was."""
    modules = cast(nn.ModuleDict, subnet.layers[0])
    if LoRAPositions.kind not in modules:
        return ()
    module = cast(LoRAPositions, modules[LoRAPositions.kind])
    done = fold_positions(trunk, module.added(module.down, module.capacity))
    return (LoRAPositions.kind,) if done else ()


def _require_mergeable_first(subnet: Supernet) -> None:
    for layer in subnet.layers:
        last: dict[Place, str] = {}
        for kind, module in sorted(cast(nn.ModuleDict, layer).items()):
            for place in cast(ElasticModule, module).places:
                if place in last and ELASTIC[kind].mergeable:
                    raise InputError(
                        f"{kind} cannot be merged: at {place} it applies after {last[place]}, which cannot "
                        f"be merged; rename {last[place]} so that it comes later in the alphabet"
                    )
                if not ELASTIC[kind].mergeable:
                    last[place] = kind
        for kind, module in sorted(cast(nn.ModuleDict, layer).items()):
            for place in cast(ElasticModule, module).places:
                reader = last.get(INPUTS.get(place, place))
                if place in INPUTS and ELASTIC[kind].mergeable and reader is not None:
                    raise InputError(
                        f"{kind} cannot be merged: it changes what {reader} reads, which cannot be merged; "
                        "use the subnet unmerged"
                    )


def _merge(layer: Operations, module: ElasticModule, places: tuple[Place, ...], name: str) -> None:
    for place in places:
        if place not in module.places:
            continue
        operation = INPUTS.get(place, place)
        weight, bias = read_projection(layer, operation)
        new_weight, new_bias = module.merge(place, weight, bias)
        if not torch.equal(new_weight, weight) or not torch.equal(new_bias, bias):
            _write(layer, operation, new_weight, new_bias, name)


def _write(layer: Operations, place: Place, weight: Tensor, bias: Tensor, name: str) -> None:
    parts = parts_of(layer, place)
    if biases_beside(layer, place):
        bias = _written_beside(layer.attention, bias)
    sizes = [len(part.weight) for part in parts]
    values = zip(parts, torch.split(weight, sizes), torch.split(bias, sizes), strict=True)
    for part, its_weight, its_bias in values:
        part.weight = _frozen(its_weight)
        if getattr(part, "bias", None) is None and not its_bias.any():
            continue
        if not hasattr(part, "bias"):
            raise InputError(
                f"{name} shifts the output of {place}, a {type(part).__name__}, which has no bias to merge "
                "the shift into; use the subnet unmerged"
            )
        part.bias = _frozen(its_bias)


def _written_beside(attention: Any, bias: Tensor) -> Tensor:
    """Write the biases of queries and values, and return the bias of the projection itself.

    Keys have no bias parameter (only a buffer of zeros that no file stores). If the keys need a bias, all
    three biases move into the projection, which timm's forward pass then uses.
    """
    queries, keys, values = bias.chunk(3)
    if keys.any():
        attention.q_bias = attention.k_bias = attention.v_bias = None
        return bias
    attention.q_bias, attention.v_bias = _frozen(queries), _frozen(values)
    return torch.zeros_like(bias)


def _frozen(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=False)
