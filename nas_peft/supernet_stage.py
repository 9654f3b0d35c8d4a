"""The stage that trains the supernet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from nas_peft.data import Part
from nas_peft.module_files import import_module_files
from nas_peft.process_group import run_together
from nas_peft.progress import StageBars
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.supernet_chooser import supernet_chooser
from nas_peft.trainings import probe_head
from search_spaces import Architecture
from search_spaces.streams import stream_seed
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


def train_supernet(
    inputs: RunInputs, features: Tensor, folder: RunFolder, bars: StageBars, device: str
) -> tuple[Supernet, dict[str, Any]]:
    """The supernet, trained on architectures around the budget; and the stage's record.

    A finished one is read from the folder, an unfinished one goes on after the last epoch that was saved.
    With ``data_parallel`` processes it is trained by that many of them, and comes back by its file.
    """
    config = inputs.config
    training = SupernetTraining(
        backbone=inputs.backbone,
        capacity=inputs.space.largest(),
        classes=len(inputs.dataset.classes),
        part=inputs.dataset.train,
        features=features[: len(inputs.dataset.train)],
        preprocessing=inputs.preprocessing,
        chooser=supernet_chooser(inputs),
        recipe=config.recipe("supernet"),
        head=config.head_recipe(),
        execution=config.execution("supernet"),
        seed=config.seed,
        module_files=tuple(file.resolve() for file in config.module_files),
        weights=folder.path / "supernet.safetensors",
        state=folder.path / "supernet.state.pt",
    )
    with bars.stage("supernet (epochs)") as advance:
        stage = folder.read_stage("supernet")
        if stage is None:

            def on_epoch(done: int) -> None:
                advance(done, config.supernet_epochs)

            if config.data_parallel == 1:
                supernet, curve = training.run(device, on_epoch)
            else:
                training.backbone.model.cpu()
                curve = run_together(training, config.data_parallel, device, on_epoch)
                supernet = training.read(device)
            stage = {"seconds": curve.seconds, "image_passes": curve.image_passes, "losses": curve.losses}
            folder.write_stage("supernet", stage)
            training.state.unlink(missing_ok=True)
        else:
            supernet = training.read(device)
            advance(config.supernet_epochs, config.supernet_epochs)
    return supernet.eval(), stage


@dataclass(frozen=True)
class SupernetTraining:
    """Everything that the training of a supernet needs; picklable, so that several processes can share it.

    ``features`` are the pretrained ones of ``part`` ``(N, d)``, for training the head first by ``head``.
    ``module_files`` register the user's kinds in each process.
    """

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

    def __call__(self, device: str, on_step: Callable[[int], None]) -> Curve:
        """This process's part of the training, among those of torch's process group."""
        import_module_files(self.module_files)
        return self.run(device, on_step)[1]

    def run(self, device: str, on_epoch: Callable[[int], None]) -> tuple[Supernet, Curve]:
        """Train, and leave the weights in their file."""
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
        return supernet, curve

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
