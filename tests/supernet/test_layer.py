"""The laws of the forward pass, on a shrunken model of each supported family.

The reference is independent of the code under test: timm's own forward pass, with prompt tokens concatenated
before its blocks and dropped after them, and modules written out behind timm's own operations.
"""

import copy
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import KINDS, Architecture, count_flops
from supernet import ArchitectureBatch, Supernet

SEEDS = st.integers(0, 2**32 - 1)
REPEATABLE = settings(deadline=None, max_examples=2, derandomize=True, database=None)
ONCE = settings(REPEATABLE, max_examples=1)

PARTS = {"lora_rank_q": 0, "lora_rank_k": 1, "lora_rank_v": 2}
LORA = {"lora_rank": "qkv", **dict.fromkeys(PARTS, "qkv")}
LORA |= {f"lora_rank_{place}": place for place in ("proj", "fc1", "fc2")}
ADAPTERS = ("adapter_dim", "adapter_dim_parallel", "adapter_dim_parallel_scaled", "adapter_dim_scaled")
EVERYTHING = Architecture.of(
    2,
    dict.fromkeys((*LORA, *ADAPTERS, "prompt_tokens"), (2, 3))
    | {"shallow_prompt_tokens": (3, 0), "lora_rank_pos": (2, 0), "ssf": (6, 6)},
)


class Changed(nn.Module):
    """An operation whose output is changed."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, x):
        return self.change(x, self.inner(x))


def linear_modules(x, y, place, modules, shape, part=0, parts=1):
    """LoRA and SSF behind the operation at ``place``, or behind one of its equal parts stored separately."""
    width = y.shape[-1]
    own = slice(part * width, (part + 1) * width)
    for kind, tensors in modules.items():
        if LORA.get(kind) == place:
            up = tensors["up"]
            if kind in PARTS:
                up = torch.cat([up if i == PARTS[kind] else torch.zeros_like(up) for i in range(3)], dim=1)
            y = y + x @ tensors["down"].T @ up[:, own]
        if kind == "ssf":
            d, order = shape.width, ("norm1", "norm2", "proj", "fc2", "qkv", "fc1")
            ends = [0, *accumulate((d, d, d, d, 3 * shape.attention_width, shape.fc1_width))]
            start, end = ends[order.index(place)], ends[order.index(place) + 1]
            if end <= len(tensors["scale"]):
                scale, shift = (tensors[name][start:end][own] for name in ("scale", "shift"))
                y = y * scale + shift
    return y


def adapters(x, y, modules, normalised):
    """What the adapters add to the MLP branch y, whose input was ``normalised``."""
    for kind in ADAPTERS:
        if kind in modules:
            t = modules[kind]
            z = F.linear(normalised[-1] if "parallel" in kind else y, t["down"], t["down_bias"])
            y = y + t.get("scale", 1) * ((z / (1 + torch.exp(-1.702 * z))) @ t["up"] + t["up_bias"])
    return y


def remembered(x, y, place, modules, shape, normalised):
    normalised.append(linear_modules(x, y, place, modules, shape))
    return normalised[-1]


def change_operations(block, modules, shape):
    """Put every module but prompts behind the operations of one of timm's blocks."""
    attention, mlp, normalised = block.attn, block.mlp, []
    if getattr(attention, "q_bias", None) is not None:
        attention.qkv.bias = nn.Parameter(torch.cat([attention.q_bias, attention.k_bias, attention.v_bias]))
        attention.q_bias = attention.k_bias = attention.v_bias = None
    fused, split = attention.qkv is not None, hasattr(mlp, "fc1_g")
    where = [(block, "norm1", "norm1", 0, 1), (attention, "proj", "proj", 0, 1), (mlp, "fc2", "fc2", 0, 1)]
    names = ["qkv"] if fused else ["q_proj", "k_proj", "v_proj"]
    where += [(attention, name, "qkv", i, len(names)) for i, name in enumerate(names)]
    names = ["fc1_g", "fc1_x"] if split else ["fc1"]
    where += [(mlp, name, "fc1", i, len(names)) for i, name in enumerate(names)]
    for owner, name, place, part, parts in where:
        change = partial(linear_modules, place=place, modules=modules, shape=shape, part=part, parts=parts)
        setattr(owner, name, Changed(getattr(owner, name), change))
    change = partial(remembered, place="norm2", modules=modules, shape=shape, normalised=normalised)
    block.norm2 = Changed(block.norm2, change)
    # behind the MLP and its layer scale, before the sum
    block.drop_path2 = Changed(block.drop_path2, partial(adapters, modules=modules, normalised=normalised))


