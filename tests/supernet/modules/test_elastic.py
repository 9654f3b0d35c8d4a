"""What every module kind promises, for each registered kind on each shape of backbone."""

import pytest
import torch

from search_spaces import KINDS, BackboneShape, Kind
from supernet import register_elastic
from supernet.merging import INPUTS
from supernet.modules import ELASTIC, ElasticModule

OUTSIDE = {"prompt_tokens", "shallow_prompt_tokens", "lora_rank_pos"}
IN_PLACES = sorted(set(ELASTIC) - OUTSIDE)
NEARLY_WITHOUT_EFFECT = {"adapter_dim_plus"}
MERGEABLE = sorted(kind for kind, module in ELASTIC.items() if module.mergeable)
every_kind = pytest.mark.parametrize("kind", sorted(ELASTIC))
every_kind_in_places = pytest.mark.parametrize("kind", IN_PLACES)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_every_kind_that_can_be_counted_can_be_built():
    assert ELASTIC.keys() == KINDS.keys()
    assert all(ELASTIC[kind].kind == kind for kind in ELASTIC)
    assert all(ELASTIC[kind].places for kind in IN_PLACES)
    assert not any(ELASTIC[kind].places for kind in OUTSIDE)


@every_kind
def test_elements_at_a_size_are_the_count_of_that_kind(kind, shape, build):
    module = build(kind, shape)
    for size in range(1, module.capacity + 1):
        elements = sum(t.numel() for t in module.tensors_at(size).values())
        assert elements == KINDS[kind].params(size, shape)


@every_kind
def test_a_smaller_module_is_the_first_part_of_the_largest_and_shares_its_memory(kind, shape, build):
    module = build(kind, shape)
    parameters = dict(module.named_parameters())
    for size in range(1, module.capacity + 1):
        tensors = module.tensors_at(size)
        assert tensors.keys() == parameters.keys()
        for name, value in tensors.items():
            first_units = tuple(slice(n) for n in value.shape)
            assert torch.equal(value, parameters[name][first_units])
            assert value.data_ptr() == parameters[name].data_ptr()
            if name in module.unsized or size == module.capacity:
                assert value.shape == parameters[name].shape
            else:
                assert len(value) < len(parameters[name])


@every_kind
def test_a_module_of_the_exact_size_computes_what_the_slice_does(kind, shape, build, ends, draw):
    largest = build(kind, shape)
    for size in range(1, largest.capacity + 1):
        exact = build(kind, shape, size)
        for name, value in exact.named_parameters():
            value.data.copy_(largest.tensors_at(size)[name])
        for place in largest.places:
            x, y = draw(2, 5, ends[place][0]), draw(2, 5, ends[place][1], seed=2)
            assert torch.equal(exact(place, x, y.clone(), size), largest(place, x, y.clone(), size))


@every_kind_in_places
@torch.no_grad()
def test_each_image_gets_what_its_size_gives_alone(kind, shape, build, ends, draw):
    module = build(kind, shape)
    sizes = list(range(module.capacity + 1))
    for place in module.places:
        x = draw(len(sizes), 5, ends[place][0])
        y = draw(len(sizes), 5, ends[place][1], seed=2)
        masked = module(place, x, y.clone(), torch.tensor(sizes))
        assert torch.equal(masked[0], y[0])
        for size in sizes[1:]:
            close(masked[size], module(place, x[size : size + 1], y[size : size + 1], size)[0])


@pytest.mark.parametrize("place", ["input", "norm1", "qkv_input", "qkv"])
@torch.no_grad()
def test_prompts_of_a_layer_have_no_batch_and_get_one_of_each_image(place, shape, build, ends, draw):
    for kind in IN_PLACES:
        if place not in ELASTIC[kind].places:
            continue
        module = build(kind, shape)
        x, y = draw(4, ends[place][0]), draw(4, ends[place][1], seed=2)
        out = module(place, x, y, torch.tensor([0, 2, module.capacity]))
        assert out.shape == (3, *y.shape)
        close(out[0], y)
        close(out[1], module(place, x, y.clone(), 2))
        close(out[2], module(place, x, y.clone(), module.capacity))


@every_kind_in_places
@torch.no_grad()
def test_a_module_starts_without_effect(kind, shape, build, ends, draw):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    for place in module.places:
        x, y = draw(3, 5, ends[place][0]), draw(3, 5, ends[place][1], seed=2)
        for size in (1, module.capacity, torch.tensor([0, 1, module.capacity])):
            change = (module(place, x, y.clone(), size) - y).abs().max()
            assert change < 0.01 if kind in NEARLY_WITHOUT_EFFECT else change == 0


@every_kind
def test_gradients_reach_every_unit_that_is_there_and_no_other(kind, shape, build, ends, draw):
    for size in (2, build(kind, shape).capacity):
        module = build(kind, shape)
        layers = [(layer,) for layer in range(shape.depth)] if KINDS[kind].acts_everywhere else [()]
        parts = [
            module(place, draw(2, 5, ends[place][0]), draw(2, 5, ends[place][1], seed=2), size, *layer)
            for place in module.places
            for layer in layers
        ]
        if kind == "lora_rank_pos":
            parts = [module.added(module.down, size)]
        elif kind in OUTSIDE:
            parts = [module.prompts(size)]
        sum(part.square().sum() for part in parts).backward()
        inside = module.tensors_at(size)
        for name, parameter in module.named_parameters():
            reached = tuple(slice(n) for n in inside[name].shape)
            assert parameter.grad[reached].count_nonzero() == inside[name].numel(), name
            assert parameter.grad.count_nonzero() == inside[name].numel(), name


