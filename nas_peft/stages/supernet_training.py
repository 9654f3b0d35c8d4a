"""The training of one supernet: its inputs, and the file of its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas_peft.data import Part
from nas_peft.machine.accelerator import with_less_memory
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.module_files import import_module_files
from nas_peft.training.trainings import probe_head
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
    checked_bytes,
    checked_tensors,
    train,
    write_atomically,
)
from supernet.data_parallel import Processes


@dataclass(frozen=True)
class SupernetTraining:
    """The training of a supernet with all its inputs; picklable, so that several processes can share it.

    ``name`` is the name of its files and its stage. ``features (N, d)`` are the pretrained features of
    ``part``, on which the head is first trained by the recipe ``head``. ``module_files`` register the user's
    module kinds in each process.
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
        """Run this process's share of the training within torch's process group; curve and peak memory."""
        import_module_files(self.module_files)
        return self.run(device, on_step)[1:]

    def run(self, device: str, on_epoch: Callable[[int], None]) -> tuple[Supernet, Curve, int | None]:
        """Train and write the weights; return supernet, curve, and peak memory of the largest process."""
        supernet, curve, peak = self.train_together(device, on_epoch, self.state)
        if Processes.current().rank == 0:
            self.write(self.tensors(supernet))
        return supernet, curve, peak

    def train_together(
        self, device: str, on_epoch: Callable[[int], None], state: Path | None
    ) -> tuple[Supernet, Curve, int | None]:
        """`train` with the processes of torch's group, or alone and with less memory where it is short.

        The memory is that of the process that needed most.
        """
        processes = Processes.current()
        if (
            processes.count > 1
        ):  # processes with different numbers of micro-batches would wait for each other forever
            supernet, curve, memory = self.train(self.execution, device, on_epoch, state)
        else:
            supernet, curve, memory = with_less_memory(
                lambda execution: self.train(execution, device, on_epoch, state),
                self.execution,
                self.recipe.batch_size,
                device,
            )
        unknown = -1
        peak = int(processes.largest(torch.tensor(unknown if memory is None else memory, device=device)))
        return supernet, curve, None if peak == unknown else peak

    def train(
        self, execution: Execution, device: str, on_epoch: Callable[[int], None], state: Path | None
    ) -> tuple[Supernet, Curve, int | None]:
        """Train, and return the supernet, its curve, and the peak memory of this process in bytes.

        The training resumes from the file ``state``, if there is one, and saves its state there.
        """
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
                execution=execution,
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
            state_file=state,
            execution=execution,
        )
        return supernet, curve, memory.bytes

    def tensors(self, supernet: Supernet) -> dict[str, Tensor]:
        """The trained tensors on the CPU, by name."""
        return {k: v.cpu().contiguous() for k, v in supernet.module_tensors(self.capacity).items()}

    def write(self, tensors: dict[str, Tensor]) -> None:
        """Write the weights to their file."""
        write_atomically(self.weights, checked_bytes(tensors))

    def read(self, device: str) -> Supernet:
        """The supernet with the weights from their file."""
        supernet = self._initial(device)
        supernet.load_module_tensors(checked_tensors(self.weights)[0])
        return supernet

    def _initial(self, device: str) -> Supernet:
        return Supernet(
            self.backbone.model.to(device),
            self.capacity,
            self.classes,
            seed=stream_seed(self.seed, "supernet weights"),
        )
