"""Separate trainings: subnets from scratch, single methods and baselines."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor

from nas_peft.data import Part
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.settings.methods import METHODS, Method
from search_spaces import Architecture, InputError
from search_spaces.streams import stream_seed
from supernet import (
    Backbone,
    Constant,
    Curve,
    Execution,
    Penalty,
    Preprocessing,
    Recipe,
    Supernet,
    biases,
    evaluate,
    train,
)
from supernet.execution import PLAIN


@dataclass(frozen=True)
class Training:
    """One training from the pretrained weights. ``name`` tells it apart in files, ``on`` says on which data.

    ``on="train"`` is scored on the validation part; ``on="train_val"`` is a final model. With ``head`` the
    head is first trained alone by that recipe (as in LP-FT, arXiv 2202.10054). ``keep`` says that the trained
    tensors are wanted for ``on="train"`` too; it changes nothing about the training. ``seed`` decides the
    order of the images and, unless ``init_seed`` does, the initial values; trainings of one name and
    ``init_seed`` start from the same network, so that their weights can be averaged.
    """

    name: str
    method: Method
    architecture: Architecture
    recipe: Recipe
    head: Recipe | None
    seed: int
    on: Literal["train", "train_val"]
    execution: Execution = PLAIN
    keep: bool = False
    init_seed: int | None = None

    @property
    def key(self) -> str:
        """Its file name in the run folder: ``full.train.lr0.0003.seed0``, and ``.init0`` if that is given."""
        start = "" if self.init_seed is None else f".init{self.init_seed}"
        return f"{self.name}.{self.on}.lr{self.recipe.lr:g}.seed{self.seed}{start}"

    @property
    def start_seed(self) -> int:
        """What the initial values depend on."""
        return self.seed if self.init_seed is None else self.init_seed

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "name": self.name,
            "method": self.method,
            "architecture": self.architecture.to_dict(),
            "recipe": self.recipe.to_dict(),
            "head": self.head.to_dict() if self.head else None,
            "seed": self.seed,
            "on": self.on,
            "execution": self.execution.to_dict(),
            "init_seed": self.init_seed,
        }


@dataclass(frozen=True)
class TrainingInputs:
    """What all trainings of a run share; sent once to the workers.

    ``features`` are the pretrained features of train, then val, ``(N, d)``: linear probes need nothing else.
    """

    backbone: Backbone
    preprocessing: Preprocessing
    classes: int
    train: Part
    val: Part
    features: Tensor


def run_training(
    training: Training,
    inputs: TrainingInputs,
    device: str,
    *,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    state_file: Path | None = None,
    save_every: float = 15.0,
) -> tuple[dict[str, Any], bytes]:
    """Train, and score on the validation part where that was not trained on.

    ``on_epoch`` is given the record as it would be if the training ended there, after each epoch but the last
    of one that is scored; scoring costs a pass over the validation part each time. ``state_file`` and
    ``save_every`` are those of `supernet.train`; the caller removes the file when the record is kept.

    Returns the JSON-able record and the trained tensors as safetensors bytes: those of a final model, and of
    another training if ``training.keep`` is set; else no bytes. Raises `supernet.NonFiniteLoss`, what
    ``on_epoch`` raises, and `InputError` for BitFit of a backbone without biases.
    """
    memory = PeakMemory(device)
    method = METHODS[training.method]
    if method.trains == "biases" and not biases(inputs.backbone.model):
        raise InputError(
            f"the backbone '{inputs.backbone.name}' has no biases, which {method.label} trains; "
            f"leave {method.name} out"
        )
    network = starting_network(training, inputs, device)
    part = inputs.train if training.on == "train" else Part.join([inputs.train, inputs.val])
    features = inputs.features[: len(part)]

    def scored(curve: Curve) -> dict[str, Any]:
        record = training.to_dict() | {"error": None, "curve": curve.to_dict(), "val": None}
        if training.on == "train":
            result = evaluate(
                network.eval(),
                inputs.val.images,
                inputs.val.labels,
                preprocessing=inputs.preprocessing,
                precision=training.execution.precision,
            )
            record["val"] = {"accuracy": result.accuracy, "loss": result.loss}
        return record

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
    record = scored(curve) | {"peak_memory": memory.bytes}
    if training.on == "train" and not training.keep:
        return record, b""
    return record, save(trained_tensors(network, training))


def starting_network(training: Training, inputs: TrainingInputs, device: str) -> Supernet:
    """The network as its training begins: modules at their initial values, the head briefly trained."""
    model = inputs.backbone.model
    if METHODS[training.method].changes_backbone or device != "cpu":
        model = copy.deepcopy(model).to(device)
    seed = stream_seed(training.start_seed, "weights", training.name)
    network = Supernet(model, training.architecture, inputs.classes, seed=seed)
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

    Briefly before another training (after Kumar et al., arXiv 2202.10054), so that the modules do not have to
    make up for a random head. Not to the end: a head that fits its images perfectly leaves the modules
    nothing to learn (docs/log/head_start.md).
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
    """The network of a final model from its saved tensors."""
    model = inputs.backbone.model
    if METHODS[training.method].changes_backbone:
        model = copy.deepcopy(model)
    network = Supernet(model.to(device), training.architecture, inputs.classes)
    with torch.no_grad():
        for name, value in _trained(network, training).items():
            value.copy_(tensors[name])
    return network.eval()


def trained_tensors(network: Supernet, training: Training) -> dict[str, Tensor]:
    """What a training of this kind changes, by name, on the CPU; independent of the network."""
    return {name: t.cpu().clone().contiguous() for name, t in _trained(network, training).items()}


def _trained(network: Supernet, training: Training) -> dict[str, Tensor]:
    """What the training changed: modules and head, and the backbone or its biases."""
    tensors = network.module_tensors(training.architecture)
    of_backbone: Mapping[str, Tensor] = {
        "biases": {name: value.data for name, value in biases(network.backbone).items()},
        "all": network.backbone.state_dict(),
    }.get(METHODS[training.method].trains, {})
    return tensors | {f"backbone.{name}": value for name, value in of_backbone.items()}
