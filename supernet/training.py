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
import torch.nn.functional as F
from torch import Tensor

from search_spaces import Architecture, InputError
from search_spaces.streams import stream, stream_seed
from supernet.atomic_file import write_atomically
from supernet.choosers import Chooser, Constant
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet, Trainable


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


class NonFiniteLoss(InputError):
    """The loss became infinite or NaN: says the step, the learning rate and what to try."""


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
    features: Tensor | None = None,
    state_file: Path | None = None,
    save_every: float = 15.0,
) -> Curve:
    """Train ``supernet`` in place on uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``.

    The order of images and the architectures of epoch e come from streams of ``(seed, e)``, so that a
    training that was killed and goes on from ``state_file`` (written at the end of an epoch when
    ``save_every`` seconds have passed, removed by the caller when the stage is done) ends with the same
    weights, bit for bit. ``on_epoch`` is told the number of finished epochs.

    Where only the head is trained and `Constant` chooses, each image passes the backbone once, or not at all
    with ``features (N, d)`` from `pooled_features`.

    Raises `NonFiniteLoss`.
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
    steps = math.ceil(len(labels) / recipe.batch_size)
    curve = Curve()
    if state_file is not None and state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        with torch.no_grad():
            for name, value in state["parameters"].items():
                parameters[name].copy_(value)
        optimizer.load_state_dict(state["optimizer"])
        curve = Curve(**state["curve"])
        if on_epoch is not None:
            on_epoch(len(curve.losses))
    pooled: Tensor | None = None
    if trainable == "head" and isinstance(chooser, Constant):
        started = time.perf_counter()
        pooled = features
        if pooled is None:
            pooled = pooled_features(supernet, images, preprocessing, architecture=chooser.architecture)
        pooled = pooled.to(device)
        curve.seconds += time.perf_counter() - started
    saved = time.perf_counter()
    for epoch in range(len(curve.losses), recipe.epochs):
        started = time.perf_counter()
        order_of = torch.Generator().manual_seed(stream_seed(seed, "order", epoch))
        order = torch.randperm(len(labels), generator=order_of)
        rng = stream(seed, "architectures", epoch)
        total = torch.zeros((), device=device)
        for i in range(steps):
            batch = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            step = epoch * steps + i
            lr = recipe.lr_at(step, recipe.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            if pooled is None:
                x = preprocessing.normalise(images[batch].to(device))
                logits = supernet(x, chooser(rng, len(batch)))
            else:
                logits = supernet.head(pooled[batch])
            loss = F.cross_entropy(logits, labels[batch].to(device))
            if not torch.isfinite(loss):
                raise NonFiniteLoss(
                    f"the loss is {loss.item()} at step {step + 1} of {recipe.epochs * steps} (learning rate "
                    f"{lr:.2g}); try a lower learning rate, or check the images for corrupt values"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach() * len(batch)
        curve.losses.append(float(total) / len(labels))
        first_pass = epoch == 0 and features is None
        curve.image_passes += len(labels) if pooled is None or first_pass else 0
        curve.seconds += time.perf_counter() - started
        if state_file is not None and time.perf_counter() - saved > save_every:
            _save(state_file, parameters, optimizer, curve)
            saved = time.perf_counter()
        if on_epoch is not None:
            on_epoch(epoch + 1)
    supernet.eval()
    return curve


@torch.no_grad()
def pooled_features(
    supernet: Supernet,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    architecture: Architecture | None = None,
    batch_size: int = 256,
) -> Tensor:
    """What the head reads of uint8 ``images (N, 3, H, W)``: ``(N, d)``, on the supernet's device.

    Constant while neither modules nor backbone change. The architecture is the capacity if not given.
    """
    device = supernet.head.weight.device
    starts = range(0, len(images), batch_size)
    batches = (preprocessing.normalise(images[i : i + batch_size].to(device)) for i in starts)
    return torch.cat([supernet.features(x, architecture) for x in batches])


def _save(path: Path, parameters: dict[str, Any], optimizer: torch.optim.Optimizer, curve: Curve) -> None:
    buffer = io.BytesIO()
    state = {
        "parameters": {name: value.data for name, value in parameters.items()},
        "optimizer": optimizer.state_dict(),
        "curve": curve.to_dict(),
    }
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())
