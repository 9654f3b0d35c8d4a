"""LoRA that starts from activations has the leading singular vectors of its projection's inputs."""

import pytest
import torch

from search_spaces import Architecture
from supernet import Supernet, activation_start
from supernet.activation_start import start_from_activations
from supernet.backbones import weights_digest
from supernet.modules import ELASTIC

LORA = ["lora_rank", "lora_rank_k", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2"]
MIXED = Architecture.of(2, dict.fromkeys(LORA, (3, 1)) | {"adapter_dim": (2, 2)})


def inputs_of(vit, images):
    """The inputs of each projection of timm's own forward pass, a row for each token."""
    found, handles = {}, []
    for i, block in enumerate(vit.blocks):
        linear = {"qkv": block.attn.qkv, "proj": block.attn.proj, "fc1": block.mlp.fc1, "fc2": block.mlp.fc2}
        for place, layer in linear.items():

            def remember(_, args, key=(i, place)):
                found[key] = args[0].flatten(0, 1)

            handles.append(layer.register_forward_pre_hook(remember))
    vit(images)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def test_rows_are_the_leading_right_singular_vectors(plain, toy, preprocessing):
    vit, (images, _) = plain(), toy
    network = Supernet(vit, MIXED, 5, seed=3)
    before = {name: value.clone() for name, value in network.layers.named_parameters()}
    start_from_activations(network, images, preprocessing, batch_size=16)
    inputs = inputs_of(vit, preprocessing.normalise(images))
    for i, modules in enumerate(network.layers):
        for kind, module in modules.items():
            if kind == "adapter_dim":
                assert torch.equal(module.down, before[f"{i}.{kind}.down"])
                continue
            _, _, vectors = torch.linalg.svd(inputs[i, module.places[0]].double(), full_matrices=False)
            cosines = (module.down.double() * vectors[: module.capacity]).sum(1)
            torch.testing.assert_close(cosines.abs(), torch.ones_like(cosines), atol=1e-4, rtol=0)
            assert (module.down.gather(1, module.down.abs().argmax(1, keepdim=True)) > 0).all()
            assert not module.up.any()


def test_it_starts_with_the_pretrained_function_and_draws_nothing(plain, toy, preprocessing, pixels):
    vit, (images, _) = plain(), toy
    digest, state = weights_digest(vit), torch.get_rng_state()
    networks = [Supernet(vit, MIXED, 5, seed=3) for _ in range(2)]
    for network in networks:
        start_from_activations(network, images, preprocessing)
    with torch.no_grad():
        expected = networks[0](pixels, Architecture.empty(2))
        torch.testing.assert_close(networks[0](pixels), expected, atol=1e-5, rtol=0)
    assert weights_digest(networks[0].layers) == weights_digest(networks[1].layers)
    assert weights_digest(vit) == digest
    assert torch.equal(torch.get_rng_state(), state)


def test_at_most_so_many_images_are_read_evenly(plain, toy, preprocessing, monkeypatch):
    monkeypatch.setattr(activation_start, "MOST_IMAGES", 15)
    vit, (images, _) = plain(), toy
    few, third = (Supernet(vit, Architecture.uniform(2, "lora_rank", 2), 5) for _ in range(2))
    start_from_activations(few, images, preprocessing)
    monkeypatch.undo()
    start_from_activations(third, images[::3], preprocessing)
    assert weights_digest(few.layers) == weights_digest(third.layers)


@pytest.mark.parametrize("rank", [32, 40])
def test_ranks_beyond_the_inputs_keep_their_values(plain, toy, preprocessing, rank):
    network = Supernet(plain(), Architecture.of(2, {"lora_rank": (rank, 0)}), 5)
    module = network.layers[0]["lora_rank"]
    before = module.down.detach().clone()
    start_from_activations(network, toy[0][:4], preprocessing)
    assert torch.equal(module.down[32:], before[32:])
    torch.testing.assert_close(module.down[:32] @ module.down[:32].T, torch.eye(32), atol=1e-4, rtol=0)
    assert isinstance(module, ELASTIC["lora_rank"])
