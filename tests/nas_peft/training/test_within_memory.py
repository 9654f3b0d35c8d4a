"""Trainings where memory is too little at first: the record of one that took its batches in parts."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nas_peft.data import Part
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training import within_memory
from nas_peft.training.packed_trainings import run_pack
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training
from nas_peft.training.within_memory import pack_within_memory, training_within_memory
from search_spaces import Architecture
from supernet import Backbone, Execution, NonFiniteLoss, Preprocessing, Recipe, Supernet, pooled_features

pytestmark = pytest.mark.slow

EMPTY = Architecture.empty(8)
RECIPE = Recipe(epochs=2, lr=5e-3, batch_size=8)
TOO_LITTLE = torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture(scope="module")
def inputs(backbone: Backbone) -> TrainingInputs:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 3, 32, 32), generator=generator).to(torch.uint8)
    whole, preprocessing = Part(pixels, torch.arange(24) % 3), Preprocessing.of(backbone.model)
    features = pooled_features(Supernet(backbone.model, EMPTY, 3), pixels, preprocessing)
    train, val = (Part(whole.images[rows], whole.labels[rows]) for rows in (slice(0, 16), slice(16, 24)))
    return TrainingInputs(backbone, preprocessing, 3, train, val, features)


def training(name: str, rank: int = 2, **changes: Any) -> Training:
    architecture = Architecture.of(8, {"lora_rank": [rank] * 8})
    values: dict[str, Any] = {"method": "subnet", "recipe": RECIPE, "head": None, "seed": 0, "on": "train"}
    return Training(name=name, architecture=architecture, **(values | changes))


def in_parts(single: Training, parts: int) -> Training:
    return replace(single, execution=Execution(micro_batches=parts))


def require_same(found, expected, asked):
    (record, tensors), (other, others) = found, expected
    assert record.training == asked
    assert (record.curve.losses, record.val) == (other.curve.losses, other.val)
    assert tensors == others


def fitting(monkeypatch, alone: int, packed: int | None = None, after: int = 0) -> list[tuple[int, int]]:
    """Give memory for that many parts and more, or a pack for ``packed`` and more; the list notes attempts.

    A training alone runs out of memory after that many epochs, where it reports them.
    """
    attempts = []

    def of_one(single, *args, on_epoch=None, **options):
        attempts.append((1, single.execution.micro_batches))
        if single.execution.micro_batches >= alone:
            return run_training(single, *args, on_epoch=on_epoch, **options)

        def then_fail(record):
            on_epoch(record)
            if len(record.curve.losses) == after:
                raise TOO_LITTLE

        if after:
            run_training(single, *args, on_epoch=then_fail, **options)
        raise TOO_LITTLE

    def of_pack(several, *args, **options):
        attempts.append((len(several), several[0].execution.micro_batches))
        if packed is None or several[0].execution.micro_batches < packed:
            raise TOO_LITTLE
        return run_pack(several, *args, **options)

    monkeypatch.setattr(within_memory, "run_training", of_one)
    monkeypatch.setattr(within_memory, "run_pack", of_pack)
    return attempts


def test_a_training_that_does_not_fit_is_that_in_parts(inputs, monkeypatch):
    attempts, single = fitting(monkeypatch, alone=4), training("a", keep=True)
    found = training_within_memory(single, inputs, "cpu")
    assert attempts == [(1, 1), (1, 2), (1, 4)]
    require_same(found, run_training(in_parts(single, 4), inputs, "cpu"), single)


@pytest.mark.thorough
def test_each_epoch_is_reported_once_and_of_the_training_as_asked_for(inputs, monkeypatch):
    single, told = training("a", recipe=replace(RECIPE, epochs=4)), []

    def on_epoch(record):
        told.append((record.training, len(record.curve.losses)))

    attempts = fitting(monkeypatch, alone=2, after=2)
    training_within_memory(single, inputs, "cpu", on_epoch=on_epoch)
    assert attempts == [(1, 1), (1, 2)]
    assert told == [(single, 1), (single, 2), (single, 3)]


def test_one_image_that_is_too_much_is_an_error(inputs, monkeypatch):
    fitting(monkeypatch, alone=9)
    with pytest.raises(torch.OutOfMemoryError):
        training_within_memory(training("a"), inputs, "cpu")


@pytest.mark.thorough
def test_a_pack_takes_its_batches_in_parts(inputs, monkeypatch):
    trainings = [training("a", keep=True), training("b", 1, seed=1)]
    attempts = fitting(monkeypatch, alone=1, packed=2)
    found = pack_within_memory(trainings, inputs, "cpu", state_files=[None] * 2)
    assert attempts == [(2, 1), (2, 2)]
    expected = run_pack([in_parts(t, 2) for t in trainings], inputs, "cpu", state_files=[None] * 2)
    for result, other, asked in zip(found, expected, trainings, strict=True):
        require_same(result, other, asked)


@pytest.mark.thorough
def test_a_pack_that_never_fits_runs_in_halves_then_alone(inputs, monkeypatch):
    trainings = [training("a"), training("b", recipe=replace(RECIPE, lr=1e30)), training("c", seed=1)]
    attempts = fitting(monkeypatch, alone=1)
    found = pack_within_memory(trainings, inputs, "cpu", state_files=[None] * 3)
    doubled = [1, 2, 4, 8]
    assert attempts == [*((3, n) for n in doubled), (1, 1), *((2, n) for n in doubled), (1, 1), (1, 1)]
    for number in (0, 2):
        expected = run_training(trainings[number], inputs, "cpu")
        require_same(found[number], expected, trainings[number])
    assert isinstance(found[1], NonFiniteLoss)


def test_what_does_not_fit_alone_leaves_the_rest_of_its_pack(inputs, monkeypatch):
    fitting(monkeypatch, alone=9)
    found = pack_within_memory([training("a"), training("b")], inputs, "cpu", state_files=[None] * 2)
    assert [type(result) for result in found] == [torch.OutOfMemoryError] * 2
