"""Creating backbones: by name, from files, and the ones that are refused."""

import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from sweep import sweep
from timm.layers import Attention
from timm.models.eva import EvaBlock

from search_spaces import InputError
from supernet import create_backbone, random_backbone
from supernet.backbones import require_supported, weights_digest

pytestmark = pytest.mark.slow

NAME = "vit_micro_patch8_32"


@pytest.fixture
def offline(monkeypatch):
    """Any attempt to fetch weights is an error of the test."""

    def fetch(*args, **kwargs):
        raise AssertionError("weights were fetched")

    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "download_cached_file"):
        monkeypatch.setattr(f"timm.models._builder.{name}", fetch)


def refused(name, weights=None):
    with pytest.raises(InputError) as caught:
        create_backbone(name, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_random_weights_are_frozen_and_reproducible():
    before = torch.get_rng_state()
    first, same, other = (random_backbone(NAME, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.digest == same.digest != other.digest
    assert (first.name, first.weights, first.width, first.depth) == (NAME, "random", 128, 8)
    assert first.params == sum(p.numel() for p in first.model.parameters())
    assert not any(p.requires_grad for p in first.model.parameters())
    assert not any(m.training for m in first.model.modules())


def test_creating_a_backbone_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    backbone = create_backbone(NAME)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert not backbone.model.training
    assert backbone.digest == create_backbone(NAME).digest == weights_digest(backbone.model)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vit_base_patch16_244", "vit_base_patch16_224"),
        ("vit_micro", NAME),
        ("deit_smal_patch16_224", "deit_small_patch16_224"),
        ("zzz", NAME),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, near, offline):
    message = refused(name)
    assert f"unknown backbone '{name}'" in message
    assert near in message
    with pytest.raises(InputError, match=f"unknown backbone '{name}'"):
        random_backbone(name, 0)


def test_an_unknown_tag_lists_the_tags(offline):
    message = refused("vit_tiny_patch16_224.agreg_in21k")
    assert "did you mean 'vit_tiny_patch16_224.augreg_in21k'" in message


@pytest.mark.parametrize(
    ("name", "found"),
    sweep(
        [
            ("swin_tiny_patch4_window7_224", "is a SwinTransformer"),
            ("resnet18", "is a ResNet"),
            ("cait_xxs24_224", "is a Cait"),
            ("vit_relpos_small_patch16_224", "is a VisionTransformerRelPos"),
            ("vit_base_patch16_xp_224", "has blocks of type ParallelScalingBlock"),
            ("vit_small_patch16_18x2_224", "has blocks of type ParallelThingsBlock"),
            ("vit_base_patch16_rpn_224", "has blocks of type ResPostBlock"),
            ("vit_dwee_patch16_reg1_gap_256", "has attention of type DiffAttention"),
            ("vitamin_small_224", "has MLPs of type GeGluMlp"),
        ],
        2,
    ),
)
def test_an_unsupported_model_is_refused_before_anything_is_fetched(name, found, offline):
    message = refused(name)
    assert f"backbone '{name}' {found}, which is not supported; supported: timm's pre-norm Vision" in message
    with pytest.raises(InputError, match="not supported"):
        random_backbone(name, 0)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"use_post_norm": True}, "has blocks of type EvaBlockPostNorm"),
        ({"attn_type": "rope", "qkv_fused": False, "num_kv_heads": 2}, "has grouped-query attention"),
        ({"num_heads": (4, 2)}, "has layers of different shapes"),
    ],
)
def test_an_unsupported_eva_is_refused(changes, found):
    heads = changes.pop("num_heads", 4)
    model = timm.create_model(
        "eva_giant_patch14_224", img_size=28, embed_dim=32, depth=2, num_heads=4, num_classes=0, **changes
    )
    if heads == (4, 2):
        model.blocks[1] = EvaBlock(32, 4, mlp_ratio=2, attn_head_dim=8)
    with pytest.raises(InputError, match=f"'mine' {found}, which is not supported"):
        require_supported(model, "mine")


class OtherAttention(Attention):
    pass


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda block: setattr(block, "attn", OtherAttention(128, 4)),
            "has attention of type OtherAttention",
        ),
        (lambda block: setattr(block.attn, "gate", torch.nn.Linear(128, 128)), "has gated attention"),
    ],
)
def test_other_attention_is_refused_in_any_layer(change, found):
    model = timm.create_model(NAME, pretrained=False)
    require_supported(model, NAME)
    change(model.blocks[5])
    with pytest.raises(InputError, match=f"'{NAME}' {found}, which is not supported; supported: timm"):
        require_supported(model, NAME)


def test_a_model_that_timm_cannot_build_is_refused(monkeypatch):
    def broken(name, **kwargs):
        raise TypeError("no such argument")

    monkeypatch.setattr("timm.create_model", broken)
    assert "'resnet18' cannot be built (no such argument); supported: timm" in refused("resnet18")


def test_a_name_without_pretrained_weights_asks_for_a_file(offline):
    message = refused("vit_gigantic_patch14_224")
    assert "'vit_gigantic_patch14_224' has no pretrained weights in timm; give a file with" in message
    assert "--backbone-weights, or a name that has some: vit_" in message


