"""Each trainable set marks, changes, counts and orders what it says."""

from typing import get_args

import pytest
import torch

from search_spaces import Architecture
from supernet import TRAINABLE_SETS, Constant, Recipe, Supernet, Trainable, biases, train
from supernet.trainable import trainable_set

ARCHITECTURE = Architecture.of(2, {"lora_rank": [2, 0], "adapter_dim": [0, 2]})


@pytest.fixture
def network(plain) -> Supernet:
    return Supernet(plain(), ARCHITECTURE, 5)


def expected(network: Supernet, name: str) -> set[str]:
    """The parameters of a set by name, spelled out."""
    parts = {n.split(".")[0] for n, _ in network.named_parameters()}
    assert parts == {"backbone", "layers", "head"}
    found = {n for n, _ in network.named_parameters() if n.startswith("head.")}
    if name != "head":
        found |= {n for n, _ in network.named_parameters() if n.startswith("layers.")}
    if name == "biases":
        found |= {
            n for n, _ in network.named_parameters() if n.startswith("backbone.") and n.endswith("bias")
        }
    if name == "all":
        found |= {n for n, _ in network.named_parameters() if n.startswith("backbone.")}
    return found


def test_the_registry_has_every_name():
    assert set(TRAINABLE_SETS) == set(get_args(Trainable))
    assert all(found.name == name for name, found in TRAINABLE_SETS.items())
    assert trainable_set("biases") is TRAINABLE_SETS["biases"]


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"trainable is one of \('head', 'modules', .*not 'bias'"):
        trainable_set("bias")


@pytest.mark.parametrize("name", TRAINABLE_SETS)
@pytest.mark.parametrize("before", TRAINABLE_SETS)
def test_marking_leaves_nothing_of_an_earlier_set(network, name, before):
    TRAINABLE_SETS[before].mark(network)
    TRAINABLE_SETS[name].mark(network)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == expected(network, name)


@pytest.mark.parametrize("name", TRAINABLE_SETS)
def test_a_training_changes_the_tensors_of_the_set_and_no_others(network, toy, preprocessing, name):
    found = TRAINABLE_SETS[name]
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    images, labels = toy
    train(
        network,
        images,
        labels,
        preprocessing=preprocessing,
        chooser=Constant(ARCHITECTURE),
        recipe=Recipe(epochs=1, lr=1e-2, batch_size=20, weight_decay=0.1),
        seed=0,
        trainable=name,
    )
    changed = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert {n for n in changed if not n.startswith("backbone.")} <= expected(network, name)
    names = {n.removeprefix("backbone.") for n in changed if n.startswith("backbone.")}
    assert names <= set(found.backbone_parameters(network.backbone))
    assert bool(names) == found.changes_backbone


@pytest.mark.parametrize("name", TRAINABLE_SETS)
def test_its_tensors_restore_the_backbone(network, plain, name):
    found = TRAINABLE_SETS[name]
    other = plain()
    with torch.no_grad():
        for value in found.backbone_parameters(network.backbone).values():
            value.add_(1)
        tensors = found.backbone_tensors(other)
        for key, value in found.backbone_tensors(network.backbone).items():
            tensors[key].copy_(value)
    restored, own = other.state_dict(), network.backbone.state_dict()
    assert all(torch.equal(restored[key], own[key]) for key in own)


def test_the_whole_backbone_is_saved_with_its_buffers(plain):
    backbone = plain()
    backbone.register_buffer("seen", torch.ones(2))
    assert "seen" in TRAINABLE_SETS["all"].backbone_tensors(backbone)
    assert "seen" not in TRAINABLE_SETS["all"].backbone_parameters(backbone)


def test_counts_of_backbone_parameters(plain):
    backbone = plain()
    counts = {name: found.backbone_params(backbone) for name, found in TRAINABLE_SETS.items()}
    assert counts == {
        "head": 0,
        "modules": 0,
        "biases": sum(b.numel() for b in biases(backbone).values()),
        "all": sum(p.numel() for p in backbone.parameters()),
    }
    assert 0 < counts["biases"] < counts["all"]


def test_only_a_training_of_the_weight_matrices_pays_two_passes_backward():
    costs = {name: found.backward_passes for name, found in TRAINABLE_SETS.items()}
    assert costs == {"head": 1, "biases": 1, "modules": 1, "all": 2}


def test_the_order_of_cost():
    ranks = {name: found.cost_rank for name, found in TRAINABLE_SETS.items()}
    assert ranks == {"head": 0, "biases": 1, "modules": 2, "all": 3}


def test_labels_are_those_of_the_tables():
    assert TRAINABLE_SETS["all"].label == "all weights"
    assert TRAINABLE_SETS["biases"].label == "all biases"
    assert len({found.label for found in TRAINABLE_SETS.values()}) == len(TRAINABLE_SETS)
