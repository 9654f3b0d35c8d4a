"""Each subnet on the backbone weights that it was trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from nas_peft.prediction.models import load_models
from search_spaces import Architecture, InputError
from supernet import Backbone, Preprocessing, Subnet, Supernet, create_backbone, random_backbone, save_subnet


def saved(backbone: Backbone, file: Path) -> Path:
    network = Supernet(backbone.model, Architecture.uniform(8, "lora_rank", 1), 3, seed=5).eval()
    save_subnet(Subnet(network, backbone, ("a", "b", "c"), Preprocessing.of(backbone.model), {}, {}), file)
    return file


@pytest.fixture
def weights(tmp_path: Path) -> list[Path]:
    """Two files of weights of the shipped architecture."""
    files = [tmp_path / "one.pt.safetensors", tmp_path / "two.pt.safetensors"]
    for seed, file in enumerate(files):
        save_file(random_backbone("vit_micro_patch8_32", seed).model.state_dict(), file)
    return files


def test_subnets_of_one_backbone_share_it(backbone: Backbone, tmp_path: Path):
    files = [saved(backbone, tmp_path / name) for name in ("one.safetensors", "two.safetensors")]
    first, second = load_models(files)
    assert (first.name, second.name) == tuple(map(str, files))
    assert first.subnet.backbone is second.subnet.backbone


def test_each_subnet_takes_the_weights_that_it_was_trained_on(
    backbone: Backbone, weights: list[Path], tmp_path: Path
):
    """In any order and under other names; a subnet of timm's own weights takes none of them."""
    trained_on = [create_backbone("vit_micro_patch8_32", file) for file in weights]
    files = [saved(own, tmp_path / f"{i}.safetensors") for i, own in enumerate((*trained_on, backbone))]
    moved = weights[0].rename(tmp_path / "moved.safetensors")
    models = load_models(files, backbone_weights=[weights[1], moved])
    assert [m.subnet.backbone.digest for m in models] == [b.digest for b in (*trained_on, backbone)]
    assert [m.subnet.backbone.weights for m in models] == ["moved.safetensors", weights[1].name, "timm"]


@pytest.mark.thorough
def test_weights_that_no_file_has_are_named(weights: list[Path], tmp_path: Path, backbone: Backbone):
    own = create_backbone("vit_micro_patch8_32", weights[0])
    file = saved(own, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"weights in 'one.pt.safetensors'; give that file"):
        load_models([file])
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"none")
    with pytest.raises(InputError) as refused:
        load_models([file], backbone_weights=[weights[1], broken])
    assert "in 'one.pt.safetensors' (SHA-256" in str(refused.value)
    assert "two.pt.safetensors' has others" in str(refused.value)
    assert "broken.safetensors' is not a readable safetensors file" in str(refused.value)
    assert "\n" not in str(refused.value)
    copied = saved(replace(own, weights="timm"), tmp_path / "b.safetensors")
    assert load_models([copied], backbone_weights=weights)[0].subnet.backbone.digest == own.digest
