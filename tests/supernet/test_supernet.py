"""Capacity, gradients, extraction, and what of a supernet is trained."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces import Architecture, count_params, head_params
from supernet import ArchitectureBatch, Supernet
from supernet.backbones import weights_digest

SEEDS = st.integers(0, 2**32 - 1)
LORA_4 = Architecture.uniform(2, "lora_rank", 4)
REPEATABLE = settings(deadline=None, max_examples=2, derandomize=True, database=None)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def gradients(net, pixels, architecture):
    """The gradient of every module and head parameter by name; None where there is none."""
    net.zero_grad()
    logits = net(pixels, architecture)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(9))
    (logits * weights).sum().backward()
    return {n: p.grad for n, p in net.named_parameters() if not n.startswith("backbone.")}


def within(net, name, grad, sizes):
    """The part of a gradient that belongs to the subnet with ``sizes[kind][layer]``, and the rest."""
    if name.startswith("head."):
        return grad, grad[:0]
    _, layer, kind, tensor = name.split(".")
    size = sizes[kind][int(layer)]
    active = len(net.layers[int(layer)][kind].tensors_at(size)[tensor]) if size else 0
    return grad[:active], grad[active:]


def shift_of_keys(net, name, grad):
    """Where ``grad`` holds that of a shift of all keys alike, which a softmax over keys does not see.

    It adds the same to the scores of a query with every key. That is no longer so where keys are normalised
    or rotated after the shift.
    """
    where = torch.zeros_like(grad, dtype=torch.bool)
    attention = net.trunk.layers[0].attention
    unseen = isinstance(getattr(attention, "k_norm", nn.Identity()), nn.Identity)
    unseen &= getattr(net.backbone, "rope", None) is None
    if unseen and name.endswith("ssf.shift"):
        queries, e = 4 * net.shape.width, net.shape.attention_width
        where[queries + e : queries + 2 * e] = True  # behind norm1, norm2, proj, fc2 and the queries
    return where


def check_gradients(net, grads, largest, expected):
    """``largest`` holds for each kind and layer the largest size that was trained.

    Every element of these sizes has a gradient, except the shifts of keys above; no other element has one.
    """
    nonzero = 0
    for name, grad in grads.items():
        if grad is None:
            size = None if name.startswith("head.") else largest[name.split(".")[2]][int(name.split(".")[1])]
            assert size == 0, name
            continue
        inside, beyond = within(net, name, grad, largest)
        assert torch.count_nonzero(beyond) == 0, name
        unseen = shift_of_keys(net, name, grad)[: len(inside)]
        if unseen.any():
            assert inside[unseen].abs().max() < 1e-4 * inside[~unseen].abs().max(), name
        nonzero += int(torch.count_nonzero(inside[~unseen])) + int(unseen.sum())
    assert nonzero == expected


@REPEATABLE
@given(seed=SEEDS)
def test_counted_parameters_are_tensors_are_gradients(net, space, images, seed):
    a = space.sample(np.random.default_rng(seed))
    expected = count_params(a, net.shape) + head_params(32, 5)
    assert sum(t.numel() for t in net.module_tensors(a).values()) == expected
    check_gradients(net, gradients(net, images, a), a, expected)
    check_gradients(net, gradients(net, images, [a] * len(images)), a, expected)


@REPEATABLE
@given(seed=SEEDS)
def test_one_architecture_per_image_trains_the_union(plain, space, randomised, pixels, seed):
    net = randomised(plain(), space.largest())
    rng = np.random.default_rng(seed)
    many = [space.sample(rng) for _ in pixels]
    union = Architecture.of(
        2, {k: [max(a[k][i] for a in many) for i in range(2)] for k in space.largest().kinds}
    )
    expected = count_params(union, net.shape) + head_params(32, 5)
    check_gradients(net, gradients(net, pixels, many), union, expected)


def test_the_backbone_gets_no_gradients(vit, default_space, randomised, images):
    net = randomised(vit, default_space.largest())
    gradients(net, images, default_space.largest())
    assert all(p.grad is None and not p.requires_grad for p in vit.parameters())


@pytest.mark.parametrize(
    ("what", "parts"),
    [("head", {"head"}), ("modules", {"head", "layers"}), ("all", {"head", "layers", "backbone"})],
)
def test_set_trainable(plain, default_space, what, parts):
    net = Supernet(plain(), default_space.largest(), 5)
    net.set_trainable("all")
    net.set_trainable(what)
    by_part = {}
    for name, p in net.named_parameters():
        by_part.setdefault(name.split(".")[0], set()).add(p.requires_grad)
    assert by_part == {part: {part in parts} for part in ("head", "layers", "backbone")}


def test_set_trainable_refuses_another_word(plain):
    with pytest.raises(ValueError, match=r"head.*modules.*all.*'bias'"):
        Supernet(plain(), LORA_4, 5).set_trainable("bias")


def test_train_leaves_the_backbone_in_evaluation_mode(plain):
    net = Supernet(plain(), LORA_4, 5)
    net.train(True)
    assert net.training
    assert net.head.training
    assert not any(m.training for m in net.backbone.modules())
    net.eval()
    assert not net.training


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_an_extracted_subnet_is_the_same_function(net, space, images, seed):
    a = space.sample(np.random.default_rng(seed))
    extracted = net.extract(a)
    assert extracted.capacity == a
    assert extracted.backbone is net.backbone
    modules = [p for n, p in extracted.named_parameters() if not n.startswith("backbone.")]
    assert sum(p.numel() for p in modules) == count_params(a, net.shape) + head_params(32, 5)
    close(extracted(images), net(images, a))


@torch.no_grad()
def test_extraction_copies(plain, default_space, randomised, pixels):
    net = randomised(plain(), default_space.largest())
    before = net(pixels)
    extracted = net.extract(default_space.largest())
    for p in [*extracted.layers.parameters(), *extracted.head.parameters()]:
        p.fill_(9.0)
    assert torch.equal(net(pixels), before)


def test_same_seed_same_weights_and_global_state_untouched(plain, default_space):
    vit = plain()
    before = torch.get_rng_state()
    first, same, other = (Supernet(vit, default_space.largest(), 5, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    digests = [(weights_digest(n.layers), weights_digest(n.head)) for n in (first, same, other)]
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]
    assert digests[0][1] != digests[2][1]
    other.reset(3)
    assert (weights_digest(other.layers), weights_digest(other.head)) == digests[0]


def test_none_is_the_capacity(plain, default_space, randomised, pixels):
    net = randomised(plain(), default_space.largest())
    assert torch.equal(net(pixels), net(pixels, default_space.largest()))


def test_a_capacity_without_modules_runs_one_architecture_per_image(plain, pixels):
    empty = Architecture.empty(2)
    net = Supernet(plain(), empty, 5)
    close(net(pixels, [empty] * len(pixels)), net(pixels))


def test_beyond_the_capacity_is_refused(plain, pixels):
    net = Supernet(plain(), LORA_4, 5)
    five = Architecture.uniform(2, "lora_rank", 5)
    adapter = Architecture.uniform(2, "adapter_dim", 1)
    shallow = Architecture.empty(3)
    for a in (five, adapter, shallow):
        with pytest.raises(ValueError, match="beyond the capacity"):
            net(pixels, a)
        with pytest.raises(ValueError, match="beyond the capacity"):
            net(pixels, [LORA_4, LORA_4, LORA_4, a])
        with pytest.raises(ValueError, match="beyond the capacity"):
            net(pixels, ArchitectureBatch.of([a] * 4, ("adapter_dim", "lora_rank")))
        with pytest.raises(ValueError, match="beyond the capacity"):
            net.extract(a)


def test_kinds_that_are_absent_everywhere_may_be_in_the_batch(plain, pixels):
    net = Supernet(plain(), LORA_4, 5)
    batch = ArchitectureBatch.of([LORA_4] * 4, ("adapter_dim", "lora_rank", "prompt_tokens"))
    close(net(pixels, batch), net(pixels))


def test_another_number_of_architectures_than_images_is_refused(plain, pixels):
    with pytest.raises(ValueError, match="3 architectures for 4 images"):
        Supernet(plain(), LORA_4, 5)(pixels, [LORA_4] * 3)


def test_another_depth_than_the_backbones_is_refused(plain):
    with pytest.raises(ValueError, match="3 layers and the backbone 2"):
        Supernet(plain(), Architecture.empty(3), 5)


def test_loading_tensors_that_do_not_fit(plain):
    net = Supernet(plain(), LORA_4, 5)
    tensors = net.module_tensors(LORA_4)
    with pytest.raises(KeyError, match=r"head\.bias"):
        net.load_module_tensors({k: v for k, v in tensors.items() if k != "head.bias"})
    with pytest.raises(KeyError, match="stranger"):
        net.load_module_tensors(tensors | {"stranger": torch.zeros(1)})
    # copy_ would broadcast this one
    with pytest.raises(ValueError, match=r"another shape.*head\.bias"):
        net.load_module_tensors(tensors | {"head.bias": torch.zeros(1)})
