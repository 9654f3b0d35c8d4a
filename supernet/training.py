"""Training of one network: supernets, retraining, linear probing and full fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from search_spaces import Architecture, InputError
from supernet.augmentation import Augmenter, augmenter, read_for
from supernet.choosers import Chooser, Constant
from supernet.class_balance import image_of
from supernet.data_parallel import Processes
from supernet.depth_dropout import DepthDropout, depth_dropout
from supernet.execution import PLAIN, Execution
from supernet.frozen_weights import cast_once
from supernet.images import Images
from supernet.learner import Curve, Learner
from supernet.penalty import Penalty, PenaltyGradient
from supernet.precision import Precision, computing_in
from supernet.preprocessing import Preprocessing
from supernet.recipe import Recipe
from supernet.step_gradient import StepGradient
from supernet.supernet import Supernet
from supernet.targets import Targets
from supernet.trainable import Trainable
from supernet.training_loop import run_epochs
from supernet.training_loss import TrainingLoss
from supernet.transfers import resident, to_device


def train(
    supernet: Supernet,
    images: Images,
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

    The order of images and the architectures of epoch e come from streams of ``(seed, e)``, so a training
    that was killed and resumes from ``state_file`` ends with the same weights, bit for bit. The state is
    written at the end of an epoch once ``save_every`` seconds have passed; the caller removes the file when
    the stage is done. ``on_epoch`` is called with the number of finished epochs; ``on_curve`` is called with
    the curve after each epoch trained by this call, and may raise to end the training.

    If only the head is trained and the chooser is `Constant`, each image passes through the backbone once, or
    not at all with ``features (N, d)`` from `pooled_features`. The images cannot be augmented then.

    Several processes of a torch process group (``torchrun``) train together if each calls this function with
    the same arguments. Each takes its share of every batch, and all return the same curve, over all images,
    and the same weights, which equal those of one process up to rounding. The first process writes
    ``state_file``, which all must see.

    ``execution`` holds precision, compilation and memory settings. The losses of the curve do not include the
    ``penalty``.

    Raises `NonFiniteLoss`, in all processes.
    """
    head_alone = trainable == "head" and isinstance(chooser, Constant)
    if features is not None and not head_alone:
        raise ValueError("features are given, but more than the head of one architecture is trained")
    if head_alone and recipe.augmentation != "none":
        raise InputError(
            f"augmentation is '{recipe.augmentation}', and a head is trained on features that are computed "
            "once; give a recipe with augmentation 'none'"
        )
    if head_alone and (recipe.drop_path or recipe.module_dropout):
        raise InputError(
            f"drop_path is {recipe.drop_path} and module_dropout is {recipe.module_dropout}, and a head is "
            "trained on features that are computed once; give a recipe with 0 for both"
        )
    supernet.set_trainable(trainable)
    supernet.train()
    parameters = {n: p for n, p in supernet.named_parameters() if p.requires_grad}
    device = supernet.head.weight.device
    processes = Processes.current()
    processes.share_weights(supernet)
    # before a state is loaded: the penalty refers to the weights at the start of the training
    pull = None if penalty is None else PenaltyGradient(penalty, parameters)
    learner = Learner(parameters, recipe, seed, state_file=state_file, pull=pull)
    curve = learner.curve
    if learner.load_state():
        curve = learner.curve
        if on_epoch is not None:
            on_epoch(learner.finished)
    processes.require_equal_epochs(learner.finished, device)

    def after_epoch(finished: int) -> None:
        if on_epoch is not None:
            on_epoch(finished)
        if on_curve is not None:
            on_curve(curve)

    with execution.switched_on(supernet):
        pooled = features
        if trainable == "head" and isinstance(chooser, Constant):
            started = time.perf_counter()
            if pooled is None:
                a, precision = chooser.architecture, execution.precision
                pooled = pooled_features(supernet, images, preprocessing, architecture=a, precision=precision)
            pooled = pooled.to(device)
            curve.seconds += time.perf_counter() - started
        # rows of the batches: pixels, on the device if they fit, or features
        read = read_for([recipe.augmentation], images)
        rows: Images = resident(read, device) if pooled is None else pooled
        trunk: Precision = execution.precision if pooled is None else "fp32"
        normalise = preprocessing.on(device)
        augment = augmenter(
            recipe.augmentation, rows, seed=seed, preprocessing=preprocessing, indices_on=rows.device
        )

        of_rows = to_device(labels, rows.device)

        dropout = depth_dropout(
            recipe,
            images=len(labels),
            layers=supernet.capacity.depth,
            seed=seed,
            indices_on=rows.device,
            device=device,
        )

        def inputs(batch: Tensor) -> Tensor:
            if augment is not None:
                return normalise(augment(batch, device))
            found = rows[image_of(batch, len(rows))]
            return found if pooled is not None else normalise(to_device(found, device))

        def targets(batch: Tensor) -> Targets:
            if augment is not None:
                return augment.targets(of_rows, batch).on(device)
            return Targets(of_rows[image_of(batch, len(rows))]).on(device)

        # torch.compile would compile again for each architecture of a batch, but not for each of an image
        per_image = execution.compile and not isinstance(chooser, Constant)
        gradient = StepGradient(
            network=_HeadAlone(supernet) if head_alone else supernet,
            inputs=inputs,
            targets=targets,
            device=device,
            execution=execution,
            processes=processes,
            kinds=supernet.capacity.kinds if per_image else None,
            dropout=dropout,
            loss=TrainingLoss.of(recipe, labels, supernet.num_classes, device),
        )
        run_epochs(
            [learner],
            labels,
            _OneNetwork(
                gradient,
                learner,
                chooser,
                indices_on=rows.device,
                drawing=[of for of in (augment, dropout) if of is not None],
                cached=pooled is not None,
                given=features is not None,
                during_epoch=lambda: cast_once(supernet.backbone, trunk),
            ),
            saves=processes.rank == 0,
            save_every=save_every,
            on_epoch=after_epoch,
        )
    supernet.eval()
    return curve


