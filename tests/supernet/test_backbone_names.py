import pytest
import timm
import torch
from timm.models._hub import save_for_hf

from search_spaces import InputError
from supernet import create_backbone
from supernet.backbone_names import resolve_name

TODAY = "vit_tiny_patch16_224.augreg_in21k"


@pytest.mark.parametrize(
    "given", ["vit_tiny_patch16_224_in21k", f"hf-hub:timm/{TODAY}", f"hf_hub:timm/{TODAY}", f"timm/{TODAY}"]
)
def test_old_names_and_the_hub_s_are_those_of_today(given):
    resolved = resolve_name(given, "vit_micro_patch8_32")
    assert resolved.name == TODAY
    assert TODAY in resolved.note
    assert given in resolved.note


def test_another_owner_on_the_hub_is_left_to_timm():
    resolved = resolve_name("hf-hub:someone/their-vit", "vit_micro_patch8_32")
    assert (resolved.name, resolved.note, resolved.in_registry) == ("hf-hub:someone/their-vit", "", False)


def test_a_local_folder_brings_its_own_weights(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    save_for_hf(model, tmp_path / "local", safe_serialization=True)
    backbone = create_backbone(f"local-dir:{tmp_path / 'local'}", image_size=(32, 32))
    weight = backbone.model.state_dict()["blocks.3.mlp.fc1.weight"]
    assert torch.equal(weight, model.state_dict()["blocks.3.mlp.fc1.weight"])


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config.json"):
        resolve_name(f"local-dir:{tmp_path}", "vit_micro_patch8_32")


def test_the_home_folder_of_nobody_is_a_mistake_of_the_name():
    with pytest.raises(InputError, match="the home folder in it is not known on this machine"):
        resolve_name("local-dir:~nouser/model", "vit_micro_patch8_32")
