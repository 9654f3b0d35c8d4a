"""The stages of the tool that compute in one process, on tiny inputs and any device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load
from supernet_stages import DEPTH

from nas_peft.machine.environment import environment
from nas_peft.planning.speeds import Measurement
from nas_peft.run.export import export_subnet
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.scoring.inherited_network import inherited_network, inherited_tensors
from nas_peft.scoring.ray_scorer import _Held, _Worker
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.settings.methods import METHODS
from nas_peft.stages.latency import measure_table
from nas_peft.stages.probe import Probe, probe
from nas_peft.stages.supernet import read_supernets, train_supernets
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.packed_trainings import run_pack
from nas_peft.training.soups import uniform_soup
from nas_peft.training.temperature import fit_temperature
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, trained_network
from nas_peft.training.wise_ft import interpolate
from search_spaces import Architecture, KindChoices, SearchSpace, load_space
from supernet import (
    Backbone,
    Execution,
    MultiTaskModel,
    Preprocessing,
    Recipe,
    Supernet,
    evaluate,
    load_subnet,
)
from supernet.attention_rollout import attention_rollout
from supernet.backbones import weights_digest
from supernet.merging import merged

RECIPE = Recipe(epochs=1, lr=1e-3, batch_size=16)
MIXED = Architecture.of(DEPTH, {"lora_rank": [2, 0], "prompt_tokens": [0, 2], "adapter_dim": [1, 2]})
OTHER = Architecture.of(DEPTH, {"lora_rank": [0, 1], "lora_rank_pos": [2, 0], "ssf": [6, 2]})
MERGEABLE = Architecture.of(DEPTH, {"lora_rank": [2, 1]})
EMPTY = Architecture.empty(DEPTH)
QUIET = StageBars(quiet=True)
BF16 = Execution(precision="bf16")


@dataclass(frozen=True)
class Place:
    """Inputs with a small backbone, a device, and a folder to write to."""

    whole: SearchInputs
    model: torch.nn.Module
    device: str
    folder: Path

    @cached_property
    def inputs(self) -> SearchInputs:
        digest = weights_digest(self.model)
        backbone = Backbone("vit_micro_patch8_32", "random", self.model, digest)
        space = load_space("default", DEPTH)
        preprocessing = Preprocessing.of(self.model)
        task = replace(self.whole, backbone=backbone, preprocessing=preprocessing, space=space)
        return SearchInputs.of_task(self.whole.config, task)

    @cached_property
    def run(self) -> Run[SearchInputs]:
        folder = RunFolder.open(self.folder / "run", self.inputs.config)
        return Run(self.inputs, folder, self.device, QUIET)

    @cached_property
    def probe(self) -> Probe:
        return probe(self.run)

    @cached_property
    def folds(self) -> list[Fold]:
        return train_supernets(self.run, self.probe.features).folds

    @cached_property
    def shared(self) -> TrainingInputs:
        self.inputs.backbone.model.cpu()  # trainings begin in another process
        features = torch.ones(len(self.inputs.dataset.train_val), self.inputs.backbone.width)
        return self.inputs.for_trainings(features)

    def training(self, method: str, **changes: Any) -> Training:
        architecture = MIXED if METHODS[method].trains == "modules" else EMPTY
        values: dict[str, Any] = {"name": method, "method": method, "architecture": architecture}
        values |= {"recipe": RECIPE, "head": RECIPE, "seed": 0, "on": "train", "keep": True}
        return Training(**(values | changes))


def trained(place: Place, method: str, **changes: Any) -> Any:
    """Score and tensors of a separate training, and the loss of the network that is rebuilt from them."""
    training = place.training(method, **changes)
    record, tensors = run_training(training, place.shared, place.device)
    return record.val_score(), load(tensors), rebuilt(place, training, load(tensors))


def rebuilt(place: Place, training: Training, tensors: dict[str, torch.Tensor]) -> float:
    network = trained_network(training, tensors, place.shared, place.device)
    assert network.head.weight.device.type == torch.device(place.device).type
    val = place.inputs.dataset.val
    return evaluate(network, val.images, val.labels, preprocessing=place.inputs.preprocessing).loss


def probed(place: Place) -> Any:
    found = place.probe
    assert found.features.device.type == "cpu"
    return found.record.val_losses, found.features


def supernet(place: Place) -> Any:
    """Trained, then read from its file."""
    (fold,) = place.folds
    (again,) = read_supernets(place.inputs, place.run.folder, place.device)
    net = again.supernet
    assert net.head.weight.device.type == torch.device(place.device).type
    tensors = fold.supernet.module_tensors(net.capacity)
    read = net.module_tensors(net.capacity)
    assert all(torch.equal(tensors[name], value) for name, value in read.items())
    return {name: value.detach().cpu() for name, value in read.items()}


def scored(place: Place) -> Any:
    """In this process, and as a worker of Ray does with its own copies."""
    inputs = place.inputs
    rng = np.random.default_rng(0)
    subnets = [inputs.space.sample(rng) for _ in range(3)]
    indices = np.arange(len(inputs.dataset.val))
    (fold,) = place.folds
    net = fold.supernet
    found = LocalScorer(place.folds, inputs.preprocessing).score(0, indices, subnets)
    tensors = {name: value.cpu() for name, value in net.module_tensors(net.capacity).items()}
    held = _Held(
        inputs.backbone, net.capacity, net.num_classes, [(tensors, fold.part)], inputs.preprocessing, "fp32"
    )
    again = _Worker(held, place.device, 1, []).score(0, indices, subnets)
    assert np.array_equal(found.losses, again.losses)
    return found.losses, found.hits


def inherited(place: Place) -> Any:
    """The mean of two supernets, as a network and as tensors."""
    folds = [*place.folds, *place.folds]
    subnet = inherited_network(folds, place.inputs.space.largest())
    part = place.inputs.dataset.val
    found = evaluate(subnet, part.images, part.labels, preprocessing=place.inputs.preprocessing)
    return found.losses, inherited_tensors(folds, place.inputs.space.largest())


def packed(place: Place) -> Any:
    trainings = [
        place.training("subnet"),
        place.training("subnet", name="other", architecture=OTHER, seed=1, recipe=replace(RECIPE, lr=1e-4)),
        place.training("subnet", name="crops", recipe=replace(RECIPE, augmentation="crop-flip")),
    ]
    outcomes = run_pack(trainings, place.shared, place.device, state_files=[None] * 3)
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    return [(record.val_score(), load(tensors)) for record, tensors in outcomes]


def averaged(place: Place) -> Any:
    """A soup, and a point on the line of WiSE-FT, evaluated."""
    training = place.training("full")
    ingredients = [
        load(run_training(replace(training, seed=seed, init_seed=0), place.shared, place.device)[1])
        for seed in (0, 1)
    ]
    averages = (uniform_soup(ingredients), interpolate(*ingredients, 0.5))
    return [rebuilt(place, training, weights) for weights in averages]


def calibrated(place: Place) -> float:
    """The temperature of a network's logits."""
    net, part = subnet(place, MIXED), place.inputs.dataset.val
    found = evaluate(
        net, part.images, part.labels, preprocessing=place.inputs.preprocessing, keep_logits=True
    )
    assert found.logits is not None
    scores = ImageScores.of(found.logits, part.labels)
    return fit_temperature(scores.logits, scores.labels)


