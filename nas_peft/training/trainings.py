"""Separate trainings: subnets from scratch, single methods and baselines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nas_peft.data import Part
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.methods import METHODS
from nas_peft.training.head_retraining import retrain_head
from nas_peft.training.image_scores import ImageScores, ShiftedScores
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.val_score import ValScore
from search_spaces import Architecture, InputError
from search_spaces.streams import stream_seed
from supernet import (
    TRAINABLE_SETS,
    Backbone,
    Constant,
    Curve,
    Execution,
    NonFiniteLoss,
    Penalty,
    Preprocessing,
    Recipe,
    Supernet,
    TrainableSet,
    checked_bytes,
    evaluate,
    train,
)
from supernet.activation_start import start_from_activations
from supernet.evaluation import Evaluation
from supernet.execution import PLAIN

EVALUATED = 256
"""Images that are evaluated at a time, in as many parts as the batches of the training."""


def run_training(
    training: Training,
    inputs: TrainingInputs,
    device: str,
    *,
    on_epoch: Callable[[TrainingRecord], None] | None = None,
    state_file: Path | None = None,
    save_every: float = 15.0,
) -> tuple[TrainingRecord, bytes]:
    """Train, and score on the validation set unless that set was trained on.

    For a training that is scored, ``on_epoch`` is called after each epoch but the last with the record as if
    the training ended there; this costs a pass over the validation set each time. ``state_file`` and
    ``save_every`` are those of `supernet.train`; the caller removes the file after storing the record.

    Returns the record and the trained tensors as safetensors bytes; the bytes are empty where the training
    changes the backbone, unless it is a final model or has ``keep`` set. Raises `supernet.NonFiniteLoss`, any
    error of ``on_epoch``, and `InputError` for BitFit of a backbone without biases.
    """
    memory = PeakMemory(device)
    inputs = inputs.without(training.without)
    method = METHODS[training.method]
    trained = TRAINABLE_SETS[method.trains]
    if trained.changes_backbone and not trained.backbone_parameters(inputs.backbone.model):
        raise InputError(
            f"the backbone '{inputs.backbone.name}' has no biases, which {method.label} trains; "
            f"leave {method.name} out"
        )
    network = starting_network(training, inputs, device)
    part = trained_on(training, inputs)
    features = inputs.features[: len(part)]

    def scored(curve: Curve) -> TrainingRecord:
        return score_network(network, training, curve, inputs, memory)

    def report(curve: Curve) -> None:
        if on_epoch is not None and training.on == "train" and len(curve.losses) < training.recipe.epochs:
            on_epoch(scored(curve))
            network.train()

    curve = train(
        network,
        features if training.method == "linear" else part.images,
        part.labels,
        preprocessing=inputs.preprocessing,
        chooser=Constant(training.architecture),
        recipe=training.recipe,
        seed=training.seed,
        trainable=method.trains,
        features=features if training.method == "linear" else None,
        on_curve=report,
        state_file=state_file,
        save_every=save_every,
        execution=training.execution,
        penalty=Penalty(*method.penalty) if method.penalty else None,
    )
    retrain_head_of(network, training, inputs, curve)
    return scored(curve), tensors_to_keep(network, training)


def retrain_head_of(network: Supernet, training: Training, inputs: TrainingInputs, curve: Curve) -> None:
    """Retrain the head after a training whose recipe asks for it; see `retrain_head`."""
    retrain_head(
        network,
        training.architecture,
        trained_on(training, inputs),
        training.recipe,
        inputs.preprocessing,
        training.seed,
        curve=curve,
        execution=training.execution,
    )


def trained_on(training: Training, inputs: TrainingInputs) -> Part:
    """The images of a training."""
    return inputs.train if training.on == "train" else Part.join([inputs.train, inputs.val])


def score_network(
    network: Supernet, training: Training, curve: Curve, inputs: TrainingInputs, memory: PeakMemory
) -> TrainingRecord:
    """The record of a training that left ``network``, scored on the validation part unless it saw that."""
    so_far = replace(curve, losses=[*curve.losses])  # a record stays as it is while the training goes on
    if training.on != "train":
        return TrainingRecord(training, so_far, None, peak_memory=memory.bytes)
    val, images = scores_of(network.eval(), training, inputs)
    return TrainingRecord(training, so_far, val, peak_memory=memory.bytes, images=images)


def scores_of(network: Supernet, training: Training, inputs: TrainingInputs) -> tuple[ValScore, ImageScores]:
    """The scores of a network on the validation part, and on shifted images if the choice needs them."""
    result, shifted = _evaluated(network, training, inputs, inputs.val), None
    if inputs.shifted is not None:
        part = inputs.shifted.part
        found = _evaluated(network, training, inputs, part)
        shifted = ShiftedScores(_logits(found), part.labels, inputs.shifted.margin)
    images = ImageScores.of(_logits(result), inputs.val.labels, shifted)
    return ValScore(result.accuracy, result.loss), images


def scores_on(part: Part, network: Supernet, training: Training, inputs: TrainingInputs) -> ImageScores:
    """The scores of a network on other images than those of the validation part."""
    return ImageScores.of(_logits(_evaluated(network, training, inputs, part)), part.labels)


def _evaluated(network: Supernet, training: Training, inputs: TrainingInputs, part: Part) -> Evaluation:
    return evaluate(
        network,
        part.images,
        part.labels,
        preprocessing=inputs.preprocessing,
        batch_size=max(1, EVALUATED // training.execution.micro_batches),
        precision=training.execution.precision,
        keep_logits=True,
    )


def _logits(result: Evaluation) -> Tensor:
    assert result.logits is not None  # asked for
    return result.logits


def tensors_to_keep(network: Supernet, training: Training) -> bytes:
    """The trained tensors as safetensors bytes; none of a changed backbone unless they are needed later.

    They are needed of a final model, and where the training says so.
    """
    if training.on == "train" and not training.keep and _trained_set(training).changes_backbone:
        return b""
    return checked_bytes(trained_tensors(network, training))


def on_device(backbone: Backbone, device: str) -> bool:
    """Whether the backbone's weights are on ``device``."""
    return next(backbone.model.parameters()).device == torch.device(device)


