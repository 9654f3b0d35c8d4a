"""The one training loop: supernets, retraining, linear probing and full fine-tuning."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import Architecture
from search_spaces.streams import stream, stream_seed
from supernet.atomic_file import write_atomically
from supernet.choosers import Chooser, Constant
from supernet.data_parallel import Processes
from supernet.epoch_losses import EpochLosses
from supernet.execution import PLAIN, Execution
from supernet.frozen_weights import cast_once
from supernet.penalty import Penalty, PenaltyGradient
from supernet.precision import Precision, computing_in
from supernet.preprocessing import Preprocessing
from supernet.step_gradient import StepGradient
from supernet.supernet import Supernet
from supernet.trainable import Trainable
from supernet.transfers import resident, to_device


@dataclass(frozen=True)
class Recipe:
    """How to train: AdamW, linear warm-up, cosine decay to zero, cross-entropy, no augmentation.

    ``lr`` is the peak learning rate, ``warmup`` the fraction of all steps that it takes to get there.
    """

    epochs: int
    lr: float
    weight_decay: float = 1e-4
    batch_size: int = 64
    warmup: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of ``step`` (from 0) of ``total``."""
        rising = max(1, round(self.warmup * total))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


@dataclass
class Curve:
    """What a training did: mean loss of each epoch, image passes through the backbone, seconds."""

    losses: list[float] = field(default_factory=list)
    image_passes: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def train(
    supernet: Supernet,
    images: Tensor,
    labels: Tensor,
    *,
    preprocessing: Preprocessing,
    chooser: Chooser,
    recipe: Recipe,
    seed: int,
    trainable: Trainable = "modules",
    on_epoch: Callable[[int], None] | None = None,
    on_curve: Callable[[Curve], None] | None = None,
    features: Tensor | None = None,
    state_file: Path | None = None,
    save_every: float = 15.0,
    execution: Execution = PLAIN,
    penalty: Penalty | None = None,
) -> Curve:
    """Train ``supernet`` in place on uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``.

    The order of images and the architectures of epoch e come from streams of ``(seed, e)``, so that a
    training that was killed and goes on from ``state_file`` (written at the end of an epoch when
    ``save_every`` seconds have passed, removed by the caller when the stage is done) ends with the same
    weights, bit for bit. ``on_epoch`` is told the number of finished epochs; ``on_curve`` is given the curve
    so far after each epoch that was trained here, and may raise to end the training.

    Where only the head is trained and `Constant` chooses, each image passes the backbone once, or not at all
    with ``features (N, d)`` from `pooled_features`.

    ``execution`` says how to compute it. With a process group of torch of several processes (``torchrun``),
    each of which calls this with the same arguments, they train together: each takes its share of every
    batch, all end with the same weights, those of one process up to rounding, and get the same curve, which
    is of all images. The first one writes ``state_file``, and all must see it.

    The losses of the curve are without the ``penalty``.

    Raises `NonFiniteLoss`, in all processes.
    """
    head_alone = trainable == "head" and isinstance(chooser, Constant)
    if features is not None and not head_alone:
        raise ValueError("features are given, but more than the head of one architecture is trained")
    supernet.set_trainable(trainable)
    supernet.train()
    parameters = {n: p for n, p in supernet.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )
    device = supernet.head.weight.device
    processes = Processes.current()
    processes.share_weights(supernet)
    # before a state is loaded: the penalty is about the weights that the training began with
    pull = None if penalty is None else PenaltyGradient(penalty, parameters)
    curve = Curve()
    if state_file is not None and state_file.exists():
        curve = _load(state_file, parameters, optimizer)
        if on_epoch is not None:
            on_epoch(len(curve.losses))
    processes.require_equal_epochs(len(curve.losses), device)
    with execution.switched_on(supernet):
        pooled = features
        if trainable == "head" and isinstance(chooser, Constant):
            started = time.perf_counter()
            if pooled is None:
                a, precision = chooser.architecture, execution.precision
                pooled = pooled_features(supernet, images, preprocessing, architecture=a, precision=precision)
            pooled = pooled.to(device)
            curve.seconds += time.perf_counter() - started
        # what batches are taken from: pixels, on the device if they fit, or features
        rows = resident(images, device) if pooled is None else pooled
        trunk: Precision = execution.precision if pooled is None else "fp32"
        normalise = preprocessing.on(device)

        def inputs(batch: Tensor) -> Tensor:
            return normalise(to_device(rows[batch], device)) if pooled is None else rows[batch]

        # torch.compile would compile again for each architecture of a batch, but not for each of an image
        per_image = execution.compile and not isinstance(chooser, Constant)
        gradient = StepGradient(
            network=_HeadAlone(supernet) if head_alone else supernet,
            inputs=inputs,
            labels=to_device(labels, rows.device),
            device=device,
            execution=execution,
            processes=processes,
            kinds=supernet.capacity.kinds if per_image else None,
        )
        saved = time.perf_counter()
        for epoch in range(len(curve.losses), recipe.epochs):
            started = time.perf_counter()
            with cast_once(supernet.backbone, trunk):
                loss, passes = _epoch(epoch, gradient, pull, optimizer, chooser, recipe, seed)
            curve.losses.append(loss)
            first_pass = epoch == 0 and features is None
            curve.image_passes += passes if pooled is None or first_pass else 0
            curve.seconds += time.perf_counter() - started
            late = time.perf_counter() - saved > save_every
            if state_file is not None and late and processes.rank == 0:
                _save(state_file, parameters, optimizer, curve)
                saved = time.perf_counter()
            if on_epoch is not None:
                on_epoch(epoch + 1)
            if on_curve is not None:
                on_curve(curve)
    supernet.eval()
    return curve


