"""LoRA is its equation, on the part of a projection that its kind names."""

import pytest
import torch

WHERE = {
    "lora_rank": ("qkv", slice(None)),
    "lora_rank_q": ("qkv", 0),
    "lora_rank_k": ("qkv", 1),
    "lora_rank_v": ("qkv", 2),
    "lora_rank_proj": ("proj", slice(None)),
    "lora_rank_fc1": ("fc1", slice(None)),
    "lora_rank_fc2": ("fc2", slice(None)),
}
every_kind = pytest.mark.parametrize("kind", WHERE)


def equation(module, kind, x, y, rank):
    """``y + x A^T B``, where queries, keys and values lie side by side."""
    delta = torch.einsum("...i,ri,ro->...o", x, module.down[:rank], module.up[:rank])
    _, part = WHERE[kind]
    if isinstance(part, slice):
        return y + delta
    width = y.shape[-1] // 3
    expected = y.clone()
    expected[..., part * width : (part + 1) * width] += delta
    return expected


@every_kind
@torch.no_grad()
def test_it_is_its_equation_at_every_rank(kind, shape, build, ends, draw):
    module = build(kind, shape)
    place, _ = WHERE[kind]
    assert module.places == (place,)
    x, y = draw(3, 4, ends[place][0]), draw(3, 4, ends[place][1], seed=2)
    for rank in range(1, 6):
        expected = equation(module, kind, x, y, rank)
        torch.testing.assert_close(module(place, x, y.clone(), rank), expected, atol=1e-5, rtol=1e-5)
        masked = module(place, x, y.clone(), torch.full((3,), rank))
        torch.testing.assert_close(masked, expected, atol=1e-5, rtol=1e-5)


@every_kind
@torch.no_grad()
def test_the_merged_weight_is_changed_by_its_product_and_the_bias_is_not(kind, shape, build, ends, draw):
    module = build(kind, shape)
    place, part = WHERE[kind]
    inputs, outputs = ends[place]
    weight, bias = draw(outputs, inputs), draw(outputs, seed=2)
    new_weight, new_bias = module.merge(place, weight, bias)
    assert torch.equal(new_bias, bias)
    change = (new_weight - weight).reshape((3, -1, inputs) if place == "qkv" else (outputs, inputs))
    inside = change[part].reshape(-1, inputs)
    torch.testing.assert_close(inside, module.up.T @ module.down, atol=1e-5, rtol=1e-5)
    if isinstance(part, int):
        assert not change[[other for other in range(3) if other != part]].any()


@every_kind
def test_it_starts_as_zero_by_its_second_factor(kind, shape, build, ends):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    assert not module.up.any()
    assert module.down.abs().max() <= ends[WHERE[kind][0]][0] ** -0.5
    assert module.down.count_nonzero() == module.down.numel()