def starting_network(training: Training, inputs: TrainingInputs, device: str) -> Supernet:
    """The network at the start of a training.

    Modules and head are inherited or initial ones, as the recipe and the method say; initial heads are
    trained briefly if asked for. Raises `supernet.NonFiniteLoss` if that fails, and for pruned modules whose
    first training has failed.
    """
    model = inputs.backbone.model
    if _trained_set(training).changes_backbone or not on_device(inputs.backbone, device):
        model = copy.deepcopy(model).to(device)
    seed = stream_seed(training.start_seed, "weights", training.name)
    network = Supernet(model, training.architecture, inputs.classes, seed=seed)
    if METHODS[training.method].start == "activations":
        start_from_activations(network, trained_on(training, inputs).images, inputs.preprocessing)
    if training.recipe.start == "inherited":
        inherited = inputs.inherited.of(training.name, training.on)
        if inherited is None and METHODS[training.method].start == "pruned":
            raise NonFiniteLoss("the training before the pruning failed; try a lower --lr")
        if inherited is None:
            raise ValueError(f"'{training.name}' starts from inherited weights, and none are given")
        network.load_module_tensors(inherited)
    if training.head:
        labels = inputs.train.labels
        if training.on == "train_val":
            labels = torch.cat([labels, inputs.val.labels])
        probe_head(
            network,
            labels,
            inputs.features[: len(labels)],
            inputs.preprocessing,
            training.head,
            training.start_seed,
            execution=training.execution,
        )
    return network


def probe_head(
    network: Supernet,
    labels: Tensor,
    features: Tensor,
    preprocessing: Preprocessing,
    recipe: Recipe,
    seed: int,
    *,
    execution: Execution = PLAIN,
) -> Curve:
    """Train the head alone on the pretrained ``features (N, d)``: linear probing.

    Before another training the head is trained only briefly (after Kumar et al., arXiv 2202.10054), so that
    the modules need not compensate for a random head. A head that fits its images perfectly would leave the
    modules nothing to learn (docs/log/head_start.md).
    """
    return train(
        network,
        features,
        labels,
        preprocessing=preprocessing,
        chooser=Constant(Architecture.empty(network.capacity.depth)),
        recipe=recipe,
        seed=seed,
        trainable="head",
        features=features,
        execution=execution,
    )


def trained_network(
    training: Training, tensors: dict[str, Tensor], inputs: TrainingInputs, device: str
) -> Supernet:
    """The network of a training, rebuilt from its saved tensors."""
    return restored_network(training, tensors, inputs.backbone, inputs.classes, device)


def restored_network(
    training: Training, tensors: dict[str, Tensor], backbone: Backbone, classes: int, device: str
) -> Supernet:
    """The network of a training, rebuilt from its saved tensors without the data."""
    model = backbone.model
    if _trained_set(training).changes_backbone:
        model = copy.deepcopy(model)
    network = Supernet(model.to(device), training.architecture, classes)
    with torch.no_grad():
        for name, value in _trained(network, training).items():
            value.copy_(tensors[name])
    return network.eval()


def trained_tensors(network: Supernet, training: Training) -> dict[str, Tensor]:
    """Copies on the CPU, by name, of the tensors that the training changes."""
    return {name: t.cpu().clone().contiguous() for name, t in _trained(network, training).items()}


def _trained(network: Supernet, training: Training) -> dict[str, Tensor]:
    """Tensors that the training changes: modules, head, and the trained part of the backbone."""
    tensors = network.module_tensors(training.architecture)
    of_backbone = _trained_set(training).backbone_tensors(network.backbone)
    return tensors | {f"backbone.{name}": value for name, value in of_backbone.items()}


def _trained_set(training: Training) -> TrainableSet:
    return TRAINABLE_SETS[METHODS[training.method].trains]
