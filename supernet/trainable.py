"""The sets of parameters that a training may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from torch import Tensor, nn

if TYPE_CHECKING:
    from supernet.supernet import Supernet

Trainable: TypeAlias = Literal["head", "modules", "biases", "all"]
"""The name of a `TrainableSet`, as files and flags spell it."""


def biases(backbone: nn.Module) -> dict[str, nn.Parameter]:
    """The bias terms of a backbone by name, including those of its normalisations.

    The separate biases of queries and values in some timm models (``q_bias``) count; tables of relative
    position biases do not.
    """
    return {name: p for name, p in backbone.named_parameters() if name.endswith("bias")}


@dataclass(frozen=True)
class TrainableSet:
    """One set of parameters that a training may change; the head is in every set.

    Args:
        name: its spelling in files and flags.
        label: its name in tables.
        modules: whether the elastic modules are trained.
        backbone: the part of the backbone that is trained.
        backward_passes: the cost of a backward pass in forward passes: 1 where the weight matrices of the
            trunk are frozen, 2 where their gradients are computed too (docs/design.md).
    """

    name: Trainable
    label: str
    modules: bool
    backbone: Literal["nothing", "biases", "everything"]
    backward_passes: int

    @property
    def changes_backbone(self) -> bool:
        """Whether a training changes the backbone, and therefore needs its own copy."""
        return self.backbone != "nothing"

    @property
    def cost_rank(self) -> int:
        """Rank of the set by the cost of a training; 0 is the cheapest."""
        return list(TRAINABLE_SETS).index(self.name)

    def mark(self, supernet: Supernet) -> None:
        """Make exactly the parameters of this set receive gradients."""
        supernet.requires_grad_(False)
        supernet.layers.requires_grad_(self.modules)
        supernet.head.requires_grad_(True)
        for parameter in self.backbone_parameters(supernet.backbone).values():
            parameter.requires_grad_(True)

    def backbone_parameters(self, backbone: nn.Module) -> dict[str, nn.Parameter]:
        """The trained parameters of a backbone, by name."""
        if self.backbone == "biases":
            return biases(backbone)
        return dict(backbone.named_parameters()) if self.backbone == "everything" else {}

    def backbone_tensors(self, backbone: nn.Module) -> dict[str, Tensor]:
        """The tensors that restore a trained backbone, by name, as views.

        These are the trained parameters and, for the whole backbone, the buffers.
        """
        if self.backbone == "everything":
            return backbone.state_dict()
        return {name: parameter.data for name, parameter in self.backbone_parameters(backbone).items()}

    def backbone_params(self, backbone: nn.Module) -> int:
        """The number of trained elements of a backbone."""
        return sum(parameter.numel() for parameter in self.backbone_parameters(backbone).values())


TRAINABLE_SETS: dict[Trainable, TrainableSet] = {
    found.name: found
    for found in (
        TrainableSet("head", "head", modules=False, backbone="nothing", backward_passes=1),
        TrainableSet("biases", "all biases", modules=True, backbone="biases", backward_passes=1),
        TrainableSet("modules", "modules", modules=True, backbone="nothing", backward_passes=1),
        TrainableSet("all", "all weights", modules=True, backbone="everything", backward_passes=2),
    )
}
"""All sets by name, ordered by the cost of a training, the cheapest first."""


def trainable_set(name: str) -> TrainableSet:
    """The set called ``name``. Raises ``ValueError`` for an unknown name."""
    for found in TRAINABLE_SETS.values():
        if found.name == name:
            return found
    raise ValueError(f"trainable is one of {get_args(Trainable)}, not {name!r}")
