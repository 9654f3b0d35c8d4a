"""A short measurement of how fast a run's devices train and evaluate its backbone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from nas_peft.data import Part
from nas_peft.data.node_copies import copy_to_nodes
from nas_peft.machine.container import whole_cores
from nas_peft.machine.devices import Devices
from nas_peft.machine.gpu_sharing import Use, measured_use, share_of, trainings_on_a_gpu
from nas_peft.machine.ray_process_group import run_on_workers
from nas_peft.machine.ray_session import LOCAL, RayOptions, RaySession
from nas_peft.run.module_files import SentModuleFile, import_sent_module_files
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import Speeds
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.methods import METHODS, Method
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet_chooser import supernet_chooser
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network
from search_spaces import Architecture
from supernet import Chooser, Constant, Curve, Supernet, evaluate, train

STEPS = 3
"""Training steps that are timed, after one that is not."""
REPEATS = 2
"""How often they are timed: what else a machine does can only make steps slower, for a second or two."""

BESIDE = 1.25
"""How many times as long a training takes on a core while others run on the other cores.

They share caches and memory: 1.2 for full fine-tuning and 1.4 for subnets on two cores
(docs/log/plain_command.md).
"""


_METHODS: tuple[Method, ...] = ("subnet", "full")
"""Methods whose separate trainings are timed."""


def typical(depth: int) -> Architecture:
    """The subnet whose training is timed; that of others is taken to follow their operations."""
    return Architecture.uniform(depth, "lora_rank", 4)


@dataclass(frozen=True)
class Measurement:
    """What is measured: a few batches, forward, in a supernet, and in separate trainings. It is picklable.

    Forward passes and the supernet run with all threads of the process, separate trainings with ``threads``.
    Nothing of what is trained is kept. With ``shares`` the trainings that the GPUs have room for are counted,
    too (`gpu_sharing`); ``places`` is then the number of GPUs.
    """

    config: SearchConfig
    capacity: Architecture
    chooser: Chooser
    images: Part
    shared: TrainingInputs
    threads: int
    places: int
    shares: bool

    @classmethod
    def of(cls, inputs: SearchInputs, places: int, threads: int, shares: bool) -> Measurement:
        """The measurement for a search, on the first images of its training set."""
        part = inputs.dataset.train
        count = (STEPS + 1) * inputs.config.batch_size
        images = part.take(torch.arange(count) % len(part))
        shared = replace(inputs.for_trainings(torch.empty(0)), train=images, val=images)
        return cls(
            inputs.config,
            inputs.space.largest(),
            supernet_chooser(inputs),
            images,
            shared,
            threads,
            places,
            shares,
        )

    def run(self, device: str) -> Speeds:
        """Measure on a device, ``cpu`` or ``cuda``."""
        config, batch = self.config, self.config.batch_size
        supernet = Supernet(
            self.shared.backbone.model.to(device), self.capacity, self.shared.classes, seed=config.seed
        )
        forward = self._forward(supernet)
        of_supernet = _per_image(
            self.images,
            lambda some: train(
                supernet,
                some.images,
                some.labels,
                preprocessing=self.shared.preprocessing,
                chooser=self.chooser,
                recipe=replace(config.supernet_recipes()[0], epochs=1),
                seed=config.seed,
                execution=config.execution("supernet"),
            ),
            batch,
        )
        together = 1
        with _threads(self.threads):
            trainings = {method: self._training(device, method) for method in _METHODS}
            subnet, full = (_per_image(self.images, run, batch) for run in trainings.values())
            if self.shares:
                together = self._together(trainings, torch.device(device))
        beside = BESIDE if device == "cpu" and self.places > 1 else 1.0
        return Speeds(
            forward=forward,
            supernet=of_supernet,
            subnet=beside * subnet,
            full=beside * full,
            places=self.places * together,
            gpu_share=share_of(together) if self.shares else None,
        )

    def _together(self, trainings: Mapping[Method, Callable[[Part], Curve]], device: torch.device) -> int:
        """How many separate trainings share a GPU: as the less busy one permits, and the larger one."""
        uses = [measured_use(partial(run, self.images), device) for run in trainings.values()]
        known = [use for use in uses if use is not None]
        if len(known) < len(uses):
            return 1
        use = Use(min(use.busy for use in known), max(use.memory for use in known))
        _, memory = torch.cuda.mem_get_info(device)
        return trainings_on_a_gpu(use, memory, whole_cores() // self.places)

    def _forward(self, supernet: Supernet) -> float:
        depth = self.shared.backbone.depth
        has_lora = "lora_rank" in supernet.capacity.kinds
        architecture = Architecture.uniform(depth, "lora_rank", 2) if has_lora else Architecture.empty(depth)

        def run(some: Part) -> None:
            evaluate(
                supernet.eval(),
                some.images,
                some.labels,
                preprocessing=self.shared.preprocessing,
                architecture=architecture,
                precision=self.config.chosen_precision,
            )

        return _per_image(self.images, run, self.config.batch_size)

    def _training(self, device: str, method: Method) -> Callable[[Part], Curve]:
        """A separate training of one epoch, by a method, on the images that it is given."""
        config, depth = self.config, self.shared.backbone.depth
        trains = METHODS[method].trains
        architecture = typical(depth) if trains == "modules" else Architecture.empty(depth)
        recipe = replace(config.method_recipe(method), epochs=1)
        training = Training("speed", method, architecture, recipe, None, config.seed, "train")
        network = starting_network(training, self.shared, device)

        def run(some: Part) -> Curve:
            return train(
                network,
                some.images,
                some.labels,
                preprocessing=self.shared.preprocessing,
                chooser=Constant(architecture),
                recipe=recipe,
                seed=config.seed,
                trainable=trains,
                execution=config.execution(method),
            )

        return run


def measure(inputs: SearchInputs, devices: Devices, ray_options: RayOptions) -> Speeds:
    """Seconds per image of a forward pass, of the supernet's training and of separate trainings.

    They are measured where they will run: on a worker of Ray if only those have GPUs, else in this process.
    """
    shares = devices.workers == "cuda" and ray_options.gpus_per_trial is None
    measurement = Measurement.of(inputs, *places_on(devices.workers, ray_options), shares)
    if not devices.elsewhere:
        return measurement.run(devices.here)
    with RaySession(ray_options) as session:
        ray = session.connect()
        copy_to_nodes(ray, [measurement.images])
        sent = ray.put((measurement, [SentModuleFile.of(file) for file in inputs.config.module_files]))
        speeds: Speeds = run_on_workers(
            session, _measure, sent, count=1, device=devices.workers, on_step=lambda step: None
        )
    return speeds


def _measure(
    sent: tuple[Measurement, Sequence[SentModuleFile]], device: str, on_step: Callable[[int], None]
) -> Speeds:
    measurement, module_files = sent
    import_sent_module_files(module_files)
    return measurement.run(device)


def places_on(device: str, ray_options: RayOptions) -> tuple[int, int]:
    """The number of separate trainings that run at once, and the threads of each."""
    if ray_options.place.address != LOCAL:
        with RaySession(ray_options) as session:
            cluster = session.connect().cluster_resources()
        cores, gpus = int(cluster.get("CPU", 1)), int(cluster.get("GPU", 0))
    else:
        cores, gpus = whole_cores(), torch.cuda.device_count() if device == "cuda" else 0
    threads = ray_options.cpus_per_trial or 1
    if device == "cpu":
        return max(1, cores // threads), threads
    places = max(1, int(gpus / (ray_options.gpus_per_trial or 1)))
    return places, max(1, cores // places)


def _per_image(part: Part, run: Callable[[Part], object], batch: int) -> float:
    """Seconds per image of ``run``, after a first batch that is not timed: the least of `REPEATS`."""
    run(part.take(torch.arange(batch)))
    rest = part.take(torch.arange(batch, len(part)))
    seconds = []
    for _ in range(REPEATS):
        _wait()
        started = time.perf_counter()
        run(rest)
        _wait()
        seconds.append(time.perf_counter() - started)
    return min(seconds) / len(rest)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch compute with ``count`` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
