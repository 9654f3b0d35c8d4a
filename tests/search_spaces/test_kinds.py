"""What one module of each kind costs, by its tensors and matrix products, and how kinds are registered."""

import math

import pytest
from sweep import sweep

from search_spaces import KINDS, BackboneShape, InputError, Kind, register_kind

SHAPES = {
    "plain": BackboneShape.vit(8, 3, 5, 4),
    "gated MLP": BackboneShape(
        3, width=8, attention_width=8, fc1_width=44, hidden_width=22, tokens=5, grid=(2, 2)
    ),
    "narrow attention": BackboneShape(
        3, width=8, attention_width=4, fc1_width=32, hidden_width=32, tokens=5, grid=(2, 2)
    ),
}
shapes = pytest.mark.parametrize("shape", sweep(SHAPES.values()), ids=SHAPES)


def ends(s):
    """Inputs and outputs of each kind of LoRA and DoRA."""
    return {
        "lora_rank": (s.width, 3 * s.attention_width),
        "lora_rank_q": (s.width, s.attention_width),
        "lora_rank_k": (s.width, s.attention_width),
        "lora_rank_v": (s.width, s.attention_width),
        "lora_rank_proj": (s.attention_width, s.width),
        "lora_rank_fc1": (s.width, s.fc1_width),
        "lora_rank_fc2": (s.hidden_width, s.width),
        "dora_rank": (s.width, 3 * s.attention_width),
        "dora_rank_proj": (s.attention_width, s.width),
        "dora_rank_fc1": (s.width, s.fc1_width),
        "dora_rank_fc2": (s.hidden_width, s.width),
    }


