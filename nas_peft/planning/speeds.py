"""A short measurement of how fast this machine trains and evaluates this backbone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from nas_peft.data import Part
from nas_peft.machine.ray_session import LOCAL, RayOptions, RaySession
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import Speeds
from nas_peft.settings.methods import METHODS, Method
from nas_peft.stages.supernet_chooser import supernet_chooser
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network
from search_spaces import Architecture
from supernet import Constant, Curve, Supernet, evaluate, train

STEPS = 3
"""Training steps that are timed, after one that is not."""

BESIDE = 1.25
"""How many times as long a training takes on a core while others run on the other cores.

They share caches and memory: 1.2 for full fine-tuning and 1.4 for subnets on two cores
(docs/log/plain_command.md).
"""


def typical(depth: int) -> Architecture:
    """The subnet whose training is timed; that of others is taken to follow their operations."""
    return Architecture.uniform(depth, "lora_rank", 4)


def measure(inputs: SearchInputs, device: str, ray_options: RayOptions) -> Speeds:
    """Seconds per image of a forward pass, of the supernet's training and of separate trainings.

    Forward passes and the supernet run with all threads of this process, separate trainings with the share of
    the cores that each of them has when all places are taken. A few batches of the training set are used;
    nothing of what is trained here is kept.
    """
    config = inputs.config
    places, threads = places_on(device, ray_options)
    batch = config.batch_size
    part = inputs.dataset.train
    images = part.take(torch.arange((STEPS + 1) * batch) % len(part))
    supernet = Supernet(
        inputs.backbone.model.to(device),
        inputs.space.largest(),
        len(inputs.dataset.classes),
        seed=config.seed,
    )
    forward = _forward(supernet, inputs, images)
    of_supernet = _per_image(
        images,
        lambda some: train(
            supernet,
            some.images,
            some.labels,
            preprocessing=inputs.preprocessing,
            chooser=supernet_chooser(inputs),
            recipe=replace(inputs.config.supernet_recipes()[0], epochs=1),
            seed=config.seed,
            execution=config.execution("supernet"),
        ),
        batch,
    )
    with _threads(threads):
        separate = {
            method: _per_image(images, _training(inputs, device, method), batch)
            for method in ("subnet", "full")
        }
    beside = BESIDE if device == "cpu" and places > 1 else 1.0
    return Speeds(
        forward=forward,
        supernet=of_supernet,
        subnet=beside * separate["subnet"],
        full=beside * separate["full"],
        places=places,
    )


def places_on(device: str, ray_options: RayOptions) -> tuple[int, int]:
    """The number of separate trainings that run at once, and the threads of each."""
    if ray_options.place.address != LOCAL:
        with RaySession(ray_options) as session:
            cluster = session.connect().cluster_resources()
        cores, gpus = int(cluster.get("CPU", 1)), int(cluster.get("GPU", 0))
    else:
        cores, gpus = os.cpu_count() or 1, torch.cuda.device_count() if device == "cuda" else 0
    threads = ray_options.cpus_per_trial or 1
    if device == "cpu":
        return max(1, cores // threads), threads
    places = max(1, int(gpus / (ray_options.gpus_per_trial or 1)))
    return places, max(1, cores // places)


def _forward(supernet: Supernet, inputs: SearchInputs, part: Part) -> float:
    def run(some: Part) -> None:
        evaluate(
            supernet.eval(),
            some.images,
            some.labels,
            preprocessing=inputs.preprocessing,
            architecture=Architecture.uniform(inputs.backbone.depth, "lora_rank", 2)
            if "lora_rank" in supernet.capacity.kinds
            else Architecture.empty(inputs.backbone.depth),
            precision=inputs.config.chosen_precision,
        )

    return _per_image(part, run, inputs.config.batch_size)


def _training(inputs: SearchInputs, device: str, method: Method) -> Callable[[Part], Curve]:
    """A separate training of one epoch, by a method, on the images that it is given."""
    config = inputs.config
    trains = METHODS[method].trains
    architecture = (
        typical(inputs.backbone.depth) if trains == "modules" else Architecture.empty(inputs.backbone.depth)
    )
    recipe = replace(config.recipe(method), epochs=1)
    training = Training("speed", method, architecture, recipe, None, config.seed, "train")
    shared = inputs.for_trainings(torch.empty(0))
    network = starting_network(training, shared, device)

    def run(some: Part) -> Curve:
        return train(
            network,
            some.images,
            some.labels,
            preprocessing=inputs.preprocessing,
            chooser=Constant(architecture),
            recipe=recipe,
            seed=config.seed,
            trainable=trains,
            execution=config.execution(method),
        )

    return run


def _per_image(part: Part, run: Callable[[Part], object], batch: int) -> float:
    """Seconds per image of ``run``, after a first batch that is not timed."""
    run(part.take(torch.arange(batch)))
    rest = part.take(torch.arange(batch, len(part)))
    _wait()
    started = time.perf_counter()
    run(rest)
    _wait()
    return (time.perf_counter() - started) / len(rest)


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
