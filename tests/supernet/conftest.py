"""Shrunken models of each supported family, with random weights, and networks around them."""

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from sweep import sweep
from torch import nn

from search_spaces import Architecture, SearchSpace, load_space
from supernet import Backbone, Preprocessing, Subnet, Supernet, random_backbone

WIDTH, DEPTH, CLASSES = 32, 2, 5
SHRUNKEN = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 4}
SHARED = {"use_rel_pos_bias": False, "use_shared_rel_pos_bias": True}
FAMILIES = {
    "plain": ("vit_base_patch16_224", {}),
    "average pooling": (
        "vit_base_patch16_224",
        {"class_token": False, "global_pool": "avg", "fc_norm": True},
    ),
    "normalised queries": ("vit_base_patch16_224", {"qk_norm": True, "qkv_bias": False}),
    "normalised attention": ("vit_base_patch16_224", {"scale_attn_norm": True, "scale_mlp_norm": True}),
    "not square": ("vit_base_patch16_224", {"img_size": (32, 48)}),
    "any size": ("vit_base_patch16_224", {"dynamic_img_size": True}),
    "hybrid": ("vit_tiny_r_s16_p8_224", {"patch_size": 1}),
    "DINOv2": ("vit_small_patch14_dinov2", {}),
    "DINOv2 with registers": ("vit_small_patch14_reg4_dinov2", {}),
    "DINOv2 SwiGLU": ("vit_giant_patch14_dinov2", {}),
    "DeiT": ("deit_small_patch16_224", {}),
    "DeiT-3": ("deit3_small_patch16_224", {}),
    "distilled DeiT": ("deit_small_distilled_patch16_224", {}),
    "CLIP": ("vit_base_patch16_clip_224", {}),
    "CLIP QuickGELU": ("vit_base_patch16_clip_quickgelu_224", {}),
    "SigLIP": ("vit_base_patch16_siglip_224", {}),
    "AIMv2": ("aimv2_large_patch14_224", {}),
    "EVA": ("eva_giant_patch14_224", {}),
    "EVA-02": ("eva02_tiny_patch14_224", {}),
    "EVA-02 base": ("eva02_base_patch14_224", {}),
    "EVA-02 CLIP": ("eva02_base_patch16_clip_224", {}),
    "EVA-02, any size": ("eva02_tiny_patch14_224", {"dynamic_img_size": True}),
    "DINOv3": ("vit_small_patch16_dinov3", {}),
    "DINOv3 with biases": ("vit_small_patch16_dinov3_qkvb", {}),
    "DINOv3 SwiGLU, not square": ("vit_small_plus_patch16_dinov3", {"img_size": (32, 48)}),
    "rotary, no class token": ("vit_medium_patch16_rope_reg1_gap_256", {}),
    "rotary axial": ("vit_small_patch16_rope_224", {}),
    "rotary mixed": ("vit_small_patch16_rope_mixed_224", {}),
    "rotary mixed and absolute, not square": (
        "vit_small_patch16_rope_mixed_ape_224",
        {"img_size": (32, 48)},
    ),
    "Perception Encoder": ("vit_pe_core_tiny_patch16_384", {"attn_pool_num_heads": 4}),
    "Perception Encoder, spatial": ("vit_pe_spatial_tiny_patch16_512", {}),
    "BEiT": ("beit_base_patch16_224", {}),
    "BEiT, not square": ("beit_base_patch16_224", {"img_size": (32, 48)}),
    "BEiT v2": ("beitv2_base_patch16_224", {}),
    "BEiT with a shared bias": ("beit_base_patch16_224", SHARED),
    "BEiT with both biases": ("beit_base_patch16_224", SHARED | {"use_rel_pos_bias": True}),
    "BEiT SwiGLU": ("beit_base_patch16_224", {"swiglu_mlp": True, "scale_mlp": True}),
}
ORDINARY = ["plain", "DINOv3", "BEiT"]
"""Families of the ordinary suite: absolute, rotary and relative positions."""


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """These models are so small that threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(family: str) -> nn.Module:
    name, changes = FAMILIES[family]
    # a classifier on every family, so that timm's own forward pass ends in logits
    return timm.create_model(name, pretrained=False, num_classes=CLASSES, **(SHRUNKEN | changes)).eval()


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> None:
    """Give every parameter an effect: zero biases, zero up-projections and small layer scales have none."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        scales = name.endswith(("gamma", "gamma_1", "gamma_2", "scale"))
        centre = 1.0 if scales or ("norm" in name and name.endswith("weight")) else 0.0
        inputs = value[0].numel() if value.ndim == 4 else value.shape[-1]
        value.copy_(centre + noise * (0.3 if value.ndim == 1 else inputs**-0.5))