class _OneNetwork:
    """The steps of one network, with the architectures chosen by ``chooser``.

    ``cached`` means that the network reads features instead of images; ``given``, that the features were
    given and no image passed through the backbone.
    """

    def __init__(
        self,
        gradient: StepGradient,
        learner: Learner,
        chooser: Chooser,
        *,
        indices_on: torch.device,
        drawing: Sequence[Augmenter | DepthDropout],
        cached: bool,
        given: bool,
        during_epoch: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.indices_on = indices_on
        self.during_epoch = during_epoch
        self._gradient = gradient
        self._learner = learner
        self._chooser = chooser
        self._drawing = drawing
        self._cached = cached
        self._given = given

    def begin(self, learners: Sequence[Learner]) -> None:
        """See `Gradient.begin`."""
        self._rng = self._learner.architecture_stream()
        for of in self._drawing:
            of.begin(self._learner.finished)
        self._passes = not self._cached or (self._learner.finished == 0 and not self._given)

    def __call__(self, batches: Sequence[Tensor]) -> tuple[Tensor, int]:
        """See `Gradient.__call__`."""
        (batch,) = batches
        step = self._chooser(self._rng, len(batch))
        self._learner.optimizer.zero_grad()
        loss = self._gradient.add(batch, step)
        return loss[None], len(batch) * len(step.passes) if self._passes else 0


@torch.no_grad()
def pooled_features(
    supernet: Supernet,
    images: Images,
    preprocessing: Preprocessing,
    *,
    architecture: Architecture | None = None,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> Tensor:
    """Pooled features ``(N, d)`` of uint8 ``images (N, 3, H, W)``: float32, on the supernet's device.

    The features are constant while neither modules nor backbone change. The default architecture is the
    capacity.
    """
    device = supernet.head.weight.device
    starts, normalise = range(0, len(images), batch_size), preprocessing.on(device)
    batches = (normalise(to_device(images[i : i + batch_size], device)) for i in starts)
    with computing_in(device, precision), cast_once(supernet.backbone, precision):
        return torch.cat([supernet.features(x, architecture).float() for x in batches])


class _HeadAlone(nn.Module):
    """A head that reads features, called like the whole network."""

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.head = supernet.head
        self._classify = supernet.classify

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        return self._classify(features)
