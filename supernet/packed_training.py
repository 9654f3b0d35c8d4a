"""Training of several networks in one process, each as if alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import InputError
from supernet.augmentation import augmenter
from supernet.data_parallel import Processes
from supernet.epoch_losses import NonFiniteLoss
from supernet.execution import PLAIN, Execution
from supernet.frozen_weights import cast_once
from supernet.images import Images
from supernet.learner import Curve, Learner
from supernet.pack import Pack
from supernet.precision import autocast
from supernet.preprocessing import Preprocessing
from supernet.recipe import Recipe
from supernet.step_gradient import divided
from supernet.supernet import Supernet
from supernet.training_loop import run_epochs
from supernet.transfers import resident, to_device


def train_pack(
    networks: Sequence[Supernet],
    images: Images,
    labels: Tensor,
    *,
    preprocessing: Preprocessing,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    state_files: Sequence[Path | None] | None = None,
    save_every: float = 15.0,
    execution: Execution = PLAIN,
    on_epoch: Callable[[int], None] | None = None,
    together: bool | None = None,
) -> list[Curve | NonFiniteLoss]:
    """Train the modules and heads of ``networks`` in place, with the results of `train` one by one.

    Each network has its own recipe, seed, order of images and augmentation; the recipes share the number of
    epochs, the batch size and the label smoothing. The state files are the same as in single trainings, so a
    training interrupted here can resume alone, and the other way round. Weights equal those of single
    trainings up to rounding.

    Args:
        networks: networks around one backbone object; see `Pack`.
        images: uint8 ``(N, 3, H, W)``, shared by all networks.
        labels: int64 ``(N,)``.
        preprocessing: normalises the images.
        recipes: recipe of each network.
        seeds: seed of each network.
        state_files: state file of each network, see `train`.
        save_every: seconds between two states.
        execution: precision and memory settings; without ``compile``.
        on_epoch: called with the number of finished epochs after each epoch.
        together: see `Pack`.

    Returns:
        The curve of each network, or the error that ended its training; the rest continue.

    Raises ``ValueError`` for recipes that differ in what they share and for networks that cannot share a
    pack, and `InputError` with ``compile`` or several processes.
    """
    if execution.compile:
        raise InputError("packed trainings cannot be compiled; train one after another, or without compile")
    if Processes.current().count > 1:
        raise InputError("packed trainings run in one process; train one after another on several")
    if len({(recipe.epochs, recipe.batch_size, recipe.label_smoothing) for recipe in recipes}) != 1:
        raise ValueError(
            "the recipes of a pack need one number of epochs, one batch size and one label smoothing"
        )
    files = state_files if state_files is not None else [None] * len(networks)
    learners = []
    for network, recipe, seed, file in zip(networks, recipes, seeds, files, strict=True):
        network.set_trainable("modules")
        network.train()
        parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        learner = Learner(parameters, recipe, seed, state_file=file)
        learner.load_state()
        learners.append(learner)
    gradient = _PackGradient(
        networks=dict(zip(learners, networks, strict=True)),
        images=images,
        labels=labels,
        preprocessing=preprocessing,
        execution=execution,
        together=together,
    )
    failures: dict[Learner, NonFiniteLoss] = {}
    with execution.flags(networks[0].head.weight.device):
        run_epochs(
            learners,
            len(labels),
            gradient,
            saves=True,
            save_every=save_every,
            on_epoch=on_epoch,
            on_failure=failures.__setitem__,
        )
    gradient.dissolve()
    for network in networks:
        network.eval()
    return [failures.get(learner, learner.curve) for learner in learners]


class _PackGradient:
    """The gradient of a step of several networks, in one pass; see `Gradient`."""

    def __init__(
        self,
        *,
        networks: dict[Learner, Supernet],
        images: Images,
        labels: Tensor,
        preprocessing: Preprocessing,
        execution: Execution,
        together: bool | None,
    ) -> None:
        first = next(iter(networks.values()))
        self._backbone, self._device = first.backbone, first.head.weight.device
        self._networks = networks
        self._images = resident(images, self._device)
        self.indices_on = self._images.device
        self._labels = to_device(labels, self.indices_on)
        self._normalise = preprocessing.on(self._device)
        self._execution = execution
        self._together = together
        self._label_smoothing = next(iter(networks)).recipe.label_smoothing
        self._augmenters = {
            learner: augmenter(
                learner.recipe.augmentation,
                images,
                seed=learner.seed,
                preprocessing=preprocessing,
                indices_on=self.indices_on,
            )
            for learner in networks
        }
        self._learners: list[Learner] = []
        self._pack: Pack | None = None

    def during_epoch(self) -> AbstractContextManager[None]:
        """See `Gradient.during_epoch`."""
        return cast_once(self._backbone, self._execution.precision)

    def begin(self, learners: Sequence[Learner]) -> None:
        """See `Gradient.begin`."""
        for learner in learners:
            if (augment := self._augmenters[learner]) is not None:
                augment.begin(learner.finished)
        if self._pack is not None and self._learners == list(learners):
            return
        self.dissolve()
        self._learners = list(learners)
        self._pack = Pack([self._networks[learner] for learner in learners], together=self._together)
        self._pack.checkpointing = self._execution.checkpointing

    def dissolve(self) -> None:
        """Give the networks of the last pack their own parameters again."""
        if self._pack is not None:
            self._pack.dissolve()
            self._pack = None

    def __call__(self, batches: Sequence[Tensor]) -> tuple[Tensor, int]:
        """See `Gradient.__call__`."""
        pack = self._pack
        assert pack is not None
        device, batch = self._device, torch.stack(list(batches))  # (M, B)
        pack.zero_gradients()
        losses = torch.zeros(len(pack), device=device)
        for part in divided(range(batch.shape[1]), self._execution.micro_batches):
            for models in pack.passes:
                of_models = batch[models, part.start : part.stop]
                indices = of_models.flatten()
                images = to_device(self._images[indices], device)
                x = self._normalise(self._augmented(images, of_models, self._learners[models]))
                targets = to_device(self._labels[indices], device)
                with autocast(device, self._execution.precision):
                    logits = pack(x, models)
                terms = F.cross_entropy(
                    logits.float().flatten(0, 1),
                    targets,
                    reduction="none",
                    label_smoothing=self._label_smoothing,
                )
                loss = terms.reshape(len(of_models), -1).sum(1) / batch.shape[1]
                loss.sum().backward()  # type: ignore[no-untyped-call]
                losses[models] += loss.detach()
        pack.bind_gradients()
        return losses, batch.shape[1]

    def _augmented(self, images: Tensor, of_models: Tensor, learners: Sequence[Learner]) -> Tensor:
        """Images ``(M·B, 3, H, W)`` at the indices ``of_models (M, B)``, each augmented as its model asks."""
        parts = torch.split(images, of_models.shape[1])
        augmenters = [self._augmenters[learner] for learner in learners]
        if not any(augmenters):
            return images
        return torch.cat(
            [
                part if augment is None else augment(part, indices)
                for part, augment, indices in zip(parts, augmenters, of_models, strict=True)
            ]
        )
