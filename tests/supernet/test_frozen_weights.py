"""Frozen weights that are cast once are what autocast casts each time, and leave no trace."""

import copy
from threading import Barrier, Thread

import pytest
import torch
from sweep import sweep

from supernet import Constant, Execution, Recipe, evaluate, train
from supernet.backbones import weights_digest
from supernet.frozen_weights import cast_once
from supernet.precision import autocast

CPU = torch.device("cpu")


def formats(model):
    return {value.dtype for value in model.parameters()}


# RMSNorm of bfloat16 tokens under autocast, with and without copies
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@torch.inference_mode()
def test_a_pass_is_the_same_to_the_last_bit_in_every_family(net, images):
    with autocast(CPU, "bf16"):
        expected = net(images)
        with cast_once(net.backbone, "bf16"):
            assert formats(net.backbone) == {torch.float32, torch.bfloat16}
            assert torch.equal(net(images), expected)
    assert formats(net.backbone) == {torch.float32}


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_other_precisions_cast_nothing(plain, precision):
    model = plain().requires_grad_(False)
    with cast_once(model, precision):
        assert formats(model) == {torch.float32}


def test_the_backbone_has_its_own_parameters_again_after_an_error(plain):
    model = plain().requires_grad_(False)
    own, digest = dict(model.named_parameters()), weights_digest(model)
    with cast_once(model, "bf16"):
        assert model.blocks[0].attn.qkv.weight is not own["blocks.0.attn.qkv.weight"]
    with pytest.raises(RuntimeError, match="no"), cast_once(model, "bf16"):
        raise RuntimeError("no")
    after = dict(model.named_parameters())
    assert all(value is own[name] for name, value in after.items())
    assert list(after) == list(own)
    assert weights_digest(model) == digest


def test_weights_that_receive_gradients_are_left_alone(plain):
    model = plain().requires_grad_(False)
    for name, value in model.named_parameters():
        value.requires_grad_(name.endswith("bias"))
    with cast_once(model, "bf16"):
        assert model.blocks[0].mlp.fc1.bias.dtype == torch.float32
        assert model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    with torch.no_grad(), cast_once(model, "bf16"):
        assert model.blocks[0].mlp.fc1.bias.dtype == torch.bfloat16
    assert formats(model) == {torch.float32}


def test_threads_and_nested_contexts_share_copies(plain):
    model, barrier, seen = plain().requires_grad_(False), Barrier(2), []
    own = model.blocks[0].mlp.fc1.weight

    def work(first):
        with cast_once(model, "bf16"), cast_once(model, "bf16"):
            barrier.wait()
            seen.append(model.blocks[0].mlp.fc1.weight)
            barrier.wait()
            if first:
                barrier.wait()
                seen.append(model.blocks[0].mlp.fc1.weight)  # the other thread has left
        if not first:
            barrier.wait()

    threads = [Thread(target=work, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 3
    assert all(weight is seen[0] and weight.dtype == torch.bfloat16 for weight in seen)
    assert model.blocks[0].mlp.fc1.weight is own


@pytest.mark.parametrize("trainable", sweep(["modules", "biases", "all"]))
def test_a_training_ends_with_the_same_weights(
    plain, default_space, randomised, toy, preprocessing, trainable, monkeypatch
):
    def run():
        network = randomised(plain(), default_space.largest())
        train(
            network,
            *toy,
            preprocessing=preprocessing,
            chooser=Constant(default_space.largest()),
            recipe=Recipe(epochs=2, lr=1e-3, batch_size=20),
            seed=0,
            trainable=trainable,
            execution=Execution("bf16"),
        )
        losses = evaluate(network, *toy, preprocessing=preprocessing, precision="bf16").losses
        return copy.deepcopy(network.state_dict()), losses

    cast, losses = run()
    monkeypatch.setattr("supernet.frozen_weights._replaced", lambda backbone: [])
    plainly, same = run()
    assert all(torch.equal(value, cast[name]) for name, value in plainly.items())
    assert torch.equal(losses, same)
