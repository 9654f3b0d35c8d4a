"""A subnet without modules left, loaded by timm itself."""

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file

from search_spaces import Architecture, InputError
from supernet.merging import merged
from supernet.plain_state import plain_state, with_head

LORA = [f"lora_rank{part}" for part in ("", "_q", "_k", "_v", "_proj", "_fc1", "_fc2")]
ALL_LORA = Architecture.of(2, dict.fromkeys(LORA, (2, 3)))


@torch.no_grad()
def test_timm_loads_it_into_a_new_model_of_every_family(vit, randomised, images):
    subnet = randomised(vit, ALL_LORA)
    state = plain_state(merged(subnet), vit)
    fresh = with_head(rebuilt(vit), torch.nn.Linear(vit.embed_dim, subnet.num_classes))
    assert fresh.load_state_dict(state).missing_keys == []
    torch.testing.assert_close(fresh(images), subnet(images), atol=1e-5, rtol=0)


def rebuilt(vit):
    """Another model of the same class, with other values."""
    model = copy.deepcopy(vit)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    return model


@torch.no_grad()
def test_timm_reads_the_file_by_checkpoint_path(plain, randomised, pixels, tmp_path):
    vit = plain()
    subnet = randomised(vit, Architecture.of(2, {"lora_rank": (2,) * 2, "ssf": (6,) * 2}))
    save_file(plain_state(merged(subnet), vit), tmp_path / "vit.safetensors")
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    model = timm.create_model(
        "vit_base_patch16_224", num_classes=5, checkpoint_path=str(tmp_path / "vit.safetensors"), **shape
    ).eval()
    torch.testing.assert_close(model(pixels), subnet(pixels), atol=1e-5, rtol=0)


def test_a_module_that_remains_is_named(plain, randomised):
    vit = plain()
    subnet = randomised(vit, Architecture.of(2, {"prompt_tokens": (0, 1), "lora_rank": (1,) * 2}))
    with pytest.raises(
        InputError, match="VPT cannot be merged into the weights; use the subnet with its mod"
    ):
        plain_state(merged(subnet), vit)


def test_a_bias_that_timm_s_class_does_not_have_is_refused(randomised):
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    vit = timm.create_model("vit_base_patch16_224", num_classes=0, qkv_bias=False, **shape)
    subnet = randomised(vit, Architecture.of(2, {"ssf": (0, 6)}))
    with pytest.raises(
        InputError, match=r"other parameters than this timm model .*blocks.1.attn.qkv.bias.*;"
    ):
        plain_state(merged(subnet), vit)
