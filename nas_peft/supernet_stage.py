"""The stage that trains the supernet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.folds import others, stratified_folds
from nas_peft.module_files import import_module_files
from nas_peft.peak_memory import PeakMemory, largest
from nas_peft.process_group import run_together
from nas_peft.progress import StageBars
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.scorer import Fold
from nas_peft.supernet_chooser import supernet_chooser
from nas_peft.trainings import probe_head
from search_spaces import Architecture, InputError
from search_spaces.streams import stream, stream_seed
from supernet import (
    Backbone,
    Chooser,
    Curve,
    Execution,
    Preprocessing,
    Recipe,
    Supernet,
    train,
    write_atomically,
)
from supernet.data_parallel import Processes


def train_supernets(
    inputs: RunInputs, features: Tensor, folder: RunFolder, bars: StageBars, device: str
) -> tuple[list[Fold], dict[str, Any]]:
    """The supernets, each with the images that it has not been trained on; and the stage's record.

    One supernet is trained on the training part and scores the validation part. With ``folds`` there are that
    many, each trained on all folds of the training part but one, which it scores; together they take the
    image passes of one, as each has its share of the epochs (rounded). Finished ones are read from the
    folder, an unfinished one goes on after the last epoch that was saved. With ``data_parallel`` processes
    a supernet is trained by that many of them, and comes back by its file.
    """
    folds, records = [], []
    trainings = supernet_trainings(inputs, features, folder)
    total = sum(training.recipe.epochs for training, _ in trainings)
    with bars.stage("supernet (epochs)") as advance:
        before = 0
        for training, unseen in trainings:

            def on_epoch(done: int, before: int = before) -> None:
                advance(before + done, total)

            supernet, record = _trained(training, folder, device, inputs.config.data_parallel, on_epoch)
            folds.append(Fold(supernet.eval(), unseen))
            records.append(record)
            before += training.recipe.epochs
            advance(before, total)
    stage = {
        "seconds": sum(record["seconds"] for record in records),
        "image_passes": sum(record["image_passes"] for record in records),
        "peak_memory": largest(record.get("peak_memory") for record in records),
        "supernets": records,
    }
    return folds, stage


def read_supernets(inputs: RunInputs, folder: RunFolder, device: str) -> list[Fold]:
    """The supernets of a run that has trained them. Raises `InputError` if it has not."""
    features = torch.empty(0)  # of no use without training
    folds = []
    for training, unseen in supernet_trainings(inputs, features, folder):
        if folder.read_stage(training.name) is None:
            raise InputError(
                f"the run in '{folder.path}' has not finished training its supernet; go on with the same "
                "nas-peft search command first"
            )
        folds.append(Fold(training.read(device).eval(), unseen))
    return folds


def supernet_trainings(
    inputs: RunInputs, features: Tensor, folder: RunFolder
) -> list[tuple[SupernetTraining, Part]]:
    """Each supernet's training, and the part that it is not trained on."""
    config, train_part = inputs.config, inputs.dataset.train

    def training(name: str, part: Part, features: Tensor, recipe: Recipe) -> SupernetTraining:
        return SupernetTraining(
            name=name,
            backbone=inputs.backbone,
            capacity=inputs.space.largest(),
            classes=len(inputs.dataset.classes),
            part=part,
            features=features,
            preprocessing=inputs.preprocessing,
            chooser=supernet_chooser(inputs),
            recipe=recipe,
            head=config.head_recipe(),
            execution=config.execution("supernet"),
            seed=config.seed,
            module_files=tuple(file.resolve() for file in config.module_files),
            weights=folder.path / f"{name}.safetensors",
            state=folder.path / f"{name}.state.pt",
        )

    recipe = config.recipe("supernet")
    of_train = features[: len(train_part)]
    if config.folds == 1:
        return [(training("supernet", train_part, of_train, recipe), inputs.dataset.val)]
    if len(train_part) < config.folds:
        raise InputError(
            f"folds is {config.folds}, and the training part has {len(train_part)} images; give fewer folds"
        )
    shared = replace(recipe, epochs=max(1, round(recipe.epochs / (config.folds - 1))))
    folds = stratified_folds(train_part.labels, config.folds, stream(config.seed, "folds"))
    found = []
    for i, left_out in enumerate(folds):
        seen = others(folds, i)
        of_seen = of_train[seen] if len(of_train) else of_train
        found.append(
            (training(f"supernet-fold{i}", train_part.take(seen), of_seen, shared), train_part.take(left_out))
        )
    return found