def subnet(place: Place, architecture: Architecture) -> Supernet:
    """A network with weights that all have an effect."""
    net = Supernet(place.inputs.backbone.model.to(place.device), architecture, 3, seed=1).eval()
    with torch.no_grad():
        for number, value in enumerate(net.module_tensors(architecture).values()):
            value.add_(0.01 * (1 + number % 3))
    return net


def merged_subnet(place: Place) -> torch.Tensor:
    plain = merged(subnet(place, MERGEABLE))
    assert plain.capacity == EMPTY
    pixels = place.inputs.preprocessing.normalise(place.inputs.dataset.val.images.to(place.device))
    with torch.inference_mode():
        found: torch.Tensor = plain(pixels)
    return found.cpu()


def exported(place: Place, name: str = "a", architecture: Architecture = MIXED) -> Path:
    file = place.folder / f"{name}.safetensors"
    export_subnet(subnet(place, architecture), place.inputs, file, metrics={}, training={})
    return file


def exported_and_used(place: Place) -> Any:
    """A checkpoint written from the device, read, and used there."""
    found = load_subnet(exported(place), place.inputs.backbone)
    found.network.to(place.device)
    image = Image.fromarray(np.full((32, 32, 3), 99, np.uint8))
    return found.logits([image]), found.probabilities([image])


def tasks_mixed(place: Place) -> Any:
    files = {"a": exported(place), "b": exported(place, "b", OTHER)}
    model = MultiTaskModel(place.inputs.backbone, files, device=place.device)
    image = Image.fromarray(np.full((32, 32, 3), 99, np.uint8))
    found = model.logits([image] * 3, ["b", "a", "b"])
    pixels = model.task("a").prepare(image)[None]
    together = model(pixels.expand(2, -1, -1, -1), ["a", "b"])
    return found, [logits.cpu() for logits in together]


def looked_at(place: Place) -> torch.Tensor:
    pixels = place.inputs.preprocessing.normalise(place.inputs.dataset.val.images[:1].to(place.device))
    return attention_rollout(subnet(place, MIXED), pixels).cpu()


def timed(place: Place) -> None:
    """The latency table; no two times are equal."""
    space = SearchSpace("small", DEPTH, (("lora_rank", KindChoices((0, 2))),))
    backbone = place.inputs.backbone
    table, _ = measure_table(backbone, space, 3, batch_size=1, device=place.device, seed=0, seconds=0)
    assert table.latency(space.largest()) > 0
    assert environment(place.device)["device"]


def measured(place: Place) -> None:
    """The speeds that a plan is made of; no two times are equal."""
    assert Measurement.of(place.inputs, 1, 1, shares=False).run(place.device).forward > 0


STAGES: dict[str, Callable[[Place], Any]] = {
    "linear probe": probed,
    "supernet": supernet,
    "scoring": scored,
    "inherited weights": inherited,
    **{f"training: {method}": lambda place, method=method: trained(place, method) for method in METHODS},
    "training in bf16": lambda place: trained(place, "subnet", execution=BF16)[1]["head.bias"],
    "pack": packed,
    "averages": averaged,
    "temperature": calibrated,
    "merging": merged_subnet,
    "export": exported_and_used,
    "many tasks": tasks_mixed,
    "attention": looked_at,
    "latency": timed,
    "plan": measured,
}
"""By name; each returns what it has computed, on the CPU."""
