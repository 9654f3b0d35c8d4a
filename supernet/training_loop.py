"""The one training loop: epochs and steps of one network, or of several that share each step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from supernet.epoch_losses import EpochLosses, NonFiniteLoss
from supernet.learner import Learner
from supernet.transfers import to_device


class Gradient(Protocol):
    """Adds the gradient of one step to the parameters of the learners.

    ``indices_on`` is the device on which examples are expected.
    """

    indices_on: torch.device

    def during_epoch(self) -> AbstractContextManager[None]:
        """Return the context of an epoch's steps."""

    def begin(self, learners: Sequence[Learner]) -> None:
        """Prepare for an epoch of ``learners``, or for the rest of an epoch."""

    def __call__(self, batches: Sequence[Tensor]) -> tuple[Tensor, int]:
        """Set the gradients of a step of each learner on its examples ``(B,)``, see `Learner.order`.

        Returns:
            The loss of each learner, and the number of image passes of each.
        """
        ...


def run_epochs(
    learners: Sequence[Learner],
    labels: Tensor,
    gradient: Gradient,
    *,
    saves: bool,
    save_every: float,
    on_epoch: Callable[[int], None] | None = None,
    on_failure: Callable[[Learner, NonFiniteLoss], None] | None = None,
) -> None:
    """Train all ``learners`` to the last epoch; their recipes have one number of epochs and one batch size.

    A learner whose state is ahead waits until the rest have reached the same epoch. An infinite or NaN loss
    ends the training of that learner only. It is detected at its step on a CPU, and at the end of the epoch
    on a GPU (`EpochLosses`).

    Args:
        learners: the networks to train; their curves are extended.
        labels: int64 ``(N,)`` of the images of an epoch.
        gradient: computes the gradient of a step for all learners at the same epoch.
        saves: whether this process writes the state files.
        save_every: seconds between two states; a state is written at the end of an epoch.
        on_epoch: called with the number of finished epochs after each epoch.
        on_failure: called with the learner and the error of a non-finite loss; if not given, the error is
            raised.

    Raises `NonFiniteLoss` without ``on_failure``.
    """
    recipe = learners[0].recipe
    saved = time.perf_counter()
    remaining = list(learners)
    for epoch in range(min(learner.finished for learner in learners), recipe.epochs):
        started = time.perf_counter()
        going = [learner for learner in remaining if learner.finished == epoch]
        if not going:  # all learners at this epoch have failed
            continue
        with gradient.during_epoch():
            failed = _epoch(going, labels, gradient, on_failure)
        remaining = [learner for learner in remaining if learner not in failed]
        share = (time.perf_counter() - started) / len(going)
        for learner in going:
            learner.curve.seconds += share
        if not remaining:
            return
        if saves and time.perf_counter() - saved > save_every:
            for learner in remaining:
                learner.save_state()
            saved = time.perf_counter()
        if on_epoch is not None:
            on_epoch(epoch + 1)


def _epoch(
    learners: Sequence[Learner],
    labels: Tensor,
    gradient: Gradient,
    on_failure: Callable[[Learner, NonFiniteLoss], None] | None,
) -> list[Learner]:
    """Pass once over all images, add the mean loss to each curve, and return the learners that failed."""
    recipe, epoch = learners[0].recipe, learners[0].finished
    steps = math.ceil(len(labels) / recipe.batch_size)
    first, of = epoch * steps, recipe.epochs * steps
    orders = {learner: to_device(learner.order(labels), gradient.indices_on) for learner in learners}
    losses = {learner: EpochLosses(steps, first, of, learner.device) for learner in learners}
    going = list(learners)

    def fails(learner: Learner, error: NonFiniteLoss) -> None:
        if on_failure is None:
            raise error
        on_failure(learner, error)
        going.remove(learner)

    gradient.begin(going)
    for i in range(steps):
        before = len(going)
        batches = [orders[learner][i * recipe.batch_size : (i + 1) * recipe.batch_size] for learner in going]
        of_step, passes = gradient(batches)
        for learner, loss in zip(list(going), of_step, strict=True):
            try:
                losses[learner].add(loss, learner.recipe.lr_at(first + i, of), len(batches[0]))
            except NonFiniteLoss as error:
                fails(learner, error)
                continue
            learner.step(first + i, of)
            learner.curve.image_passes += passes
        if not going:
            break
        if len(going) < before:
            gradient.begin(going)
    for learner in list(going):
        try:
            mean = losses[learner].mean()
            if epoch + 1 == recipe.epochs:  # no later loss would show what the last step has done
                learner.require_finite()
            learner.curve.losses.append(mean)
        except NonFiniteLoss as error:
            fails(learner, error)
    return [learner for learner in learners if learner not in going]
