"""One backbone, many subnet files: mixed batches, tasks that come and go, and memory."""

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import randomise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from search_spaces import Architecture, InputError, load_space
from supernet import (
    MultiTaskModel,
    Preprocessing,
    Subnet,
    Supernet,
    load_subnet,
    random_backbone,
    save_subnet,
)

DEPTH = 8
PREPROCESSINGS = [
    Preprocessing((3, 32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0, "center"),
    Preprocessing((3, 32, 32), (0.2, 0.4, 0.6), (0.3, 0.2, 0.1), "bilinear", 0.8, "center"),
]
TEMPERATURES = (None, 0.5, 1.75)
OF_TASKS = {
    "none": Architecture.empty(DEPTH),
    "prompts": Architecture.of(DEPTH, {"prompt_tokens": [0, 3, 0, 0, 9, 0, 0, 1]}),
    "shallow": Architecture.of(DEPTH, {"shallow_prompt_tokens": [5, *[0] * 7], "lora_rank_v": [2] * 8}),
    **{f"large-{seed}": load_space("large", DEPTH).sample(np.random.default_rng(seed)) for seed in range(4)},
}


@pytest.fixture(scope="module")
def files(micro, tmp_path_factory):
    """A file for each task, with its own number of classes, preprocessing and temperature."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for i, (name, architecture) in enumerate(OF_TASKS.items()):
        network = Supernet(micro.model, architecture, 2 + i, seed=i).eval()
        randomise(network.layers, i)
        randomise(network.head, i)
        subnet = Subnet(
            network=network,
            backbone=micro,
            classes=tuple(f"{name} {c}" for c in range(2 + i)),
            preprocessing=PREPROCESSINGS[i % 2],
            metrics={"test_accuracy": i / 10},
            training={"seed": i},
            temperature=TEMPERATURES[i % 3],
        )
        found[name] = folder / f"{name}.safetensors"
        save_subnet(subnet, found[name])
    return found


@pytest.fixture(scope="module")
def alone(micro, files):
    return {name: load_subnet(file, micro) for name, file in files.items()}


@pytest.fixture
def model(micro, files):
    return MultiTaskModel(micro, files)


@pytest.fixture(scope="module")
def shared_model(micro, files):
    """A model that no test changes."""
    return MultiTaskModel(micro, files)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 30 + i, 3), dtype=np.uint8)) for i in range(9)]


@settings(max_examples=15)
@given(names=st.lists(st.sampled_from(list(OF_TASKS)), min_size=1, max_size=10), seed=st.integers(0, 99))
def test_each_image_has_the_logits_of_its_own_subnet(shared_model, alone, names, seed):
    images = torch.randn(len(names), 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    logits = shared_model(images, names)
    assert len(logits) == len(names)
    for name in set(names):
        own = [i for i, other in enumerate(names) if other == name]
        with torch.inference_mode():
            expected = alone[name].network(images[own])
        found = torch.stack([logits[i] for i in own])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_pictures_are_preprocessed_and_calibrated_as_their_task_is(shared_model, alone, pictures):
    names = [*OF_TASKS, "none", "large-1"]
    logits = shared_model.logits(pictures, names)
    assert [len(values) for values in logits] == [len(alone[name].classes) for name in names]
    probabilities = shared_model.probabilities(iter(pictures), iter(names), batch_size=4)
    answers = shared_model.predict(pictures, names, batch_size=2)
    for picture, name, own, p, answer in zip(pictures, names, logits, probabilities, answers, strict=True):
        subnet = alone[name]
        (expected,) = subnet.logits([picture])
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)
        calibrated = (expected / (subnet.temperature or 1.0)).softmax(0)
        torch.testing.assert_close(p, calibrated, atol=1e-5, rtol=1e-5)
        assert answer.task == name
        assert answer.label == subnet.classes[int(calibrated.argmax())]
        assert answer.probability == pytest.approx(float(calibrated.max()), abs=1e-5)


def test_a_task_tells_what_its_file_holds(shared_model, alone):
    assert list(shared_model.tasks) == list(OF_TASKS)
    for name, subnet in alone.items():
        task = shared_model.task(name)
        assert (task.name, task.classes, task.metrics) == (name, subnet.classes, subnet.metrics)
        assert (task.architecture, task.params) == (subnet.architecture, subnet.params)
        assert (task.preprocessing, task.temperature) == (subnet.preprocessing, subnet.temperature)


def test_tasks_come_and_go(micro, files, pictures):
    model = MultiTaskModel(micro, {})
    assert model.logits([], []) == []
    added = model.add("a", files["large-0"])
    before = model.tasks
    model.add("b", files["prompts"])
    assert (list(before), list(model.tasks)) == (["a"], ["a", "b"])
    with pytest.raises(InputError, match="a task 'a' already"):
        model.add("a", files["prompts"])
    (expected,) = model.logits(pictures[:1], ["a"])
    assert model.drop("a") is added
    assert list(model.tasks) == ["b"]
    for use in (lambda: model.logits(pictures[:1], ["a"]), lambda: model.drop("a"), lambda: model.task("a")):
        with pytest.raises(InputError, match="unknown task 'a'"):
            use()
    mixed = model.logits(pictures[:2], [added, "b"])  # whoever has looked the task up can still use it
    torch.testing.assert_close(mixed[0], expected, atol=1e-5, rtol=1e-5)
    again = model.add("a", files["none"])
    assert [len(values) for values in model.logits(pictures[:2], ["a", added])] == [
        len(again.classes),
        len(added.classes),
    ]


@pytest.mark.thorough
def test_tasks_come_and_go_while_passes_are_in_progress(model, files, alone):
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    names = ["prompts", "large-0", "none"] * 2
    with torch.inference_mode():
        expected = [alone[name].network(image[None])[0] for image, name in zip(images, names, strict=True)]

    def passes(_):
        for _ in range(4):
            for found, own in zip(model(images, names), expected, strict=True):
                torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)

    def changes(number):
        for _ in range(4):
            model.add(f"new {number}", files["large-3"])
            model.drop(f"new {number}")

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(work, i) for i in range(2) for work in (passes, changes)]
    assert [future.result() for future in done] == [None] * 4
    assert list(model.tasks) == list(OF_TASKS)


def storages(*modules):
    """Bytes of the different storages behind all parameters and buffers."""
    tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def live_bytes():
    """Bytes of the different storages of all tensors that this process holds."""
    gc.collect()
    tensors = [o for o in gc.get_objects() if type(o) in (torch.Tensor, nn.Parameter)]
    return {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}


@pytest.mark.thorough
def test_memory_is_one_backbone_and_the_files(micro, files):
    earlier = live_bytes()
    model = MultiTaskModel(micro, files)
    model(torch.zeros(len(files), 3, 32, 32), list(files))
    now = live_bytes()
    backbone = storages(micro.model)
    of_files = sum(file.stat().st_size for file in files.values())
    new = sum(size for pointer, size in now.items() if pointer not in earlier)
    assert backbone + new <= 1.1 * (backbone + of_files)
    networks = [task.subnet.network for task in model.tasks.values()]
    assert storages(*networks) - backbone <= of_files <= 1.1 * new


@pytest.mark.thorough
def test_a_dropped_task_takes_no_memory(model, files):
    before = sum(live_bytes().values())
    model.drop("large-0")
    assert sum(live_bytes().values()) <= before - 0.9 * files["large-0"].stat().st_size


@pytest.mark.parametrize(
    ("images", "tasks", "message"),
    [(3, ["none"], "1 tasks for 3 images"), (1, ["none", "prompts"], "2 tasks for 1 images")],
)
def test_one_task_for_each_image(shared_model, pictures, images, tasks, message):
    with pytest.raises(InputError, match=message):
        shared_model(torch.zeros(images, 3, 32, 32), tasks)
    with pytest.raises(InputError, match=r"tasks for .* images"):
        shared_model.predict(pictures[:images], tasks)


def test_unknown_tasks_are_refused_before_anything_is_computed(shared_model, pictures):
    with pytest.raises(InputError, match="unknown task 'larg-1'; did you mean 'large-1'"):
        shared_model.predict(pictures[:2], ["none", "larg-1"])
    with pytest.raises(InputError, match="batch_size is 0; give at least 1"):
        shared_model.predict(pictures[:1], ["none"], batch_size=0)


def test_a_task_of_another_model_is_refused(shared_model, files):
    other = MultiTaskModel(random_backbone("vit_micro_patch8_32", 0), {"none": files["none"]})
    with pytest.raises(ValueError, match="belongs to the model that loaded it"):
        shared_model(torch.zeros(1, 3, 32, 32), [other.task("none")])


def test_what_is_no_list_of_images_is_refused(shared_model, pictures):
    name = next(iter(shared_model.tasks))
    with pytest.raises(TypeError, match="one image is given; give a list of images"):
        shared_model.predict(pictures[0], [name])
    with pytest.raises(TypeError, match="str is not an image; give PIL images"):
        shared_model.predict(["photo.png"], [name])


def test_images_of_a_batch_have_one_size(micro, alone, tmp_path, pictures):
    paths = {}
    for name, size in (("small", 32), ("big", 48)):
        preprocessing = replace(PREPROCESSINGS[0], input_size=(3, size, size))
        paths[name] = tmp_path / name
        save_subnet(replace(alone["none"], preprocessing=preprocessing), paths[name])
    model = MultiTaskModel(micro, paths)
    with pytest.raises(InputError, match="'small' has images of 32x32 pixels and task 'big' of 48x48"):
        model.predict(pictures[:2], ["small", "big"])
