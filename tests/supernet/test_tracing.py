"""A traced subnet computes the same for batches of any size."""

import pytest
import timm
import torch

from search_spaces import Architecture
from supernet import Supernet
from supernet.tracing import traced

pytestmark = pytest.mark.thorough

SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
EVERY_KIND = {
    "prompt_tokens": (2, 0),
    "shallow_prompt_tokens": (2, 0),
    "lora_rank_pos": (1, 0),
    "lora_rank": (1, 0),
    "adapter_dim": (0, 2),
    "adapter_dim_attention": (2, 0),
    "adapter_dim_plus": (0, 2),
    "adapter_dim_pre_attention": (2, 0),
    "adapter_dim_pre_mlp": (0, 2),
    "convpass_dim_attention": (2, 0),
    "convpass_dim_mlp": (0, 2),
    "dora_rank": (0, 2),
    "fact_rank": (2, 0),
    "rep_dim_attention": (3, 0),
    "rep_dim_mlp": (0, 3),
    "ssf": (0, 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_base_patch16_224", "beit_base_patch16_224"])
def test_a_program_of_every_kind_of_module(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=0, **SHAPE).eval()
        network = Supernet(model, Architecture.of(2, EVERY_KIND), 5).eval()
        for value in network.layers.parameters():
            torch.nn.init.normal_(value, std=0.1)
    program = traced(network, (32, 32)).module()
    for batch in (1, 2, 7):
        images = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            torch.testing.assert_close(program(images), network(images), atol=1e-5, rtol=0)
    with pytest.raises(AssertionError, match="size"):
        program(torch.zeros(1, 3, 48, 48))
