"""Everything that the supernet computes, for small models of every supported family, on any device."""

from collections.abc import Callable
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from search_spaces import Architecture
from supernet import (
    Constant,
    Execution,
    Groups,
    OnePath,
    OnePerImage,
    Preprocessing,
    Recipe,
    Sandwich,
    Supernet,
    evaluate,
    pooled_features,
    score,
    train,
)
from supernet.latency import measure_latencies
from supernet.merging import merged

DEPTH, CLASSES = 2, 5
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": DEPTH, "num_heads": 4}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "shipped": ("vit_micro_patch8_32", {"depth": DEPTH}),
    "ViT": ("vit_base_patch16_224", SMALL),
    "distilled DeiT": ("deit_small_distilled_patch16_224", SMALL),
    "DeiT-3": ("deit3_small_patch16_224", SMALL),
    "DINOv2 SwiGLU": ("vit_giant_patch14_dinov2", SMALL),
    "DINOv3": ("vit_small_patch16_dinov3", SMALL),
    "EVA": ("eva_giant_patch14_224", SMALL),
    "EVA-02": ("eva02_tiny_patch14_224", SMALL),
    "BEiT": ("beit_base_patch16_224", SMALL | {"use_rel_pos_bias": True, "use_shared_rel_pos_bias": True}),
    "AIMv2": ("aimv2_large_patch14_224", SMALL),
    "Perception Encoder": ("vit_pe_core_tiny_patch16_384", SMALL | {"attn_pool_num_heads": 4}),
    "rotary mixed": ("vit_small_patch16_rope_mixed_224", SMALL),
    "CLIP": ("vit_base_patch16_clip_224", SMALL),
    "SigLIP": ("vit_base_patch16_siglip_224", SMALL),
}
"""Name in timm and changes; one of each family that `supernet.backbones` supports."""
CAPACITY = Architecture.of(
    DEPTH,
    {
        "adapter_dim": [2] * DEPTH,
        "adapter_dim_parallel_scaled": [2] * DEPTH,
        "adapter_dim_plus": [2] * DEPTH,
        "adapter_dim_pre_attention": [2] * DEPTH,
        "convpass_dim_attention": [2] * DEPTH,
        "dora_rank": [2] * DEPTH,
        "fact_rank": [2, 0],
        "lora_rank": [2] * DEPTH,
        "lora_rank_pos": [2, 0],
        "prompt_tokens": [2] * DEPTH,
        "rep_dim_mlp": [2] * DEPTH,
        "shallow_prompt_tokens": [2, 0],
        "ssf": [6] * DEPTH,
    },
)
NO_SHIFTS = Architecture.of(DEPTH, {kind: CAPACITY[kind] for kind in CAPACITY.kinds if kind != "ssf"})


def small_model(family: str) -> nn.Module:
    """A backbone with random weights, always the same."""
    name, changes = MODELS[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False, num_classes=0, **changes).eval()


def small_network(family: str) -> Supernet:
    """A supernet of every sort of module."""
    return Supernet(small_model(family), CAPACITY, CLASSES)


def preprocessing(net: Supernet) -> Preprocessing:
    """That of its backbone."""
    return Preprocessing.of(net.backbone)


def data(net: Supernet, number: int = 3) -> tuple[Tensor, Tensor]:
    """Images and labels on the CPU."""
    shape = (number, *preprocessing(net).input_size)
    return torch.arange(int(np.prod(shape))).reshape(shape).to(torch.uint8), torch.arange(number) % CLASSES


def device(net: Supernet) -> torch.device:
    return net.head.weight.device


def sample(net: Supernet) -> Callable[[np.random.Generator], Architecture]:
    """Draws subnets with some kinds in some layers; those before the layers in the first alone."""

    def draw(rng: np.random.Generator) -> Architecture:
        sizes = {k: [int(rng.integers(0, n + 1)) for n in net.capacity[k]] for k in net.capacity.kinds}
        return Architecture.of(net.capacity.depth, sizes)

    return draw


def fit(net: Supernet, chooser: Any, **options: Any) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of a training of one epoch."""
    images, labels = data(net)
    augmentation, batch_size = options.pop("augmentation", "none"), options.pop("batch_size", 3)
    recipe = Recipe(epochs=1, lr=1e-3, batch_size=batch_size, augmentation=augmentation)
    curve = train(
        net,
        images,
        labels,
        preprocessing=preprocessing(net),
        chooser=chooser,
        recipe=recipe,
        seed=0,
        **options,
    )
    tensors = net.module_tensors(net.capacity)
    return curve.losses, {name: value.detach().clone().cpu() for name, value in tensors.items()}


def distil(net: Supernet) -> Sandwich:
    return Sandwich(sample(net), net.capacity, Architecture.empty(net.capacity.depth), distil=True)


def scored(net: Supernet, together: bool) -> list[Tensor]:
    images, labels = data(net)
    subnets = [sample(net)(np.random.default_rng(i)) for i in range(3)]
    found = score(net, images, labels, subnets, preprocessing=preprocessing(net), together=together)
    return [evaluation.losses for evaluation in found]


def probed(net: Supernet) -> Any:
    images, _ = data(net)
    features = pooled_features(net, images, preprocessing(net), architecture=net.capacity)
    assert features.device == device(net)
    return fit(net, Constant(net.capacity), trainable="head", features=features.cpu())


def timed(net: Supernet) -> None:
    pixels = torch.zeros(2, *preprocessing(net).input_size, device=device(net))
    measure_latencies([lambda x: net(x, net.capacity)], pixels, np.random.default_rng(0), rounds=(1, 1))


def logits(net: Supernet, architecture: Architecture) -> Tensor:
    with torch.inference_mode():
        found: Tensor = net(preprocessing(net).normalise(data(net)[0].to(device(net))), architecture)
    return found.cpu()


def loaded(net: Supernet) -> Tensor:
    saved = {name: value.cpu() for name, value in net.module_tensors(net.capacity).items()}
    net.load_module_tensors(saved)
    return logits(net, net.capacity)


def evaluated(net: Supernet) -> Tensor:
    found = evaluate(net, *data(net), preprocessing=preprocessing(net), architecture=net.capacity)
    assert found.losses.device.type == "cpu"
    return found.losses


def extracted(net: Supernet) -> Tensor:
    return logits(net.extract(net.capacity), net.capacity)


def unmodularised(net: Supernet) -> Tensor:
    """Merged; shifts need biases that some families lack."""
    subnet = merged(net.extract(NO_SHIFTS))
    return logits(subnet, subnet.capacity)


STAGES: dict[str, Callable[[Supernet], Any]] = {
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
    "extraction": extracted,
    "merging": unmodularised,
}
"""By name; each returns what it has computed, on the CPU."""