@pytest.mark.thorough
@pytest.mark.slow
def test_without_a_network_it_asks_for_a_file_and_does_not_hang(tmp_path):
    code = """
import sys, time, supernet
started = time.perf_counter()
try:
    supernet.create_backbone("vit_tiny_patch16_224")
except supernet.backbones.InputError as error:
    print(error)
    sys.exit(time.perf_counter() - started > 30)
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, (done.stdout, done.stderr, time.perf_counter() - started)
    assert "'vit_tiny_patch16_224': its weights are not on this" in done.stdout
    assert "https://huggingface.co cannot be reached" in done.stdout
    assert "check the network, or give a local file with --backbone-weights" in done.stdout


@pytest.fixture(scope="module")
def state():
    """A state dict with a classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model(NAME, pretrained=False, num_classes=7).state_dict()


def without_head(state):
    return {k: v for k, v in state.items() if not k.startswith("head.")}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
@pytest.mark.parametrize("wrapper", sweep([None, "state_dict", "model"]))
def test_a_file_loads_and_its_classifier_is_ignored(tmp_path, state, suffix, wrapper):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    backbone = create_backbone(NAME, path)
    assert backbone.weights == f"mine{suffix}"
    loaded, expected = backbone.model.state_dict(), without_head(state)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[k], expected[k]) for k in loaded)
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert not backbone.model.training


def test_the_digest_tells_every_weight_apart(tmp_path, state):
    save_file(state, tmp_path / "one.safetensors")
    one = create_backbone(NAME, tmp_path / "one.safetensors")
    renamed = (tmp_path / "one.safetensors").rename(tmp_path / "two.safetensors")
    assert create_backbone(NAME, renamed).digest == one.digest
    for key in ("pos_embed", "blocks.7.mlp.fc2.bias", "patch_embed.proj.weight"):
        value = one.model.state_dict()[key]
        kept = value.flatten()[0].item()
        value.view(-1)[0] = kept + 1e-3
        assert weights_digest(one.model) != one.digest
        value.view(-1)[0] = kept
    assert weights_digest(one.model) == one.digest


def test_a_missing_file(tmp_path, offline):
    assert "missing.pth'; give a .safetensors or torch file" in refused(NAME, tmp_path / "missing.pth")
    assert "no backbone weights" in refused(NAME, tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    sweep(
        [
            (
                lambda s: {k: v for k, v in s.items() if "blocks.3" not in k},
                "missing blocks.3.attn.proj.bias",
            ),
            (lambda s: s | {"stranger": torch.zeros(1)}, "unknown stranger"),
            (lambda s: s | {"norm.weight": torch.zeros(5)}, "of another shape norm.weight"),
            (
                lambda s: s | {"blocks.0.attn.qkv.weight": torch.zeros(5, 5)},
                "of another shape blocks.0.attn.qkv",
            ),
            (lambda s: s | {"pos_embed": torch.zeros(1, 7, 128)}, "does not fit"),
            (lambda s: {"x": torch.zeros(1)}, "missing blocks.0.attn.proj.bias, "),
        ],
        2,
    ),
)
def test_a_file_that_does_not_fit(tmp_path, state, change, found):
    save_file(change(state), tmp_path / "odd.safetensors")
    message = refused(NAME, tmp_path / "odd.safetensors")
    assert f"odd.safetensors' does not fit backbone '{NAME}': " in message
    assert found in message


@pytest.mark.parametrize("content", [torch.zeros(2), [1, 2], {1: torch.zeros(1)}])
def test_a_torch_file_without_names(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    assert "odd.pth' holds no tensors by name" in refused(NAME, tmp_path / "odd.pth")


def test_values_that_are_no_tensors(tmp_path, state):
    torch.save(state | {"norm.weight": 3}, tmp_path / "odd.pth")
    assert "of another shape norm.weight" in refused(NAME, tmp_path / "odd.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_that_is_neither(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("not weights")
    message = refused(NAME, path)
    assert f"text{suffix}'" in message
    assert "safetensors" in message if suffix == ".safetensors" else "torch file of tensors" in message


class Malicious:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return Path.write_text, (self.victim, "executed")


@pytest.mark.parametrize("old_format", [False, True])
def test_a_torch_file_that_would_run_code_is_refused(tmp_path, state, old_format):
    victim, path = tmp_path / "victim", tmp_path / "evil.pth"
    torch.save(
        state | {"norm.weight": Malicious(victim)}, path, _use_new_zipfile_serialization=not old_format
    )
    assert zipfile.is_zipfile(path) is not old_format
    # the file is dangerous: a loader that unpickles does run it
    torch.load(path, weights_only=False)
    assert victim.read_text() == "executed"
    victim.unlink()
    assert "evil.pth' cannot be opened as a torch file of tensors" in refused(NAME, path)
    assert not victim.exists()


def test_position_embeddings_of_another_size_are_resized(tmp_path, state):
    with torch.random.fork_rng(devices=[]):
        larger = timm.create_model(NAME, pretrained=False, num_classes=0, img_size=64).state_dict()
    save_file(larger, tmp_path / "larger.safetensors")
    assert create_backbone(NAME, tmp_path / "larger.safetensors").model.pos_embed.shape == (1, 16, 128)


@pytest.mark.thorough
def test_layer_scales_under_their_old_names_load(tmp_path):
    """As in the files of the DeiT-3 authors."""
    name = "deit3_small_patch16_224"
    with torch.random.fork_rng(devices=[]):
        own = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
    old = {k.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): v for k, v in own.items()}
    old["blocks.2.gamma_1"] = torch.full_like(old["blocks.2.gamma_1"], 0.25)
    save_file(old, tmp_path / "deit3.safetensors")
    assert create_backbone(name, tmp_path / "deit3.safetensors").model.blocks[2].ls1.gamma[0] == 0.25
