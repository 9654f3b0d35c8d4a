"""Pruned ranks: the largest directions of all modules, within a limit, by one threshold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from search_spaces import Architecture, BackboneShape, count_params
from supernet import Supernet
from supernet.modules.lora import LowRank
from supernet.rank_pruning import PrunedRanks, pruned, refactored

KINDS = ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")
FULL = Architecture.of(2, dict.fromkeys(KINDS, (4, 3)))
Randomised = Callable[[nn.Module, Architecture], Supernet]


@pytest.fixture(scope="module")
def network(plain: Callable[[], nn.Module], randomised: Randomised) -> Supernet:
    return randomised(plain(), FULL)


def modules(network: Supernet) -> dict[tuple[int, str], LowRank]:
    return {(i, kind): module for i, layer in enumerate(network.layers) for kind, module in layer.items()}


def update(down: Tensor, up: Tensor) -> Tensor:
    return up.detach().double().T @ down.detach().double()


def values_of(network: Supernet) -> dict[tuple[int, str], Tensor]:
    """The singular values of each update, by the decomposition of the whole matrix."""
    return {
        key: torch.linalg.svdvals(update(m.down, m.up))[: m.capacity] for key, m in modules(network).items()
    }


def test_factors_are_those_of_the_update_and_have_one_norm(network: Supernet):
    for key, module in modules(network).items():
        down, up, values = refactored(module)
        torch.testing.assert_close(values, values_of(network)[key])
        torch.testing.assert_close(update(down, up), update(module.down, module.up))
        for factor in (down, up):
            torch.testing.assert_close(factor @ factor.T, torch.diag(values))


@settings(deadline=None, max_examples=25)
@given(limit=st.integers(0, count_params(FULL, BackboneShape.vit(32, 2)) + 100))
def test_what_is_left(network: Supernet, limit: int):
    found = pruned(network, limit)
    values = values_of(network)
    kept = {key: found.architecture[key[1]][key[0]] for key in values}
    assert count_params(found.architecture, network.shape) <= limit
    left = [value for key, rank in kept.items() for value in values[key][:rank].tolist()]
    gone = sorted((value, key) for key, rank in kept.items() for value in values[key][rank:].tolist())
    assert found.threshold == pytest.approx(min(left, default=float("inf")))
    if gone:
        value, (layer, kind) = gone[-1]
        assert value <= found.threshold
        module = modules(network)[layer, kind]
        next_cost = module.down.shape[1] + module.up.shape[1]
        assert count_params(found.architecture, network.shape) + next_cost > limit


@torch.no_grad()
def test_the_subnet_has_the_best_updates_of_its_ranks(network: Supernet, pixels: Tensor):
    found = pruned(network, 1500)
    subnet = Supernet(network.backbone, found.architecture, network.num_classes).eval()
    subnet.load_module_tensors(found.tensors)
    assert 0 < count_params(found.architecture, network.shape) <= 1500
    for (layer, kind), module in modules(subnet).items():
        whole = modules(network)[layer, kind]
        u, values, v = torch.linalg.svd(update(whole.down, whole.up), full_matrices=False)
        rank = module.capacity
        best = u[:, :rank] @ torch.diag(values[:rank]) @ v[:rank]
        torch.testing.assert_close(update(module.down, module.up), best, atol=1e-6, rtol=1e-5)
    assert torch.equal(subnet.head.weight, network.head.weight)
    assert (subnet(pixels) - network(pixels)).abs().max() > 1e-3


@torch.no_grad()
def test_without_a_need_nothing_changes(network: Supernet, pixels: Tensor):
    found = pruned(network, 10**6)
    assert found.architecture == FULL
    subnet = Supernet(network.backbone, FULL, network.num_classes).eval()
    subnet.load_module_tensors(found.tensors)
    torch.testing.assert_close(subnet(pixels), network(pixels), atol=1e-5, rtol=0)


@torch.no_grad()
def test_ties_go_to_the_lower_layers(plain: Callable[[], nn.Module], randomised: Randomised):
    network = randomised(plain(), Architecture.uniform(2, "lora_rank_proj", 3))
    first, second = modules(network).values()
    second.down.copy_(first.down)
    second.up.copy_(first.up)
    ranks = [pruned(network, 64 * n).architecture["lora_rank_proj"] for n in range(7)]
    assert ranks == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]


@torch.no_grad()
def test_directions_without_an_effect_are_dropped(plain: Callable[[], nn.Module], randomised: Randomised):
    """Both factors of such a direction would be zero, and stay so."""
    network = randomised(plain(), Architecture.uniform(2, "lora_rank", 3))
    first, second = modules(network).values()
    second.up.zero_()
    first.up[2] = first.up[1]
    first.down[2] = first.down[1]
    found: PrunedRanks = pruned(network, 10**6)
    assert found.architecture["lora_rank"] == (2, 0)
    nothing = pruned(Supernet(plain(), Architecture.uniform(2, "lora_rank", 3), 5), 10**6)
    assert nothing.architecture == Architecture.empty(2)
    assert set(nothing.tensors) == {"head.weight", "head.bias"}


def test_other_modules_are_named(plain: Callable[[], nn.Module], randomised: Randomised):
    network = randomised(plain(), Architecture.of(2, {"lora_rank": (1, 1), "adapter_dim": (0, 1)}))
    with pytest.raises(ValueError, match="adapter_dim is no LoRA on a projection"):
        pruned(network, 100)
