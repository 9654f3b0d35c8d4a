"""Training of several networks in one process, each as if alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from search_spaces import InputError
from supernet.augmentation import augmenter, read_for
from supernet.class_balance import image_of
from supernet.data_parallel import Processes
from supernet.depth_dropout import KeptLayers, depth_dropout, joined
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
from supernet.targets import Targets
from supernet.training_loop import run_epochs
from supernet.training_loss import TrainingLoss
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

    Each network has its own recipe, seed, order of images, augmentation and class balance; the recipes share
    the number of epochs, the batch size and the label smoothing. The state files are the same as in single
    trainings, so a training interrupted here can resume alone, and the other way round. Weights equal those
    of single trainings up to rounding.

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
            labels,
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
        read = read_for([learner.recipe.augmentation for learner in networks], images)
        self._images = resident(read, self._device)
        self.indices_on = self._images.device
        self._labels = to_device(labels, self.indices_on)
        self._normalise = preprocessing.on(self._device)
        self._execution = execution
        self._together = together
        self._losses = {
            learner: TrainingLoss.of(learner.recipe, labels, first.num_classes, self._device)
            for learner in networks
        }
        self._augmenters = {
            learner: augmenter(
                learner.recipe.augmentation,
                self._images,
                seed=learner.seed,
                preprocessing=preprocessing,
                indices_on=self.indices_on,
            )
            for learner in networks
        }
        self._dropouts = {
            learner: depth_dropout(
                learner.recipe,
                images=len(labels),
                layers=first.capacity.depth,
                seed=learner.seed,
                indices_on=self.indices_on,
                device=self._device,
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
            for drawing in (self._augmenters[learner], self._dropouts[learner]):
                if drawing is not None:
                    drawing.begin(learner.finished)
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
                of_models, learners = batch[models, part.start : part.stop], self._learners[models]
                x = self._normalise(self._inputs(of_models, learners))
                targets = self._targets(of_models, learners)
                with autocast(device, self._execution.precision):
                    logits = pack(x, models, self._kept(of_models, learners))
                terms = self._terms(logits.float(), targets, learners)
                loss = terms.sum(1) / batch.shape[1]
                loss.sum().backward()  # type: ignore[no-untyped-call]
                losses[models] += loss.detach()
        pack.bind_gradients()
        return losses, batch.shape[1]

    def _targets(self, of_models: Tensor, learners: Sequence[Learner]) -> Targets:
        """The targets of the examples ``of_models (M, B)``, one model after another."""
        parts = []
        for learner, examples in zip(learners, of_models, strict=True):
            augment = self._augmenters[learner]
            if augment is None:
                parts.append(Targets(self._labels[image_of(examples, len(self._labels))]))
            else:
                parts.append(augment.targets(self._labels, examples))
        return Targets.join(parts).on(self._device)

    def _kept(self, of_models: Tensor, learners: Sequence[Learner]) -> KeptLayers | None:
        """What each model leaves out for its examples ``of_models (M, B)``."""
        parts = [
            None if (dropout := self._dropouts[learner]) is None else dropout(examples)
            for learner, examples in zip(learners, of_models, strict=True)
        ]
        layers = self._networks[learners[0]].capacity.depth
        return joined(parts, of_models.shape[1], layers, self._device)

    def _terms(self, logits: Tensor, targets: Targets, learners: Sequence[Learner]) -> Tensor:
        """The loss ``(M, B)`` of each image; ``logits`` are ``(M, B, C)``."""
        models, images = logits.shape[:2]
        if len({learner.recipe.class_balance for learner in learners}) == 1:
            return self._losses[learners[0]].terms(logits.flatten(0, 1), targets).reshape(models, images)
        rows = [slice(m * images, (m + 1) * images) for m in range(models)]
        return torch.stack(
            [
                self._losses[learner].terms(of, targets.part(part))
                for learner, of, part in zip(learners, logits, rows, strict=True)
            ]
        )

    def _inputs(self, of_models: Tensor, learners: Sequence[Learner]) -> Tensor:
        """Images ``(M·B, 3, H, W)`` of the examples ``of_models (M, B)``, augmented as each model asks."""
        augmenters = [self._augmenters[learner] for learner in learners]
        if not any(augmenters):
            return self._plain(of_models.flatten())
        return torch.cat(
            [
                self._plain(examples) if augment is None else augment(examples, self._device)
                for augment, examples in zip(augmenters, of_models, strict=True)
            ]
        )

    def _plain(self, examples: Tensor) -> Tensor:
        """The images of ``examples (B,)`` as they are, ``(B, 3, H, W)``."""
        return to_device(self._images[image_of(examples, len(self._images))], self._device)