@every_kind_in_places
def test_gradients_are_those_of_the_images_own_sizes(kind, shape, build, ends, draw):
    """What a supernet's step adds up is what each image's subnet alone would."""
    masked, sliced = build(kind, shape), build(kind, shape)
    sizes = [0, 1, 3, masked.capacity]
    for place in masked.places:
        x, y = draw(4, 5, ends[place][0]), draw(4, 5, ends[place][1], seed=2)
        masked(place, x, y, torch.tensor(sizes)).square().sum().backward()
        for i, size in enumerate(sizes):
            if size and (out := sliced(place, x[i : i + 1], y[i : i + 1], size)).requires_grad:
                out.square().sum().backward()
    for (name, one), (_, other) in zip(masked.named_parameters(), sliced.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("kind", MERGEABLE)
@torch.no_grad()
def test_a_merged_operation_is_the_operation_and_its_module(kind, shape, build, ends, draw):
    module = build(kind, shape)
    for place in module.places:
        if place in INPUTS:
            require_merged_before(module, place, ends[INPUTS[place]], draw)
            continue
        inputs, outputs = ends[place]
        x, bias = draw(2, 3, inputs), draw(outputs, seed=3)
        normalises = place in ("norm1", "norm2")
        weight = draw(outputs, seed=2) if normalises else draw(outputs, inputs, seed=2)
        before = (weight.clone(), bias.clone())

        def operation(w, b, x=x, normalises=normalises):
            return x * w + b if normalises else x @ w.T + b

        merged = module.merge(place, weight, bias)
        close(operation(*merged), module(place, x, operation(weight, bias), module.capacity))
        assert all(torch.equal(now, then) for now, then in zip((weight, bias), before, strict=True))
        assert not any(t.requires_grad for t in merged)


def require_merged_before(module, place, ends, draw):
    """A projection of what the module gives is the merged projection of what the module reads."""
    x, weight, bias = draw(2, 3, ends[0]), draw(ends[1], ends[0], seed=2), draw(ends[1], seed=3)
    merged_weight, merged_bias = module.merge(place, weight, bias)
    expected = module(place, x, x.clone(), module.capacity) @ weight.T + bias
    torch.testing.assert_close(x @ merged_weight.T + merged_bias, expected, atol=1e-4, rtol=1e-5)
    assert not merged_weight.requires_grad
    assert not merged_bias.requires_grad


def test_what_is_mergeable():
    lora = {kind for kind in ELASTIC if kind.startswith("lora")}
    dora = {kind for kind in ELASTIC if kind.startswith("dora")}
    others = {"ssf", "rep_dim_attention", "rep_dim_mlp", "fact_rank"}
    assert set(MERGEABLE) == lora - {"lora_rank_pos"} | dora | others


@every_kind
def test_reset_draws_from_its_generator_alone(kind, shape, build):
    module = build(kind, shape)
    before = torch.get_rng_state()
    drawn = []
    for seed in (0, 1, 0):
        module.reset(torch.Generator().manual_seed(seed))
        drawn.append({name: value.clone() for name, value in module.named_parameters()})
    first, other, again = drawn
    assert all(torch.equal(again[name], value) for name, value in first.items())
    if kind != "ssf":  # which starts at constants
        assert any(not torch.equal(other[name], value) for name, value in first.items())
    assert torch.equal(torch.get_rng_state(), before)


@every_kind
def test_initial_values_do_not_depend_on_the_capacity(kind):
    """A supernet's units and those of a subnet trained alone start from one distribution."""
    shape = BackboneShape.vit(64)
    ranges = []
    for capacity in (4, KINDS[kind].max_size or 64):
        module = ELASTIC[kind](shape, capacity)
        module.reset(torch.Generator().manual_seed(0))
        ranges.append({n: v.abs().max().item() for n, v in module.named_parameters()})
    assert ranges[0] == pytest.approx(ranges[1], rel=0.1)


def test_a_unit_mask_counts_units(shape, build):
    mask = build("lora_rank", shape).unit_mask(torch.tensor([0, 2, 5]), torch.float64)
    assert mask.shape == (3, 1, 5)
    assert mask.dtype == torch.float64
    assert mask[:, 0].tolist() == [[0] * 5, [1, 1, 0, 0, 0], [1] * 5]


def test_a_kind_is_registered_once():
    before = dict(ELASTIC), dict(KINDS)

    class Again(ElasticModule):
        pass

    with pytest.raises(ValueError, match="'lora_rank' is registered already"):
        register_elastic("lora_rank")(Again)
    with pytest.raises(ValueError, match="'lora_rank' is registered already"):
        register_elastic(Kind("lora_rank", "Mine", lambda size, shape: size))(Again)
    with pytest.raises(ValueError, match="'again' has no cost; give a Kind"):
        register_elastic("again")(Again)
    assert before == (ELASTIC, KINDS)


def test_one_registration_makes_a_kind_known_everywhere(monkeypatch):
    monkeypatch.setattr("search_spaces.kinds.KINDS", kinds := {})
    monkeypatch.setattr("supernet.modules.elastic.ELASTIC", modules := {})
    kind = Kind("shift", "Shift", lambda size, shape: size * shape.width)

    @register_elastic(kind)
    class Shift(ElasticModule):
        pass

    assert (kinds, modules, Shift.kind) == ({"shift": kind}, {"shift": Shift}, "shift")
