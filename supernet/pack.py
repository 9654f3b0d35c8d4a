"""Several networks around one frozen trunk, run as one.

With a small backbone the time of a step on a GPU depends on its number of kernels, and M trainings one after
another start M times that number. A pack joins the M batches into one, which passes through the shared trunk
once; only the modules, which are small, use different weights for each model.

The networks remain independent. A pack moves the values of their parameters into common storage; parameters
and gradients become views of that storage at exact size. Each network can therefore be scored, saved or
trained alone at any moment. Each has its own optimizer, equal to that of a single training (no optimizer sees
padding), and a model that fails does not affect the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from search_spaces import KINDS
from supernet.depth_dropout import KeptLayers
from supernet.layer import layer_forward
from supernet.module_stack import (
    HeadStack,
    ParameterStack,
    StackedModule,
    StackedPositions,
    StackedPrompts,
    StackedTokens,
    divided,
)
from supernet.modules import ELASTIC, ElasticModule, InLayer, LoRAPositions, Prompts, ShallowPrompts, Size
from supernet.operations import Positions
from supernet.supernet import Supernet


class Pack:
    """The networks of several trainings around one frozen backbone, each at its capacity.

    Args:
        networks: networks around one backbone object with the same number of classes, of any architectures.
        together: run the modules of one kind and layer as one, at the largest size under masks, so that the
            number of operations does not depend on the number of models. Otherwise modules are grouped by
            size, and each group runs at exact size. By default True on a GPU; on a CPU models of one
            architecture run at exact size, and other models one after another, because there is no wait for
            kernels to save there, and gathering the rows of each size takes time.

    Raises ``ValueError`` for no network, and for networks around different backbones or with different
    numbers of classes.
    """

    def __init__(self, networks: Sequence[Supernet], *, together: bool | None = None) -> None:
        if not networks:
            raise ValueError("a pack needs at least one network")
        first = networks[0]
        if any(network.backbone is not first.backbone for network in networks):
            raise ValueError(
                "the networks of a pack share one backbone; give networks around the same object"
            )
        if classes := {network.num_classes for network in networks} - {first.num_classes}:
            raise ValueError(f"the networks of a pack have {first.num_classes} and {classes} classes")
        self.networks = list(networks)
        self.trunk = first.trunk
        self.checkpointing = False
        on_cpu = first.head.weight.device.type == "cpu"
        alike = len({network.capacity for network in networks}) == 1
        self._apart = together is None and on_cpu and not alike
        self._stacks: list[ParameterStack] = []
        if self._apart:
            return
        exact = on_cpu if together is None else not together
        self._layers: list[nn.ModuleDict] = []
        for index in range(first.capacity.depth):
            self._layers.append(self._layer(index, not exact))
        self._head = HeadStack([network.head for network in networks])
        self._stacks.append(self._head)

    def __len__(self) -> int:
        return len(self.networks)

    @property
    def passes(self) -> list[slice]:
        """The models of each pass: all of them, or one each where they run one after another."""
        return [slice(m, m + 1) for m in range(len(self))] if self._apart else [slice(0, len(self))]

    def __call__(self, images: Tensor, models: slice | None = None, kept: KeptLayers | None = None) -> Tensor:
        """Logits ``(M, B, classes)`` of normalised images ``(M·B, 3, H, W)``, B of each model.

        With ``models``, one of `passes`, M is the number of these. ``kept`` leaves parts of the layers out
        for some images.
        """
        if self._apart:
            networks = self.networks if models is None else self.networks[models]
            if len(networks) == 1:
                return self._alone(networks[0], images, kept)[None]
            if kept is not None:
                raise ValueError("networks that run one after another take kept for one of them at a time")
            parts = torch.chunk(images, len(networks))
            return torch.stack([self._alone(n, part) for n, part in zip(networks, parts, strict=True)])
        batch = len(images)
        sizes = [self._sizes(modules, batch // len(self)) for modules in self._layers]
        x, at, prompts = self._embed(images)
        of_layers = zip(self.trunk.layers, self._layers, sizes, at, strict=True)
        for index, (layer, modules, size, where) in enumerate(of_layers):
            arguments = (layer, modules, x, size, where, None if kept is None else kept.layer(index))
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer_forward, *arguments, use_reentrant=False)
            else:
                x = layer_forward(*arguments)
        pooled = self.trunk.pool(self.trunk.without_prompts(x, prompts) if prompts else x)
        return self._head(divided(pooled, len(self)))

    def _alone(self, network: Supernet, images: Tensor, kept: KeptLayers | None = None) -> Tensor:
        before, network.checkpointing = network.checkpointing, self.checkpointing
        try:
            logits: Tensor = network(images, None, kept)
            return logits
        finally:
            network.checkpointing = before

    def network(self, index: int) -> Supernet:
        """The network of one model, with its weights as they are now."""
        return self.networks[index]

    def zero_gradients(self) -> None:
        """Set all gradients to zero, in place; those that there are."""
        gradients = [g for stack in self._stacks for g in stack.gradients()]
        if self._apart:
            gradients = [p.grad for n in self.networks for p in n.parameters() if p.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)

    def bind_gradients(self) -> None:
        """Give the networks' parameters their gradients, after a backward pass."""
        for stack in self._stacks:
            stack.bind_gradients()

    def dissolve(self) -> None:
        """Give the networks parameters of their own again; the pack is then of no more use."""
        for stack in self._stacks:
            stack.dissolve()

    def _layer(self, index: int, together: bool) -> nn.ModuleDict:
        """The modules of all networks in one layer, stacked by kind."""
        found = [cast(nn.ModuleDict, network.layers[index]) for network in self.networks]
        stacked: dict[str, nn.Module] = {}
        for kind in sorted({kind for modules in found for kind in modules}):
            if index and KINDS[kind].acts_everywhere:
                stacked[kind] = InLayer(cast(ElasticModule, self._layers[0][kind]), index)
                continue
            of_models = [cast(ElasticModule, m[kind]) if kind in m else None for m in found]
            module: StackedModule
            if issubclass(ELASTIC[kind], Prompts):
                module = StackedPrompts(of_models)
            elif kind == ShallowPrompts.kind:
                module = StackedTokens(of_models)
            elif kind == LoRAPositions.kind:
                module = StackedPositions(of_models)
            else:
                module = StackedModule(of_models, together)
            self._stacks += module.stacks
            stacked[kind] = module
        return nn.ModuleDict(stacked)

    def _sizes(self, modules: nn.ModuleDict, images: int) -> dict[str, Size]:
        """Sizes for `layer_forward`: stacks know their own; attention is told those of prompts."""
        return {
            kind: module.sizes(images) if isinstance(module, StackedTokens) else 1
            for kind, module in modules.items()
        }

    def _embed(self, images: Tensor) -> tuple[Tensor, list[Positions], int]:
        """Tokens before the first layer; see `Supernet.embed`."""
        x, at = self.trunk.embed(images)
        first = self._layers[0]
        if LoRAPositions.kind in first:
            positions = cast(StackedPositions, first[LoRAPositions.kind])
            added = positions.added(lambda table: self.trunk.resampled(table, images))
            x = (divided(x, len(self)) + added).flatten(0, 1)
        if ShallowPrompts.kind not in first:
            return x, at, 0
        shallow = cast(StackedTokens, first[ShallowPrompts.kind])
        sizes = shallow.sizes(len(images) // len(self))
        x, at = self.trunk.with_prompts(
            x, at, shallow.prompts(1), sizes if isinstance(sizes, Tensor) else None
        )
        return x, at, shallow.capacity
