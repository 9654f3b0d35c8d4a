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
from fact_reference import fact_updates
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
BESIDE_THE_MLP = (
    *("adapter_dim", "adapter_dim_parallel", "adapter_dim_parallel_scaled", "adapter_dim_scaled"),
    "convpass_dim_mlp",
)
BESIDE_ATTENTION = ("adapter_dim_attention", "convpass_dim_attention")
DORA = {"dora_rank": "qkv", **{f"dora_rank_{place}": place for place in ("proj", "fc1", "fc2")}}
BEFORE_A_BRANCH = ("rep_dim_attention", "rep_dim_mlp")
ON_THE_STREAM = ("adapter_dim_pre_attention", "adapter_dim_pre_mlp", "adapter_dim_plus")
EVERYTHING = Architecture.of(
    2,
    dict.fromkeys(
        (*LORA, *DORA, *BESIDE_THE_MLP, *BESIDE_ATTENTION, *BEFORE_A_BRANCH, *ON_THE_STREAM, "prompt_tokens"),
        (2, 3),
    )
    | {"shallow_prompt_tokens": (3, 0), "lora_rank_pos": (2, 0), "fact_rank": (3, 0), "ssf": (6, 6)},
)


class Changed(nn.Module):
    """An operation whose output is changed."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, x):
        return self.change(x, self.inner(x))


def linear_modules(x, y, place, modules, shape, part=0, parts=1, frozen=None):
    """DoRA, LoRA and SSF behind the operation at ``place``, or one of its equal parts stored separately."""
    width = y.shape[-1]
    own = slice(part * width, (part + 1) * width)
    for kind, tensors in modules.items():
        if DORA.get(kind) == place:
            update = tensors["up"].T[own] @ tensors["down"]
            bias = 0 if frozen.bias is None else frozen.bias
            scale = (
                tensors["magnitude"][own] * frozen.weight.norm(dim=1) / (frozen.weight + update).norm(dim=1)
            )
            y = (y - bias + x @ update.T) * scale + bias
        if kind == "fact_rank" and place in tensors["updates"]:
            y = y + x @ tensors["updates"][place][:, own]
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


def adapters(y, modules, kinds, before=None, grid=None):
    """What the adapters of ``kinds`` add to y; that beside a branch reads the branch's input ``before``."""
    for kind in kinds:
        if kind in modules:
            t = modules[kind]
            z = F.linear(before if "parallel" in kind or "conv" in t else y, t["down"], t["down_bias"])
            z = F.gelu(z) if kind == "adapter_dim_plus" else quick_gelu(z)
            if "conv" in t:
                z = quick_gelu(convolved(z, t["conv"], t["conv_bias"], grid))
            y = y + t.get("scale", 1) * (z @ t["up"] + t["up_bias"])
    return y


def quick_gelu(z):
    return z / (1 + torch.exp(-1.702 * z))


def convolved(z, weight, bias, grid):
    """A sum over the nine neighbours of each patch; other tokens have none but themselves."""
    rows, columns = grid
    first = z.shape[1] - rows * columns
    padded = F.pad(z[:, first:].unflatten(1, grid), (0, 0, 1, 1, 1, 1))
    taps = [(i, j) for i in range(3) for j in range(3)]
    patches = sum(padded[:, i : i + rows, j : j + columns] @ weight[:, :, i, j].T for i, j in taps)
    return torch.cat([z[:, :first] @ weight[:, :, 1, 1].T, patches.flatten(1, 2)], dim=1) + bias


def remembered(x, y, place, modules, shape, normalised):
    normalised.append(linear_modules(x, y, place, modules, shape))
    return normalised[-1]


def behind_attention(x, y, modules, entered, normalised, grid):
    """Attention's branch with its adapters, and what the adapter before the MLP adds to the sum."""
    y = adapters(y, modules, BESIDE_ATTENTION, normalised[-1], grid)
    stream = entered[-1] + y
    return y + adapters(stream, modules, ["adapter_dim_pre_mlp"]) - stream


def behind_mlp(x, y, modules, normalised, grid):
    return adapters(y, modules, BESIDE_THE_MLP, normalised[-1], grid)


