"""Many subnets on one frozen backbone: a batch may mix tasks, and tasks come and go while it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import torch
from PIL.Image import Image
from torch import Tensor, nn

from search_spaces import Architecture, InputError, unknown_name
from supernet.backbones import Backbone, as_text
from supernet.bound_modules import BoundNetwork
from supernet.checkpoint import load_subnet
from supernet.grouped_pass import grouped_logits
from supernet.preprocessing import Preprocessing
from supernet.shared_backbone import backbone_of_files
from supernet.subnet import Subnet


@dataclass(frozen=True, eq=False)
class Task:
    """A subnet under the name by which images ask for it. It can still be used after it was dropped."""

    name: str
    subnet: Subnet
    bound: BoundNetwork = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.subnet.classes

    @property
    def metrics(self) -> dict[str, Any]:
        """The run's measurements of the subnet, and their protocol."""
        return self.subnet.metrics

    @property
    def architecture(self) -> Architecture:
        """The sizes of the modules."""
        return self.subnet.architecture

    @property
    def params(self) -> int:
        """Number of parameters of modules and head."""
        return self.subnet.params

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the task's images."""
        return self.subnet.preprocessing

    @property
    def temperature(self) -> float | None:
        """The temperature of the probabilities; None where none was fitted."""
        return self.subnet.temperature

    def prepare(self, image: Image) -> Tensor:
        """A normalised image ``(3, H, W)`` in float32 on the CPU, an input of `MultiTaskModel.forward`."""
        return self.preprocessing.normalise(self.preprocessing.to_tensor(image)[None])[0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities ``(…, classes)``: the softmax of logits divided by the temperature."""
        return self.subnet.probabilities_of(logits)


class Prediction(NamedTuple):
    """The most probable class of an image, in its task."""

    task: str
    label: str
    probability: float


TaskOrName: TypeAlias = str | Task


class MultiTaskModel:
    """One frozen backbone and many subnets, each with its own modules, head, classes and preprocessing.

    ```python
    model = MultiTaskModel(None, {"digits": "digits.safetensors", "hands": "hands.safetensors"})
    model.predict([first, second, third], ["hands", "digits", "hands"])
    model.add("birds", "birds.safetensors")
    ```

    Subnets may have any kinds of modules in any layers and sizes. The images of a batch are computed in one
    pass, whatever their tasks, and each image's logits are those of its subnet alone. In memory there are the
    backbone once and the tensors of the files, in float32. Several threads may use the model, and add and
    drop tasks meanwhile: a pass that has begun ends with the tasks that it began with.

    Args:
        backbone: the backbone of all tasks: a `Backbone`, a timm model without classifier (which is frozen
            and set to evaluation mode), or a name in timm; None for the backbone that the files name.
        files: subnet file of each task, by name; may be empty if a backbone is given.
        backbone_weights: weights file of a backbone that is given by name or by the files.
        device: where to compute; by default where the backbone is, which is the CPU unless it was moved.

    Raises `InputError` for files of different backbones or weights, files that `load_subnet` refuses, neither
    a backbone nor a file, and a device that is not there.
    """

    def __init__(
        self,
        backbone: Backbone | nn.Module | str | None,
        files: Mapping[str, str | Path],
        *,
        backbone_weights: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.backbone = backbone_of_files(backbone, files, backbone_weights)
        if device is not None:
            _move(self.backbone.model, device)
        self._lock = Lock()
        self._tasks: Mapping[str, Task] = MappingProxyType({})
        for name, file in files.items():
            self.add(name, file)

    @property
    def device(self) -> torch.device:
        """Where the passes compute."""
        return next(self.backbone.model.parameters()).device

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name, in the order in which they were added; later changes do not show in it."""
        return self._tasks

    def task(self, name: str) -> Task:
        """The task of a name. Raises `InputError` if there is none."""
        return _found(name, self._tasks)

    def add(self, name: str, file: str | Path) -> Task:
        """Load a subnet file as task ``name``.

        Raises `InputError` for a name that is taken, for a file of another backbone or other weights, and for
        any other file that `load_subnet` refuses; the tasks are then as before.
        """
        _require_free(name, self._tasks)
        subnet = load_subnet(file, self.backbone)
        subnet.network.requires_grad_(False)
        task = Task(name, subnet, BoundNetwork(subnet.network))
        with self._lock:
            _require_free(name, self._tasks)  # another thread may have been faster
            self._tasks = MappingProxyType({**self._tasks, name: task})
        return task

    def drop(self, name: str) -> Task:
        """Remove a task and return it. Passes in progress still end with it.

        Raises `InputError` if there is no such task.
        """
        with self._lock:
            task = _found(name, self._tasks)
            self._tasks = MappingProxyType({n: t for n, t in self._tasks.items() if n != name})
        return task

    def forward(self, images: Tensor, tasks: Sequence[TaskOrName]) -> list[Tensor]:
        """Float32 logits ``(classes of its task,)`` for each image of a batch, in the order of the images.

        They are on the model's device.

        Args:
            images: ``(B, 3, H, W)`` on any device, each normalised by its own task's preprocessing
                (`Task.prepare`).
            tasks: for each image a name or a `Task`, in any order. A `Task` also works after it was dropped,
                so a name can be looked up once and used later.

        No gradients are recorded. Raises `InputError` for an unknown name, and unless there is one task for
        each image.
        """
        if len(tasks) != len(images):
            raise InputError(f"{len(tasks)} tasks for {len(images)} images; give one for each image")
        return self._logits(images.to(self.device), self._resolved(tasks))

    __call__ = forward

    def logits(
        self, images: Iterable[Image], tasks: Iterable[TaskOrName], batch_size: int = 64
    ) -> list[Tensor]:
        """Float32 logits on the CPU, ``(classes of its task,)`` for each PIL image.

        Each image is preprocessed as its task's images were in training. Images are read batch by batch, so a
        generator holds one batch in memory. Raises `InputError` as `forward` does, and for a batch of tasks
        with different image sizes.
        """
        return [logits for _, logits in self._computed(images, tasks, batch_size)]

    def probabilities(
        self, images: Iterable[Image], tasks: Iterable[TaskOrName], batch_size: int = 64
    ) -> list[Tensor]:
        """Calibrated probabilities, see `Task.probabilities`; otherwise as `logits`."""
        return [task.probabilities(logits) for task, logits in self._computed(images, tasks, batch_size)]

    def predict(
        self, images: Iterable[Image], tasks: Iterable[TaskOrName], batch_size: int = 64
    ) -> list[Prediction]:
        """The most probable class of each PIL image; otherwise as `logits`."""
        found = []
        for task, logits in self._computed(images, tasks, batch_size):
            probability, index = task.probabilities(logits).max(0)
            found.append(Prediction(task.name, task.classes[int(index)], float(probability)))
        return found

    def _computed(
        self, images: Iterable[Image], tasks: Iterable[TaskOrName], batch_size: int
    ) -> Iterator[tuple[Task, Tensor]]:
        if isinstance(images, Image):
            raise TypeError("one image is given; give a list of images, such as [image]")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; give at least 1")
        each, names = iter(images), list(tasks)
        of_images = self._resolved(names)
        for start in range(0, len(of_images), batch_size):
            of_batch = of_images[start : start + batch_size]
            _require_one_size(of_batch)
            prepared = [t.prepare(image) for t, image in zip(of_batch, each, strict=False)]
            if len(prepared) != len(of_batch):
                raise InputError(
                    f"{len(names)} tasks for {start + len(prepared)} images; give one for each image"
                )
            logits = self._logits(torch.stack(prepared).to(self.device), of_batch)
            yield from zip(of_batch, (values.cpu() for values in logits), strict=True)
        if more := len(list(islice(each, 1))):
            raise InputError(f"{len(names)} tasks for at least {len(names) + more} images; give one for each")

    def _resolved(self, tasks: Iterable[TaskOrName]) -> list[Task]:
        now = self._tasks
        found = [_found(task, now) if isinstance(task, str) else task for task in tasks]
        if any(task.subnet.backbone is not self.backbone for task in found):
            raise ValueError("a task belongs to the model that loaded it; load the file here with add")
        return found

    def _logits(self, images: Tensor, tasks: Sequence[Task]) -> list[Tensor]:
        members: dict[Task, list[int]] = {}
        for index, task in enumerate(tasks):
            members.setdefault(task, []).append(index)
        if not members:
            return []
        order = [index for indices in members.values() for index in indices]
        if order != sorted(order):
            images = images.index_select(0, torch.tensor(order, device=images.device))
        of_tasks = grouped_logits(
            [task.bound for task in members], images, [len(own) for own in members.values()]
        )
        rows = [row for logits in of_tasks for row in logits.unbind()]
        return [row for _, row in sorted(zip(order, rows, strict=True), key=lambda item: item[0])]


def _found(name: str, tasks: Mapping[str, Task]) -> Task:
    if name not in tasks:
        raise unknown_name("task", name, tasks)
    return tasks[name]


def _move(model: nn.Module, device: str | torch.device) -> None:
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # the second where torch is built without a device
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"device '{device}' cannot be used ({reason}); give cpu, or cuda on a GPU"
        ) from error


def _require_free(name: str, tasks: Mapping[str, Task]) -> None:
    if name in tasks:
        raise InputError(f"there is a task '{name}' already; drop it first, or give another name")


def _require_one_size(tasks: Iterable[Task]) -> None:
    sizes = {task.preprocessing.input_size[1:]: task.name for task in tasks}
    if len(sizes) > 1:
        (one, name), (other, another) = list(sizes.items())[:2]
        raise InputError(
            f"task '{name}' has images of {as_text(one)} pixels and task '{another}' of {as_text(other)}; "
            "give them in different batches"
        )
