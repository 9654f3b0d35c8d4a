"""A network in training: its optimizer, schedule, random streams, progress, and the file it resumes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.streams import stream, stream_seed
from supernet.class_balance import balanced_examples
from supernet.epoch_losses import NonFiniteLoss
from supernet.modules.elastic import is_scaled
from supernet.penalty import ModulePull, PenaltyGradient
from supernet.recipe import Recipe
from supernet.training_state import read_state, write_state
from supernet.transfers import numbers


@dataclass
class Curve:
    """Course of a training: mean loss of each epoch, image passes through the backbone, seconds."""

    losses: list[float] = field(default_factory=list)
    image_passes: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


EPSILON = 1e-8
"""AdamW's ε, as torch has it."""


def _groups(parameters: Mapping[str, nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """The optimizer's groups of parameters: the output projections of modules apart if they are scaled."""
    scale = recipe.module_scale
    scaled = {} if scale == 1 else {name: p for name, p in parameters.items() if is_scaled(name)}
    groups: list[dict[str, Any]] = [{"params": [p for name, p in parameters.items() if name not in scaled]}]
    if scaled:
        own = {"factor": scale, "weight_decay": recipe.weight_decay / scale, "eps": EPSILON / scale}
        groups.append({"params": list(scaled.values()), **own})
    return groups


@contextmanager
def contiguous(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Give parameters that are strided views contiguous memory, and write the values back at the end.

    The fused kernels of AdamW go through memory in order, whatever the strides. A parameter that a pack
    slices along two axes would otherwise be updated at the wrong elements.
    """
    views = [(p, p.data, p.grad) for p in parameters if not p.is_contiguous()]
    for parameter, value, gradient in views:
        parameter.data = value.contiguous()
        parameter.grad = None if gradient is None else gradient.contiguous()
    try:
        yield
    finally:
        for parameter, value, gradient in views:
            value.copy_(parameter.data)
            parameter.data, parameter.grad = value, gradient


class Learner:
    """One network in training. Several learners can share each step and stay independent of each other.

    A ``module_scale`` s of the recipe is part of the optimizer, and not of the network. A module whose
    output projection U is multiplied by s is the module with the output projection V = s U. AdamW divides a
    gradient by the gradient's own size, so in a step V moves by s times the learning rate, and shrinks by the
    weight decay as U does. So the output projections (`ElasticModule.scaled`) are trained as V: at s times
    the rate, with the weight decay and AdamW's ε divided by s. The network, its file, its merged form and
    weights to start from then know no scale.

    Args:
        parameters: the trained parameters by name.
        recipe: the optimizer's settings and the learning rate of each step.
        seed: seed of the order of the images and of the architectures, by streams of ``(seed, epoch)``.
        state_file: file that an interrupted training resumes from, if given.
        pull: penalty whose gradient is added in each step, if given.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        recipe: Recipe,
        seed: int,
        *,
        state_file: Path | None = None,
        pull: PenaltyGradient | None = None,
    ) -> None:
        self.parameters = parameters
        self.recipe = recipe
        self.seed = seed
        self.state_file = state_file
        self.pulls: list[PenaltyGradient | ModulePull] = [] if pull is None else [pull]
        if recipe.l2_sp:
            self.pulls.append(ModulePull(recipe.l2_sp, parameters))
        self.optimizer = torch.optim.AdamW(
            _groups(parameters, recipe), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.curve = Curve()

    @property
    def finished(self) -> int:
        """Number of finished epochs."""
        return len(self.curve.losses)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(iter(self.parameters.values())).device

    def order(self, labels: Tensor) -> Tensor:
        """The order in which the next epoch sees the images of ``labels (N,)``: int64 ``(N,)``.

        With balanced sampling these are examples, see `balanced_examples`; otherwise each image occurs once.
        """
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "order", self.finished))
        if self.recipe.class_balance == "sampled":
            return balanced_examples(labels, generator)
        return torch.randperm(len(labels), generator=generator)

    def architecture_stream(self) -> np.random.Generator:
        """The stream that the architectures of the next epoch are drawn from."""
        return stream(self.seed, "architectures", self.finished)

    def step(self, number: int, of: int) -> None:
        """Update the parameters by their gradients, in step ``number`` (from 0) of ``of``."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(number, of) * group.get("factor", 1.0)
        for pull in self.pulls:
            pull.add()
        with contiguous(self.parameters.values()):
            self.optimizer.step()

    def require_finite(self) -> None:
        """Raise `NonFiniteLoss` if the training has made a parameter infinite or NaN."""
        finite = torch.stack([value.detach().isfinite().all() for value in self.parameters.values()])
        if numbers((~finite.all()).float()[None])[0]:
            raise NonFiniteLoss(
                f"the weights are not finite after the last step (peak learning rate {self.recipe.lr:.2g}); "
                "try a lower learning rate, or check the images for corrupt values"
            )

    def load_state(self) -> bool:
        """Resume from the state file; return False, and change nothing, without a whole one."""
        if self.state_file is None:
            return False
        curve = read_state(self.state_file, self.parameters, self.optimizer)
        if curve is None:
            return False
        self.curve = Curve(**curve)
        return True

    def save_state(self) -> None:
        """Write the state file atomically; do nothing without one."""
        if self.state_file is not None:
            write_state(self.state_file, self.parameters, self.optimizer, self.curve.to_dict())