def change_operations(block, modules, shape, grid):
    """Put every module but prompts behind the operations of one of timm's blocks."""
    attention, mlp, normalised, normalised1 = block.attn, block.mlp, [], []
    if getattr(attention, "q_bias", None) is not None:
        attention.qkv.bias = nn.Parameter(torch.cat([attention.q_bias, attention.k_bias, attention.v_bias]))
        attention.q_bias = attention.k_bias = attention.v_bias = None
    fused, split = attention.qkv is not None, hasattr(mlp, "fc1_g")
    where = [(attention, "proj", "proj", 0, 1), (mlp, "fc2", "fc2", 0, 1)]
    names = ["qkv"] if fused else ["q_proj", "k_proj", "v_proj"]
    where += [(attention, name, "qkv", i, len(names)) for i, name in enumerate(names)]
    names = ["fc1_g", "fc1_x"] if split else ["fc1"]
    where += [(mlp, name, "fc1", i, len(names)) for i, name in enumerate(names)]
    for owner, name, place, part, parts in where:
        inner = getattr(owner, name)
        change = partial(
            linear_modules, place=place, modules=modules, shape=shape, part=part, parts=parts, frozen=inner
        )
        setattr(owner, name, Changed(inner, change))
    for name, outputs in (("norm1", normalised1), ("norm2", normalised)):
        change = partial(remembered, place=name, modules=modules, shape=shape, normalised=outputs)
        setattr(block, name, Changed(getattr(block, name), change))
    # behind a branch and its layer scale, before the sum
    change = partial(behind_mlp, modules=modules, normalised=normalised, grid=grid)
    block.drop_path2 = Changed(block.drop_path2, change)
    entered = []
    change = partial(behind_attention, modules=modules, entered=entered, normalised=normalised1, grid=grid)
    block.drop_path1 = Changed(block.drop_path1, change)
    for branch, kind in zip((attention, mlp), BEFORE_A_BRANCH, strict=True):
        if kind in modules:
            branch.register_forward_pre_hook(
                lambda _, args, t=modules[kind]: (rep_adapter(args[0], t), *args[1:])
            )
    return entered


def rep_adapter(y, t):
    """Unit by unit: even ones write to the first half of the channels."""
    added = t["up_bias"].expand_as(y).clone()
    half = y.shape[-1] // 2
    for i, (down, bias, up) in enumerate(zip(t["down"], t["down_bias"], t["up"], strict=True)):
        added[..., half * (i % 2) :][..., :half] += (y @ down + bias)[..., None] * up
    return y + added


def change_stream(block, modules, entered):
    """Put adapters before and behind one of timm's blocks, prompts that it has got included."""

    def before(_, args):
        entered.append(adapters(args[0], modules, ["adapter_dim_pre_attention"]))
        return (entered[-1], *args[1:])

    block.register_forward_pre_hook(before)
    block.register_forward_hook(lambda _, args, x: adapters(x, modules, ["adapter_dim_plus"]))


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
    if "fact_rank" in modules[0]:
        shared = modules[0].pop("fact_rank")
        for i, its in enumerate(modules):
            its["fact_rank"] = {"updates": fact_updates(shared, i, net.shape)}
        modules = [dict(sorted(its.items())) for its in modules]
    height, width = x.shape[-2:]
    dynamic = getattr(vit, "dynamic_img_size", False)
    grid = (height // 8, width // 8) if dynamic else vit.patch_embed.grid_size
    changed = [
        change_operations(block, m, net.shape, grid) for block, m in zip(vit.blocks, modules, strict=True)
    ]
    add_positions(vit, modules, height, width)
    concatenate_prompts(vit, modules)
    for block, its, entered in zip(vit.blocks, modules, changed, strict=True):
        change_stream(block, its, entered)
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
    require_counted_operations(net, EVERYTHING)


@torch.no_grad()
def test_a_layer_leaves_its_input_and_the_prompts_as_they_are(plain, randomised, pixels):
    """Subnets that share their lower layers read the same tokens."""
    net = randomised(plain(), EVERYTHING)
    sizes = {kind: EVERYTHING[kind][0] for kind in EVERYTHING.kinds}
    x, at, _ = net.embed(pixels, sizes)
    before, prompts = x.clone(), net.layers[0]["prompt_tokens"].tokens
    same = prompts.clone()
    net.run_layer(0, x, sizes, at)
    assert torch.equal(x, before)
    assert torch.equal(prompts, same)


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
    require_counted_operations(net, space.sample(np.random.default_rng(seed)))


def require_counted_operations(net, a):
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