def _epoch(
    epoch: int,
    gradient: StepGradient,
    pull: PenaltyGradient | None,
    optimizer: torch.optim.Optimizer,
    chooser: Chooser,
    recipe: Recipe,
    seed: int,
) -> tuple[float, int]:
    """One pass over all images: the mean loss, and how many image passes it took."""
    images = len(gradient.labels)
    steps = math.ceil(images / recipe.batch_size)
    order_of = torch.Generator().manual_seed(stream_seed(seed, "order", epoch))
    order = to_device(torch.randperm(images, generator=order_of), gradient.labels.device)
    rng = stream(seed, "architectures", epoch)
    first, of, passes = epoch * steps, recipe.epochs * steps, 0
    losses = EpochLosses(steps, first, of, gradient.device)
    for i in range(steps):
        batch = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
        lr = recipe.lr_at(first + i, of)
        for group in optimizer.param_groups:
            group["lr"] = lr
        step = chooser(rng, len(batch))
        optimizer.zero_grad()
        losses.add(gradient.add(batch, step), lr, len(batch))
        if pull is not None:
            pull.add()
        optimizer.step()
        passes += len(batch) * len(step.passes)
    return losses.mean(), passes


@torch.no_grad()
def pooled_features(
    supernet: Supernet,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    architecture: Architecture | None = None,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> Tensor:
    """What the head reads of uint8 ``images (N, 3, H, W)``: float32 ``(N, d)``, on the supernet's device.

    Constant while neither modules nor backbone change. The architecture is the capacity if not given.
    """
    device = supernet.head.weight.device
    starts, normalise = range(0, len(images), batch_size), preprocessing.on(device)
    batches = (normalise(to_device(images[i : i + batch_size], device)) for i in starts)
    with computing_in(device, precision), cast_once(supernet.backbone, precision):
        return torch.cat([supernet.features(x, architecture).float() for x in batches])


class _HeadAlone(nn.Module):
    """A head that reads features, called as the whole network is."""

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.head = supernet.head
        self._classify = supernet.classify

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        return self._classify(features)


def _load(path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> Curve:
    device = next(iter(parameters.values())).device
    state = torch.load(path, map_location=device, weights_only=True)
    with torch.no_grad():
        for name, value in state["parameters"].items():
            parameters[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    return Curve(**state["curve"])


def _save(
    path: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, curve: Curve
) -> None:
    buffer = io.BytesIO()
    state = {
        "parameters": {name: value.data for name, value in parameters.items()},
        "optimizer": optimizer.state_dict(),
        "curve": curve.to_dict(),
    }
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())