def _trained(
    training: SupernetTraining,
    folder: RunFolder,
    device: str,
    processes: int,
    on_epoch: Callable[[int], None],
) -> tuple[Supernet, dict[str, Any]]:
    """The trained supernet and its record, read where it had finished."""
    record = folder.read_stage(training.name)
    if record is not None:
        return training.read(device), record
    if processes == 1:
        supernet, curve, peak = training.run(device, on_epoch)
    else:
        training.backbone.model.cpu()
        curve, peak = run_together(training, processes, device, on_epoch)
        supernet = training.read(device)
    record = {
        "seconds": curve.seconds,
        "image_passes": curve.image_passes,
        "peak_memory": peak,
        "losses": curve.losses,
    }
    folder.write_stage(training.name, record)
    training.state.unlink(missing_ok=True)
    return supernet, record


@dataclass(frozen=True)
class SupernetTraining:
    """Everything that the training of a supernet needs; picklable, so that several processes can share it.

    ``name`` is its files' and its stage's. ``features`` are the pretrained ones of ``part`` ``(N, d)``, for
    training the head first by ``head``.
    ``module_files`` register the user's kinds in each process.
    """

    name: str
    backbone: Backbone
    capacity: Architecture
    classes: int
    part: Part
    features: Tensor
    preprocessing: Preprocessing
    chooser: Chooser
    recipe: Recipe
    head: Recipe | None
    execution: Execution
    seed: int
    module_files: tuple[Path, ...]
    weights: Path
    state: Path

    def __call__(self, device: str, on_step: Callable[[int], None]) -> tuple[Curve, int | None]:
        """This process's part of the training, among those of torch's process group."""
        import_module_files(self.module_files)
        return self.run(device, on_step)[1:]

    def run(self, device: str, on_epoch: Callable[[int], None]) -> tuple[Supernet, Curve, int | None]:
        """Train, and leave the weights in their file; also the peak memory of the largest process."""
        memory = PeakMemory(device)
        supernet = self._initial(device)
        if self.head:
            probe_head(
                supernet,
                self.part.labels,
                self.features,
                self.preprocessing,
                self.head,
                self.seed,
                execution=self.execution,
            )
        curve = train(
            supernet,
            self.part.images,
            self.part.labels,
            preprocessing=self.preprocessing,
            chooser=self.chooser,
            recipe=self.recipe,
            seed=stream_seed(self.seed, "supernet"),
            on_epoch=on_epoch,
            state_file=self.state,
            execution=self.execution,
        )
        if Processes.current().rank == 0:
            tensors = {k: v.cpu().contiguous() for k, v in supernet.module_tensors(self.capacity).items()}
            write_atomically(self.weights, save(tensors))
        unknown = -1
        own = unknown if memory.bytes is None else memory.bytes
        peak = int(Processes.current().largest(torch.tensor(own, device=device)))
        return supernet, curve, None if peak == unknown else peak

    def read(self, device: str) -> Supernet:
        """The supernet with the weights in their file."""
        supernet = self._initial(device)
        supernet.load_module_tensors(load(self.weights.read_bytes()))
        return supernet

    def _initial(self, device: str) -> Supernet:
        return Supernet(
            self.backbone.model.to(device),
            self.capacity,
            self.classes,
            seed=stream_seed(self.seed, "supernet weights"),
        )
