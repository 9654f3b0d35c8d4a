"""The base of every module kind: one set of weights for all sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from search_spaces import KINDS, BackboneShape, Kind, register_kind
from supernet.initial_values import drawn_where_the_generator_is

Size: TypeAlias = int | Tensor
"""One size for the whole batch, or an int64 tensor ``(B,)`` with one size for each image."""

Place: TypeAlias = Literal[
    "input",
    "norm1",
    "qkv_input",
    "qkv",
    "proj",
    "attention",
    "middle",
    "norm2",
    "fc1_input",
    "fc1",
    "fc2",
    "mlp",
    "output",
]
"""The operations of a layer whose output a module may change.

``attention`` and ``mlp`` are the whole branches, from the output of norm1 or norm2 to the addition to the
residual stream. At five places the operation is the identity: ``input``, ``middle`` and ``output`` are the
residual stream before attention, between the branches and after the MLP; ``qkv_input`` and ``fc1_input`` are
what the projections read, whereas modules beside a branch read the output of norm1 or norm2.
"""

Grid: TypeAlias = tuple[int, int]
"""Rows and columns of the patches, which are the last tokens of an image."""


class ElasticModule(nn.Module):
    """A module of one layer whose size can be anything from 0 to ``capacity``.

    Sharing is nested: the module of size r is the first r units of the largest module, and nothing is scaled
    by the active size. Every parameter has the size as its first axis, except those named in ``unsized``,
    which are present in full whenever the size is positive; a kind with other parameters redefines
    `tensors_at`. With one size for the batch the weights are
    sliced; with a size for each image the module runs at capacity, and units beyond an image's size are
    multiplied by zero, so shapes stay static. Both give the same result.

    A kind is a subclass with ``places`` (the operations whose output is changed), ``reset`` and ``forward``;
    `register_elastic` gives the kind its name and cost. Modules at one place apply in the alphabetical order
    of their kinds. A kind that can be merged into the backbone's weights sets ``mergeable`` and implements
    `merge`; a kind that acts on the tokens before the first layer sets ``before_layers``. A kind that
    works on the grid of patches sets ``on_grid`` and takes the images' grid as a last argument of
    ``forward``. A kind whose `Kind` has ``acts_everywhere`` stands in the first layer and acts in all;
    ``forward`` and ``merge`` then take the index of the layer as a last argument, by default 0. A kind whose
    result depends on the frozen weights of its operation sets ``reads_weights`` and implements `bind`.
    ``pretrained`` has values of parameters, by name, at which the module leaves the pretrained function as it
    is, whatever its other parameters are; a kind without such values has none. ``scaled`` names the
    parameters of an output projection, which a recipe's ``module_scale`` multiplies; kinds with a learned
    scale, or without an output projection, have none.
    """

    kind: ClassVar[str]
    places: ClassVar[tuple[Place, ...]] = ()
    unsized: ClassVar[frozenset[str]] = frozenset()
    mergeable: ClassVar[bool] = False
    before_layers: ClassVar[bool] = False
    on_grid: ClassVar[bool] = False
    reads_weights: ClassVar[bool] = False
    pretrained: ClassVar[Mapping[str, float]] = {}
    scaled: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__()
        self.shape = shape
        self.capacity = capacity

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "reset" in vars(cls):
            cls.reset = drawn_where_the_generator_is(cls.reset)  # type: ignore[method-assign, assignment]

    def reset(self, generator: torch.Generator) -> None:
        """Draw the initial weights so that nothing is changed at step 0 (prompts and Adapter+ excepted).

        Parameters are on the generator's device during the call, so that initial values are the same on every
        device.
        """
        raise NotImplementedError

    def bind(self, frozen: Callable[[], tuple[Tensor, Tensor]]) -> None:
        """Keep ``frozen``, which gives the weight ``(out, in)`` and bias ``(out,)`` of the operation."""
        raise NotImplementedError

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        """The new output of the operation at ``place``, whose input is ``x`` and output ``y``.

        Both are ``(B, N, ·)``, or ``(P, ·)`` for a layer's prompts (up to ``qkv`` only); the result
        for prompts may be ``(B, P, ·)`` if sizes differ by image. ``y`` may be changed in place if no
        gradient of this module or a normalisation needs ``y``. Without recorded gradients the layer may
        change the result in place, so the result must not be a parameter or a view of a parameter.
        """
        raise NotImplementedError

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``(out, in)``, or ``(d,)`` for a normalisation, and bias, after merging at capacity.

        At ``qkv_input`` and ``fc1_input`` these are of the projection that follows.
        """
        raise NotImplementedError

    def tensors_at(self, size: int) -> dict[str, Tensor]:
        """The tensors of the module at exact ``size`` > 0, as views of the shared weights."""
        return {
            name: value.data if name in self.unsized else value.data[:size]
            for name, value in self.named_parameters()
        }

    def unit_mask(self, size: Tensor, dtype: torch.dtype) -> Tensor:
        """Mask ``(B, 1, capacity)`` of sizes ``(B,)``: 1 for units below an image's size, 0 beyond."""
        units = torch.arange(self.capacity, device=size.device)
        return (units < size[:, None]).to(dtype)[:, None, :]


ELASTIC: dict[str, type[ElasticModule]] = {}


def is_scaled(name: str) -> bool:
    """Whether a recipe's scale multiplies a parameter, given by its name in a supernet."""
    parts = name.split(".")
    if len(parts) < 4 or parts[0] != "layers" or parts[2] not in ELASTIC:
        return False
    return ".".join(parts[3:]) in ELASTIC[parts[2]].scaled


_Module = TypeVar("_Module", bound=ElasticModule)


def register_elastic(kind: str | Kind) -> Callable[[type[_Module]], type[_Module]]:
    """Class decorator that registers a module kind with the supernet.

    ``kind`` is a new kind's name, label and cost, which this registers for search spaces and counting too,
    or the name of a registered kind. Raises ``ValueError`` for a name that is taken.
    """

    def register(module: type[_Module]) -> type[_Module]:
        name = kind if isinstance(kind, str) else kind.name
        if name in ELASTIC:
            raise ValueError(f"module kind '{name}' is registered already")
        if isinstance(kind, Kind):
            register_kind(kind)
        elif kind not in KINDS:
            raise ValueError(f"module kind '{kind}' has no cost; give a Kind")
        module.kind = name
        ELASTIC[name] = module
        return module

    return register