@pytest.fixture(scope="session", params=sweep(FAMILIES, ORDINARY))
def vit(request) -> nn.Module:
    """One model of each family with a classifier; never trained."""
    model = build(request.param)
    randomise(model, 1)
    return model


@pytest.fixture(scope="session")
def position_table(vit: nn.Module) -> bool:
    """Whether positions are a table that the model adds to its tokens right before the first layer."""
    before_layers = getattr(vit, "norm_pre", None)
    return vit.pos_embed is not None and isinstance(before_layers, nn.Identity | None)


@pytest.fixture(scope="session")
def plain() -> Callable[[], nn.Module]:
    """Makes a fresh plain ViT, always the same."""

    def make() -> nn.Module:
        model = build("plain")
        randomise(model, 1)
        return model

    return make


@pytest.fixture(scope="session", params=["default", "noah-vtab", "wide"])
def space(request) -> SearchSpace:
    return load_space(request.param, DEPTH)


@pytest.fixture(scope="session")
def default_space() -> SearchSpace:
    return load_space("default", DEPTH)


@pytest.fixture(scope="session")
def randomised() -> Callable[[nn.Module, Architecture], Supernet]:
    """Makes a supernet whose modules and head all have an effect."""

    def make(model: nn.Module, capacity: Architecture) -> Supernet:
        net = Supernet(model, capacity, CLASSES).eval()
        randomise(net.layers, 2)
        randomise(net.head, 3)
        return net

    return make


@pytest.fixture(scope="session")
def net(vit: nn.Module, space: SearchSpace, randomised) -> Supernet:
    """The supernet of a whole space around one model of each family; never trained."""
    return randomised(vit, space.largest())


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """Normalised images."""
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def images(vit: nn.Module) -> torch.Tensor:
    """Normalised images of the size that the model is for; of another one if it takes any."""
    height, width = (24, 40) if getattr(vit, "dynamic_img_size", False) else vit.patch_embed.img_size
    return torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def toy() -> tuple[torch.Tensor, torch.Tensor]:
    """40 uint8 images whose class is their colour, with labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % CLASSES
    colours = torch.randint(0, 256, (CLASSES, 3, 1, 1), generator=generator)
    noise = torch.randint(-20, 21, (40, 3, 32, 32), generator=generator)
    return (colours[labels] + noise).clamp(0, 255).to(torch.uint8), labels


@pytest.fixture(scope="session")
def preprocessing() -> Preprocessing:
    return Preprocessing((3, 32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic", 0.9, "center")


@pytest.fixture(scope="session")
def micro() -> Backbone:
    """The shipped architecture with random weights."""
    return random_backbone("vit_micro_patch8_32", 0)


@pytest.fixture(scope="session")
def subnet(micro: Backbone) -> Subnet:
    """A subnet with every kind of module and weights that all have an effect."""
    space = load_space("default", micro.depth)
    network = Supernet(micro.model, space.sample(np.random.default_rng(0)), 3).eval()
    randomise(network.layers, 2)
    randomise(network.head, 3)
    return Subnet(
        network=network,
        backbone=micro,
        classes=("cat", "dog", "größer"),
        preprocessing=Preprocessing.of(micro.model),
        metrics={"accuracy": 0.75, "confusion": [[1, 2], [3, 4]]},
        training={"seed": 7, "recipe": {"lr": 1e-3}},
        temperature=1.25,
    )
