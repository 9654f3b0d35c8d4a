"""Every computation on a GPU keeps to it: run with fake tensors, so that machines without one notice."""

import numpy as np
import pytest
import torch
from fake_cuda import CUDA, DEPTH, data, fake_cuda, network, place, preprocessing

from search_spaces import Architecture
from supernet import (
    Constant,
    Execution,
    Groups,
    OnePath,
    OnePerImage,
    Recipe,
    Sandwich,
    evaluate,
    pooled_features,
    score,
    train,
)
from supernet.latency import measure_latencies
from supernet.modules import ELASTIC

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*CUDA is not available")]
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": DEPTH, "num_heads": 4}
SHARED = {"use_rel_pos_bias": True, "use_shared_rel_pos_bias": True}
MODELS = {
    "shipped": ("vit_micro_patch8_32", {"depth": DEPTH}),
    "ViT": ("vit_base_patch16_224", SMALL),
    "DINOv2 SwiGLU": ("vit_giant_patch14_dinov2", SMALL),
    "EVA-02": ("eva02_tiny_patch14_224", SMALL),
    "DINOv3": ("vit_small_patch16_dinov3", SMALL),
    "rotary mixed": ("vit_small_patch16_rope_mixed_224", SMALL),
    "BEiT": ("beit_base_patch16_224", SMALL | SHARED),
}


def sample(net):
    """Draws subnets with some kinds in some layers; those before the layers in the first alone."""

    def draw(rng):
        sizes = {k: [int(rng.integers(0, n + 1)) for n in net.capacity[k]] for k in net.capacity.kinds}
        return Architecture.of(net.capacity.depth, sizes)

    return draw


def fit(net, chooser, **options):
    images, labels = data(net)
    augmentation, batch_size = options.pop("augmentation", "none"), options.pop("batch_size", 3)
    recipe = Recipe(epochs=1, lr=1e-3, batch_size=batch_size, augmentation=augmentation)
    return train(
        net,
        images,
        labels,
        preprocessing=preprocessing(net),
        chooser=chooser,
        recipe=recipe,
        seed=0,
        **options,
    )


def distil(net):
    empty = Architecture.empty(net.capacity.depth)
    return Sandwich(sample(net), net.capacity, empty, distil=True)


def scored(net, together):
    images, labels = data(net)
    subnets = [sample(net)(np.random.default_rng(i)) for i in range(3)]
    return score(net, images, labels, subnets, preprocessing=preprocessing(net), together=together)


def probed(net):
    images, _ = data(net)
    features = pooled_features(net, images, preprocessing(net), architecture=net.capacity)
    assert features.device == CUDA
    fit(net, Constant(net.capacity), trainable="head", features=features.cpu())


def timed(net):
    pixels = torch.zeros(2, *preprocessing(net).input_size, device=CUDA)
    rng = np.random.default_rng(0)
    measure_latencies([lambda x: net(x, net.capacity)], pixels, rng, rounds=(1, 1))


def loaded(net):
    saved = {name: value.cpu() for name, value in net.module_tensors(net.capacity).items()}
    net.load_module_tensors(saved)
    net(torch.zeros(1, *preprocessing(net).input_size, device=CUDA))


def evaluated(net):
    found = evaluate(net, *data(net), preprocessing=preprocessing(net), architecture=net.capacity)
    assert found.losses.device.type == "cpu"


STAGES = {
    "reset": lambda net: net.reset(1),
    "constant": lambda net: fit(net, Constant(net.capacity), batch_size=2),  # in two steps
    "one path": lambda net: fit(net, OnePath(sample(net))),
    "one per image": lambda net: fit(net, OnePerImage(sample(net), net.capacity.kinds)),
    "groups in parts": lambda net: fit(
        net, Groups(sample(net), net.capacity.kinds, 2), execution=Execution("tf32", micro_batches=2)
    ),
    "distillation": lambda net: fit(net, distil(net), execution=Execution(checkpointing=True)),
    "augmentation": lambda net: fit(net, Constant(net.capacity), augmentation="strong"),
    "biases": lambda net: fit(net, Constant(net.capacity), trainable="biases"),
    "all": lambda net: fit(net, Constant(net.capacity), trainable="all"),
    "head": lambda net: fit(net, Constant(net.capacity), trainable="head"),
    "head on features": probed,
    "evaluation": evaluated,
    "scoring together": lambda net: scored(net, True),
    "scoring": lambda net: scored(net, False),
    "latency": timed,
    "loading": loaded,
}
RUNNING = [name for name in STAGES if name != "reset"]


@pytest.mark.parametrize("model", MODELS)
def test_every_stage_runs_on_a_gpu(monkeypatch, model):
    with fake_cuda(monkeypatch):
        net = network(MODELS[model])
        for stage in STAGES.values():
            stage(net)
        assert {p.device for p in net.parameters()} == {CUDA}


@pytest.mark.parametrize("stage", ["constant", "one per image", "evaluation"])
def test_images_that_do_not_fit_are_copied_batch_by_batch(monkeypatch, stage):
    with fake_cuda(monkeypatch):
        monkeypatch.setattr("supernet.transfers.free_memory", lambda device: 0)
        STAGES[stage](network(MODELS["ViT"]))


@pytest.mark.parametrize("stage", RUNNING)
@pytest.mark.parametrize("planted", ["module", "trunk"])
def test_a_module_left_on_the_cpu_is_noticed(monkeypatch, stage, planted):
    with fake_cuda(monkeypatch):
        net = network(MODELS["ViT"])
        left = net.layers[0]["ssf"] if planted == "module" else net.backbone.norm
        place(left, torch.device("cpu"))
        with pytest.raises(RuntimeError, match=r"device|cpu"):
            STAGES[stage](net)


# an image left on the CPU is augmented there, by values that fake tensors do not have
@pytest.mark.parametrize("stage", [n for n in RUNNING if n not in ("latency", "loading", "augmentation")])
def test_a_value_left_on_the_cpu_is_noticed(monkeypatch, stage):
    with fake_cuda(monkeypatch):
        net = network(MODELS["ViT"])
        for module in ("evaluation", "preprocessing", "scoring", "step_gradient", "training"):
            monkeypatch.setattr(f"supernet.{module}.to_device", lambda values, device: values)
        monkeypatch.setattr("supernet.transfers.to_device", lambda values, device: values)
        with pytest.raises(RuntimeError, match=r"device|cpu"):
            STAGES[stage](net)


def test_a_generator_that_draws_on_another_device_is_noticed(monkeypatch):
    with fake_cuda(monkeypatch):
        module = network(MODELS["ViT"]).layers[0]["lora_rank"]
        plain = type(module).reset.__wrapped__
        with pytest.raises(RuntimeError, match="a generator on cpu draws into a tensor on cuda:0"):
            plain(module, torch.Generator())
        module.reset(torch.Generator())


@pytest.mark.parametrize("kind", ELASTIC)
def test_every_kind_can_be_reset_on_a_gpu(monkeypatch, kind):
    with fake_cuda(monkeypatch):
        net = network(MODELS["ViT"])
        module = ELASTIC[kind](net.shape, 2)
        place(module, CUDA)
        module.reset(torch.Generator())
        assert {p.device for p in module.parameters()} == {CUDA}
