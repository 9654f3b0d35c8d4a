"""What every module kind promises, for each registered kind."""

import pytest
import torch

from search_spaces import KINDS
from supernet import ElasticModule, register_elastic
from supernet.modules import ELASTIC

WIDTH, CAPACITY = 16, 6


@pytest.fixture(params=sorted(ELASTIC))
def module(request):
    module = ELASTIC[request.param](WIDTH, CAPACITY)
    module.reset(torch.Generator().manual_seed(0))
    return module


def test_every_kind_that_can_be_counted_can_be_built():
    assert ELASTIC.keys() == KINDS.keys()
    assert all(ELASTIC[kind].kind == kind for kind in ELASTIC)


@pytest.mark.parametrize("size", range(1, CAPACITY + 1))
def test_elements_at_a_size_are_the_count_of_that_kind(module, size):
    elements = sum(t.numel() for t in module.tensors_at(size).values())
    assert elements == KINDS[module.kind].params(size, WIDTH)


def test_a_smaller_module_is_the_first_units_of_the_largest(module):
    for size in range(1, CAPACITY + 1):
        tensors = module.tensors_at(size)
        for name, value in module.named_parameters():
            assert torch.equal(tensors[name], value if name in module.unsized else value[:size])
            assert tensors[name].data_ptr() == value.data_ptr()


def test_reset_draws_from_its_generator_alone(module):
    before = torch.get_rng_state()
    first = {name: value.clone() for name, value in module.named_parameters()}
    module.reset(torch.Generator().manual_seed(0))
    assert all(torch.equal(value, first[name]) for name, value in module.named_parameters())
    module.reset(torch.Generator().manual_seed(1))
    assert any(not torch.equal(value, first[name]) for name, value in module.named_parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_values_do_not_depend_on_the_capacity():
    """A supernet's units and those of a subnet trained alone start from one distribution."""
    for kind, build in ELASTIC.items():
        small, large = build(64, 4), build(64, 64)
        for m in (small, large):
            m.reset(torch.Generator().manual_seed(0))
        ranges = [{n: v.abs().max().item() for n, v in m.named_parameters()} for m in (small, large)]
        assert ranges[0] == pytest.approx(ranges[1], rel=0.1), kind


def test_a_unit_mask_counts_units(module):
    mask = module.unit_mask(torch.tensor([0, 2, CAPACITY]), torch.float64)
    assert mask.shape == (3, 1, CAPACITY)
    assert mask.dtype == torch.float64
    assert mask.sum(-1).flatten().tolist() == [0, 2, CAPACITY]
    assert mask[1, 0].tolist() == [1, 1, 0, 0, 0, 0]


def test_a_kind_is_registered_once():
    class Again(ELASTIC["lora_rank"]):
        pass

    with pytest.raises(ValueError, match="'lora_rank' is registered already"):
        register_elastic(Again)
    assert ELASTIC["lora_rank"] is not Again
    assert issubclass(Again, ElasticModule)