def tensors(name, n, s):
    """The shape of each tensor of a module of size n."""
    if name in ("prompt_tokens", "shallow_prompt_tokens"):
        return [(n, s.width)]
    if name in ends(s):
        inputs, outputs = ends(s)[name]
        return [(n, inputs), (outputs, n), *([(outputs,)] if name.startswith("dora") else [])]
    if name == "lora_rank_pos":
        return [(n, s.tokens), (n, s.width)]
    if name == "fact_rank":
        of_layer = sum(inputs * outputs for inputs, outputs in blocks(s))
        return [(n, s.width), *[(n, n)] * (s.depth * of_layer), (n, s.width)]
    if name.startswith("adapter_dim"):
        scale = [(1,)] if name.endswith("scaled") else [(s.width,)] if name.endswith("plus") else []
        return [(n, s.width), (n,), (s.width, n), (s.width,), *scale]
    if name.startswith("convpass_dim"):
        return [(n, s.width), (n,), (n, n, 3, 3), (n,), (s.width, n), (s.width,)]
    if name.startswith("rep_dim"):
        return [(n, s.width), (n,), (s.width // 2, n), (s.width,)]
    assert name == "ssf"
    operations = [s.width, s.width, s.width, s.width, 3 * s.attention_width, s.fc1_width]
    return [(width,) for width in operations[:n]] * 2


def blocks(s):
    """Blocks of inputs and of outputs of each projection of a layer under FacT."""
    e, f, h = (math.ceil(width / s.width) for width in (s.attention_width, s.fc1_width, s.hidden_width))
    return [(1, 3 * e), (e, 1), (1, f), (h, 1)]


def products(name, n, s):
    """For each matrix product of a module on one token: inputs and outputs."""
    if name in ends(s):
        inputs, outputs = ends(s)[name]
        return [(inputs, n), (n, outputs)]
    if name.startswith(("adapter_dim", "convpass_dim")):
        return [(s.width, n), (n, s.width)]
    if name.startswith("rep_dim"):
        return [(s.width, n), (n, s.width // 2)]
    if name == "fact_rank":
        factors = [(s.width, n)] * sum(inputs + outputs for inputs, outputs in blocks(s))
        return factors + [(n, n)] * sum(inputs * outputs for inputs, outputs in blocks(s))
    return []


def test_every_kind_is_here():
    lora = set(ends(SHAPES["plain"]))
    adapters = {"adapter_dim", "adapter_dim_scaled", "adapter_dim_parallel", "adapter_dim_parallel_scaled"}
    adapters |= {f"adapter_dim_{place}" for place in ("attention", "pre_attention", "pre_mlp", "plus")}
    convpass = {"convpass_dim_attention", "convpass_dim_mlp"}
    others = {"prompt_tokens", "shallow_prompt_tokens", "lora_rank_pos", "ssf"}
    others |= {"rep_dim_attention", "rep_dim_mlp", "fact_rank"}
    assert lora | adapters | convpass | others == set(KINDS)


@shapes
@pytest.mark.parametrize("name", sorted(KINDS))
def test_parameters_are_the_elements_of_the_tensors(name, shape):
    for n in range(1, (KINDS[name].max_size or 9) + 1):
        elements = sum(math.prod(tensor) for tensor in tensors(name, n, shape))
        assert KINDS[name].params(n, shape) == elements


@shapes
@pytest.mark.parametrize("name", sorted(KINDS))
def test_operations_are_those_of_the_matrix_products(name, shape):
    for n in range((KINDS[name].max_size or 9) + 1):
        for tokens in (1, 7):
            once = sum(2 * inputs * outputs for inputs, outputs in products(name, n, shape))
            if name == "lora_rank_pos":  # of all tokens of an image, whatever is beside them
                tokens, once = shape.tokens, 2 * n * shape.width
            neighbours = 0
            if name.startswith(
                "convpass_dim"
            ):  # nine for each of four patches, itself for a token beside them
                tokens, neighbours = 4 + tokens, 9 * 4 + tokens
            assert KINDS[name].flops(n, shape, tokens) == tokens * once + 2 * neighbours * n * n


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("prompt_tokens", 2 * 10),
        ("shallow_prompt_tokens", 2 * 10),
        ("lora_rank", 2 * (10 + 30)),
        ("lora_rank_v", 2 * (10 + 10)),
        ("lora_rank_proj", 2 * (10 + 10)),
        ("lora_rank_fc1", 2 * (10 + 40)),
        ("lora_rank_fc2", 2 * (40 + 10)),
        ("lora_rank_pos", 2 * (197 + 10)),
        ("adapter_dim", 2 * 10 * 2 + 2 + 10),
        ("adapter_dim_parallel_scaled", 2 * 10 * 2 + 2 + 10 + 1),
        ("adapter_dim_plus", 2 * 10 * 2 + 2 + 10 + 10),
        ("convpass_dim_mlp", 2 * 10 * 2 + 2 + 10 + 2 * 2 * 9 + 2),
        ("dora_rank_fc2", 2 * (40 + 10) + 10),
        ("rep_dim_mlp", 2 * 10 + 2 + 2 * 5 + 10),
        ("fact_rank", 2 * 10 + 12 * 12 * 2 * 2 + 2 * 10),
        ("ssf", 2 * (10 + 10)),
    ],
)
def test_parameters_by_hand(name, params):
    assert KINDS[name].params(2, BackboneShape.vit(10)) == params


@shapes
@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_absent_module_costs_nothing_and_larger_ones_more(name, shape):
    costs = [KINDS[name].params(size, shape) for size in range((KINDS[name].max_size or 19) + 1)]
    assert costs[0] == 0
    assert costs == sorted(set(costs))


def test_ssf_at_its_largest_is_the_published_one():
    """0.28 M on CIFAR-100 (arXiv 2210.08823): layers, patch embedding, last normalisation and head."""
    layers = 12 * KINDS["ssf"].params(6, BackboneShape.vit(768))
    assert layers + 2 * 2 * 768 + 769 * 100 == 282_724


def test_fact_at_rank_16_is_the_published_one():
    """U and V of 768 by 16, and 16 by 16 numbers for each of 144 blocks of 768 by 768 (arXiv 2212.03145)."""
    assert KINDS["fact_rank"].params(16, BackboneShape.vit(768)) == 2 * 768 * 16 + 144 * 16 * 16


def test_the_layer_that_holds_what_acts_in_a_layer():
    assert [KINDS["fact_rank"].held_in(layer) for layer in range(3)] == [0, 0, 0]
    assert [KINDS["lora_rank"].held_in(layer) for layer in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="mine acts everywhere from the first layer; set first_layer_only"):
        Kind("mine", "Mine", lambda size, shape: size, acts_everywhere=True)


def test_sizes_that_a_kind_cannot_have():
    KINDS["ssf"].require((6, 0), "here")
    with pytest.raises(InputError, match="here is 7, but the largest size of ssf is 6; give that or less"):
        KINDS["ssf"].require((0, 7), "here")
    KINDS["shallow_prompt_tokens"].require((99, 0), "here")
    with pytest.raises(InputError, match=r"here is positive beyond the first layer, .*; give 0 in all other"):
        KINDS["shallow_prompt_tokens"].require((0, 1), "here")


def test_what_a_kind_needs_and_a_backbone_lacks_is_named():
    with_grid, without = BackboneShape.vit(8, 3, 5), BackboneShape.vit(8, 3, 6)
    assert (with_grid.grid, without.grid) == ((2, 2), None)
    for name, kind in KINDS.items():
        kind.require_backbone(with_grid)
        if not name.startswith("convpass_dim"):
            kind.require_backbone(without)
    message = (
        "convpass_dim_mlp needs a single grid of patches, which this backbone lacks; leave convpass_dim_mlp o"
    )
    with pytest.raises(InputError, match=message):
        KINDS["convpass_dim_mlp"].require_backbone(without)
    with pytest.raises(
        InputError, match="rep_dim_mlp needs an even embedding width, which this backbone lacks"
    ):
        KINDS["rep_dim_mlp"].require_backbone(BackboneShape.vit(7, 3, 5))


@pytest.mark.parametrize("name", ["lora_rank", "depth"])
def test_a_taken_name_is_refused(name):
    before = dict(KINDS)
    with pytest.raises(ValueError, match=f"'{name}' is taken"):
        register_kind(Kind(name, "Other", lambda size, shape: size))
    assert before == KINDS


def test_a_registered_kind_is_known(monkeypatch):
    monkeypatch.setattr("search_spaces.kinds.KINDS", known := {})
    kind = Kind("bitfit", "BitFit", lambda size, shape: 2 * shape.width * size)
    register_kind(kind)
    assert known == {"bitfit": kind}
    assert kind.flops(3, SHAPES["plain"], 7) == 0
