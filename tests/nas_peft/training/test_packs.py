"""Packs of separate trainings: which share one, and that each ends as alone."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load
from simulated_gpu import MEMORY, bytes_in_use, simulated_gpu
from sweep import sweep

from nas_peft.data import Part
from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training import training_worker
from nas_peft.training.packed_trainings import run_pack
from nas_peft.training.packs import pack_size, plan_packs
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.state_folder import StateFolder
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training
from search_spaces import Architecture
from supernet import Backbone, Execution, NonFiniteLoss, Preprocessing, Recipe, Supernet, pooled_features
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow

DEPTH = 3
EMPTY = Architecture.empty(DEPTH)
MIXED = Architecture.of(DEPTH, {"lora_rank": [2, 0, 1], "prompt_tokens": [0, 3, 0], "adapter_dim": [0, 0, 4]})
LORA = Architecture.of(DEPTH, {"lora_rank": [2] * DEPTH})
SHALLOW = Architecture.of(DEPTH, {"shallow_prompt_tokens": [2, 0, 0]})
RECIPE = Recipe(epochs=2, lr=5e-3, batch_size=8)
HEAD = Recipe(epochs=2, lr=3e-3, batch_size=8)


def part(count: int, seed: int) -> Part:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 80, (count, 3, 32, 32), generator=generator) + 80 * labels[:, None, None, None]
    return Part(images.to(torch.uint8), labels)


@pytest.fixture(scope="module")
def backbone(backbone: Backbone) -> Backbone:
    """The first layers of the shipped one."""
    model: Any = copy.deepcopy(backbone.model)
    model.blocks = model.blocks[:DEPTH]
    return replace(backbone, model=model, digest=weights_digest(model))


@pytest.fixture(scope="module")
def inputs(backbone: Backbone) -> TrainingInputs:
    train, val, preprocessing = part(18, 0), part(9, 1), Preprocessing.of(backbone.model)
    network = Supernet(backbone.model, EMPTY, 3)
    features = pooled_features(network, Part.join([train, val]).images, preprocessing)
    return TrainingInputs(backbone, preprocessing, 3, train, val, features)


def training(name: str, architecture: Architecture = MIXED, **changes: Any) -> Training:
    values: dict[str, Any] = {"method": "subnet", "recipe": RECIPE, "head": HEAD, "seed": 0, "on": "train"}
    return Training(name=name, architecture=architecture, **(values | changes))


def test_only_what_fits_shares_a_pack():
    long = replace(RECIPE, epochs=3)
    trainings = [
        training("a"),
        training("full", EMPTY, method="full"),
        training("b", LORA, seed=1, recipe=replace(RECIPE, lr=1e-3)),
        training("linear", EMPTY, method="linear"),
        training("c", recipe=long),
        training("d", on="train_val"),
        training("e", head=None),
        training("f", execution=Execution(precision="bf16")),
        training("g", SHALLOW),
        training("h", on="train_val", seed=3),
        training("i", EMPTY),
        training("j", recipe=replace(RECIPE, batch_size=9)),
        training("k", recipe=replace(RECIPE, augmentation="strong")),
        training("l", recipe=replace(RECIPE, label_smoothing=0.1)),
    ]
    plan = plan_packs(trainings, 8)
    assert plan == [(0, 2, 10, 12), (1,), (3,), (4,), (5, 9), (6,), (7,), (8,), (11,), (13,)]
    assert plan_packs(trainings, 1) == [(i,) for i in range(len(trainings))]
    assert plan_packs([], 4) == []


def test_packs_of_a_group_are_even():
    nine = [training(f"t{i}", seed=i) for i in range(9)]
    assert [len(pack) for pack in plan_packs(nine, 8)] == [4, 5]
    assert [len(pack) for pack in plan_packs(nine, 4)] == [3, 3, 3]
    assert sorted(i for pack in plan_packs(nine, 2) for i in pack) == list(range(9))


@pytest.mark.parametrize(("trainings", "places", "most"), [(20, 0, 1), (20, 1, 8), (20, 4, 5), (3, 8, 1)])
def test_no_gpu_is_idle_while_another_has_a_pack(trainings, places, most):
    assert pack_size(trainings, places) == most


def require_equal(found, expected):
    (record, tensors), (other, others) = found, expected
    assert (record.training, record.error) == (other.training, other.error)
    assert record.curve.losses == pytest.approx(other.curve.losses, abs=1e-5)
    assert record.curve.image_passes == other.curve.image_passes
    if other.val is None:
        assert record.val is record.images is None
    else:
        assert record.val.accuracy == other.val.accuracy
        assert record.val.loss == pytest.approx(other.val.loss, abs=1e-5)
        assert record.images.logits == pytest.approx(other.images.logits, abs=1e-4)
    assert bool(tensors) == bool(others)
    if others:
        left, right = load(tensors), load(others)
        assert left.keys() == right.keys()
        for name, value in right.items():
            torch.testing.assert_close(left[name], value, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("on", sweep(["train", "train_val"]))
def test_records_and_tensors_are_those_of_training_alone(inputs, on):
    trainings = [
        training("a", on=on),
        training("b", LORA, on=on, seed=1, recipe=replace(RECIPE, lr=1e-3), keep=True),
        training("c", EMPTY, on=on, seed=2, init_seed=0),
    ]
    found = run_pack(trainings, inputs, "cpu", state_files=[None] * 3)
    for single, result in zip(trainings, found, strict=True):
        require_equal(result, run_training(single, inputs, "cpu"))


def test_what_diverges_fails_alone(inputs):
    trainings = [
        training("a"),
        training("b", recipe=replace(RECIPE, lr=1e30)),
        training("c", head=replace(HEAD, lr=1e30, epochs=40)),
    ]
    found = run_pack(trainings, inputs, "cpu", state_files=[None] * 3)
    require_equal(found[0], run_training(trainings[0], inputs, "cpu"))
    for single, result in zip(trainings[1:], found[1:], strict=True):
        with pytest.raises(NonFiniteLoss) as alone:
            run_training(single, inputs, "cpu")
        assert isinstance(result, NonFiniteLoss)
        assert str(result) == str(alone.value)
    assert all(
        isinstance(r, NonFiniteLoss) for r in run_pack(trainings[2:], inputs, "cpu", state_files=[None])
    )


def test_a_state_of_a_pack_is_finished_alone(inputs, tmp_path):
    trainings = [training("a"), training("b", LORA, seed=1)]
    files = [tmp_path / "a.state.pt", tmp_path / "b.state.pt"]
    expected = [run_training(single, inputs, "cpu") for single in trainings]
    run_pack(trainings, inputs, "cpu", state_files=files, save_every=0)
    assert all(file.exists() for file in files)
    require_equal(run_training(trainings[1], inputs, "cpu", state_file=files[1]), expected[1])
    for result, single in zip(run_pack(trainings, inputs, "cpu", state_files=files), expected, strict=True):
        require_equal(result, single)


class Reference(str):
    """Stands for a reference to an object that this process has loaded."""

    def hex(self):
        return str(self)


def worked(trainings, inputs, folder, monkeypatch, **on):
    """The result of a worker that runs all trainings as one pack."""
    work = training_worker.Work(
        inputs=Reference("inputs"),
        trainings=trainings,
        packs=[tuple(range(len(trainings)))],
        reporting=frozenset(),
        threads=1,
        module_files=[],
        states=StateFolder.of(folder),
        save_every=15.0,
        **on,
    )
    loaded = {"inputs": ("inputs", inputs), "work": ("work", work)}
    monkeypatch.setattr(training_worker, "_loaded", loaded)
    (last,) = training_worker.train_in_worker(Reference("work"), 0)
    return last


@pytest.mark.thorough
def test_a_worker_uses_the_gpu_that_ray_assigns_and_no_more_than_its_share(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(training_worker.ray, "get_gpu_ids", lambda: [0])
    trainings = [training("a"), training("b", LORA)]
    emptied: list[int] = []
    with simulated_gpu(monkeypatch) as gpu:
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(bytes_in_use()))
        last = worked(trainings, inputs, tmp_path, monkeypatch, device="cuda", gpu_share=0.25)
        assert gpu.limit == 0.25 * MEMORY
    assert emptied == [0]  # for others: the worker stays
    for number, record in enumerate(last["records"]):
        require_equal((record, last["tensors"][number]), run_training(trainings[number], inputs, "cpu"))


def test_a_worker_gives_the_records_of_its_pack(inputs, tmp_path, monkeypatch):
    trainings = [
        training("a"),
        training("b", recipe=replace(RECIPE, lr=1e30)),
        training("c", LORA, keep=True),
    ]
    last = worked(trainings, inputs, tmp_path, monkeypatch, device="cpu", gpu_share=0.0)
    tensors = last["tensors"]
    assert [record.error is None for record in last["records"]] == [True, False, True]
    assert [bool(data) for data in tensors] == [True, False, True]
    for number in (0, 2):
        expected = run_training(trainings[number], inputs, "cpu")
        require_equal((last["records"][number], tensors[number]), expected)


@pytest.mark.thorough
def test_the_plan_of_packs_is_that_of_all_trainings_whichever_have_finished(
    inputs, tiny_config, tmp_path, ray_address, monkeypatch
):
    """What is left of two packs is two packs, and not one."""
    from nas_peft.training import ray_tasks

    trainings = [training(name, seed=seed) for seed, name in enumerate("abcd")]
    folder, planned, run = RunFolder.open(tmp_path / "run", tiny_config), [], ray_tasks.run

    def watched(work, *others):
        planned.append([[work.trainings[number].name for number in pack] for pack in work.packs])
        run(work, *others)

    monkeypatch.setattr(ray_tasks, "run", watched)
    one_core = RayOptions(cpus_per_trial=1)
    with RayTrainings(folder, inputs, device="cpu", ray_options=one_core, pack=2) as runner:
        first = runner.run(trainings, lambda: None)
        for lost in trainings[1:3]:
            (folder.path / "trainings" / f"{lost.key}.json").unlink()
        again = runner.run(trainings, lambda: None)
    assert planned == [[["a", "b"], ["c", "d"]], [["b"], ["c"]]]
    assert [record.error for record in first] == [None] * 4
    for one, other in zip(again, first, strict=True):
        assert one.curve.losses == pytest.approx(other.curve.losses, abs=1e-5)