def inserted(x, first, tokens):
    return torch.cat([x[:, :first], tokens.expand(len(x), -1, -1), x[:, first:]], dim=1)


def unbiased(bias, first, extra):
    """``bias`` for ``extra`` more tokens from ``first`` on, for which it is zero."""
    old = [i if i < first else i + extra for i in range(bias.shape[-1])]
    size = bias.shape[-1] + extra
    wide = bias.new_zeros(*bias.shape[:-2], size, size)
    wide[..., torch.tensor(old)[:, None], torch.tensor(old)] = bias
    return wide


def add_positions(vit, modules, height, width):
    """Make timm's first block see tokens to which a vector of their position is added."""
    if "lora_rank_pos" not in modules[0]:
        return
    t, first = modules[0]["lora_rank_pos"], vit.num_prefix_tokens
    added = sum(a[:, None] * b for a, b in zip(t["down"], t["up"], strict=True))
    if getattr(vit, "dynamic_img_size", False):  # patches of 8 pixels
        old, new = vit.patch_embed.grid_size, (height // 8, width // 8)
        grid = added[first:].T.reshape(1, -1, *old)
        grid = F.interpolate(grid, new, mode="bicubic", antialias=True)
        added = torch.cat([added[:first], grid.flatten(2)[0].T])
    vit.blocks[0].register_forward_pre_hook(lambda _, args: (args[0] + added, *args[1:]))


def concatenate_prompts(vit, modules):
    """Make timm's blocks see the prompts as tokens behind the class tokens: no rotation, no bias."""
    first = vit.num_prefix_tokens
    shallow = modules[0].get("shallow_prompt_tokens", {}).get("tokens", torch.zeros(0, 1))
    for i, block in enumerate(vit.blocks):
        deep = modules[i].get("prompt_tokens", {}).get("tokens", torch.zeros(0, 1))
        extra = len(deep) + len(shallow)
        if hasattr(block.attn, "num_prefix_tokens"):
            block.attn.num_prefix_tokens += extra
        if getattr(block.attn, "relative_position_bias_table", None) is not None:
            own = block.attn._get_rel_pos_bias
            block.attn._get_rel_pos_bias = lambda own=own, extra=extra: unbiased(own(), first, extra)

        def before(_, args, kwargs, i=i, deep=deep, extra=extra):
            x = inserted(args[0], first, shallow) if i == 0 and len(shallow) else args[0]
            x = inserted(x, first, deep) if len(deep) else x
            if kwargs.get("shared_rel_pos_bias") is not None:
                kwargs["shared_rel_pos_bias"] = unbiased(kwargs["shared_rel_pos_bias"], first, extra)
            return (x, *args[1:]), kwargs

        def after(_, args, x, i=i, deep=deep):
            gone = len(deep) + (len(shallow) if i == len(vit.blocks) - 1 else 0)
            return torch.cat([x[:, :first], x[:, first + gone :]], dim=1)

        block.register_forward_pre_hook(before, with_kwargs=True)
        block.register_forward_hook(after)


def reference(net, x, a):
    """Logits of ``net`` for one architecture, by timm's own forward pass."""
    vit = copy.deepcopy(net.backbone)
    modules = [{} for _ in vit.blocks]
    for name, value in sorted(net.module_tensors(a).items()):
        if name.startswith("layers."):
            _, i, kind, tensor = name.split(".")
            modules[int(i)].setdefault(kind, {})[tensor] = value
    for block, its in zip(vit.blocks, modules, strict=True):
        change_operations(block, its, net.shape)
    add_positions(vit, modules, *x.shape[-2:])
    concatenate_prompts(vit, modules)
    return net.head(vit.forward_head(vit.forward_features(x), pre_logits=True))


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_empty_architecture_is_timms_own_forward(vit, default_space, randomised, images):
    net = randomised(vit, default_space.largest())
    net.head.load_state_dict(vit.head.state_dict())
    own = copy.deepcopy(vit)
    if hasattr(own, "head_dist"):  # two heads, averaged: ours reads the average of their inputs
        own.head_dist.load_state_dict(vit.head.state_dict())
    expected = own(images)
    assert expected.std() > 0.1
    empty = Architecture.empty(2)
    close(net(images, empty), expected)
    close(net(images, [empty] * len(images)), expected)


@torch.no_grad()
@ONCE
@given(seed=SEEDS)
def test_step_0_without_prompts_is_the_pretrained_function(vit, space, images, seed):
    drawn = space.sample(np.random.default_rng(seed))
    kinds = [kind for kind in drawn.kinds if kind not in ("prompt_tokens", "shallow_prompt_tokens")]
    a = Architecture.of(2, {kind: drawn[kind] for kind in kinds})
    fresh = Supernet(vit, space.largest(), 5, seed=seed % 100).eval()
    expected = vit.forward_head(vit.forward_features(images), pre_logits=True)
    close(fresh.features(images, a), expected)
    close(fresh.features(images, [a] * len(images)), expected)


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_modules_are_what_they_are_in_timms_own_forward(net, space, images, seed):
    """Prompts as keys and values are concatenated tokens; those of VPT-shallow go through all layers."""
    a = space.sample(np.random.default_rng(seed))
    close(net(images, a), reference(net, images, a))


@torch.no_grad()
def test_every_kind_at_once_is_what_it_is_in_timms_own_forward(vit, randomised, images):
    net = randomised(vit, EVERYTHING)
    close(net(images), reference(net, images, EVERYTHING))
    close(net(images, [EVERYTHING] * len(images)), reference(net, images, EVERYTHING))


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_one_architecture_per_image_is_each_image_alone(net, space, images, seed):
    rng = np.random.default_rng(seed)
    many = [space.sample(rng) for _ in images]
    alone = torch.cat([net(x[None], a) for x, a in zip(images, many, strict=True)])
    close(net(images, many), alone)
    close(net(images, ArchitectureBatch.of(many, net.capacity.kinds)), alone)


@torch.no_grad()
@ONCE
@given(seed=SEEDS)
def test_slicing_is_masking(net, space, images, seed):
    a = space.sample(np.random.default_rng(seed))
    close(net(images, a), net(images, [a] * len(images)))


@torch.no_grad()
def test_every_module_of_every_layer_has_an_effect(vit, randomised, images):
    """Without this the equalities could hold because a module is ignored on both sides."""
    net = randomised(vit, EVERYTHING)
    sizes = [
        (kind, i, size)
        for kind in EVERYTHING.kinds
        for i in range(1 if KINDS[kind].first_layer_only else 2)
        for size in range(7 if kind == "ssf" else 2)
    ]
    ones = [Architecture.of(2, {kind: [size * (j == i) for j in range(2)]}) for kind, i, size in sizes]
    logits = net(images[:1].expand(len(ones), -1, -1, -1), ones)
    for (before, found), (kind, i, size) in zip(pairwise(logits), sizes[1:], strict=True):
        if size > 0:
            assert (found - before).abs().max() > 1e-4, (kind, i, size)


@torch.no_grad()
@ONCE
@given(seed=SEEDS)
def test_counted_operations_are_those_that_torch_counts(net, space, seed):
    """Of one image of the model's own size, whose number of tokens is in the shape."""
    a = space.sample(np.random.default_rng(seed))
    net.requires_grad_(False)
    image = torch.zeros(1, 3, *net.backbone.patch_embed.img_size)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(image, a)
    net.set_trainable("modules")
    assert count_flops(a, net.shape, 5) == counter.get_total_flops()


def test_checkpointing_gives_the_same_gradients(vit, randomised, images):
    net = randomised(vit, EVERYTHING)
    many = [EVERYTHING, Architecture.uniform(2, "lora_rank", 1), Architecture.empty(2)]
    found = []
    for net.checkpointing in (False, True):
        net.zero_grad()
        net(images, many).square().sum().backward()
        found.append([p.grad for n, p in net.named_parameters() if not n.startswith("backbone.")])
    for kept, again in zip(*found, strict=True):
        assert torch.equal(kept, again)
