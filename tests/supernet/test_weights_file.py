"""Weights as people have them: loaded right and said so, or refused with cause and remedy in one line."""

import argparse
import json
import re

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sweep import sweep

from search_spaces import InputError
from supernet import create_backbone
from supernet.state_names import from_hugging_face, is_of_head

pytestmark = pytest.mark.slow

NAME = "vit_tiny_patch16_224"
SIZE = (32, 32)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Weights with a classifier, of images of 32 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return timm.create_model(NAME, pretrained=False, img_size=32).state_dict()


def is_loaded(path, state) -> str:
    backbone = create_backbone(NAME, path, SIZE)
    loaded = backbone.model.state_dict()
    assert all(torch.equal(loaded[key], state[key].float()) for key in loaded)
    (remark,) = backbone.remarks
    return remark


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        create_backbone(NAME, path, SIZE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    sweep(
        [
            "module.",
            "_orig_mod.",
            "model.",
            "backbone.",
            "encoder.",
            "module._orig_mod.backbone.",
            "visual.trunk.",
        ],
        2,
    ),
)
def test_prefixes_come_off(tmp_path, state, prefix):
    named = {f"{prefix}{key}": value for key, value in state.items()} | {"loss.weight": torch.zeros(2)}
    save_file(named, tmp_path / "w.safetensors")
    remark = is_loaded(tmp_path / "w.safetensors", state)
    assert re.search(r"150 tensors matched, of these resampled 0; left out", remark)


def test_the_teacher_is_taken_before_the_student(tmp_path, state):
    student = {f"student.backbone.{key}": torch.zeros_like(value) for key, value in state.items()}
    teacher = {f"teacher.backbone.{key}": value for key, value in state.items()}
    save_file(student | teacher, tmp_path / "w.safetensors")
    assert "(teacher.backbone): 150" in is_loaded(tmp_path / "w.safetensors", state)


@pytest.mark.parametrize("wrapper", sweep(["model_state_dict", "teacher", "module", "state_dict_ema"]))
def test_wrappers_are_opened(tmp_path, state, wrapper):
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, wrapper: state}, tmp_path / "w.pth")
    assert f"({wrapper})" in is_loaded(tmp_path / "w.pth", state)


@pytest.mark.parametrize("kind", sweep([torch.float16, torch.bfloat16, torch.float64]))
def test_other_precisions_are_converted(tmp_path, state, kind):
    given = {key: value.to(kind) for key, value in state.items()}
    save_file(given, tmp_path / "w.safetensors")
    is_loaded(tmp_path / "w.safetensors", given)


def as_hugging_face(state: dict[str, torch.Tensor], *, joined: bool) -> dict[str, torch.Tensor]:
    """timm's ViT weights under the names of ``transformers`` 4 (``joined``: 5)."""
    names = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj" if joined else "attention.output.dense",
        "mlp.fc1": "mlp.fc1" if joined else "intermediate.dense",
        "mlp.fc2": "mlp.fc2" if joined else "output.dense",
        "head": "classifier",
    }
    parts = ("q_proj", "k_proj", "v_proj") if joined else ("query", "key", "value")
    within, layers = ("attention", "layers") if joined else ("attention.attention", "encoder.layer")
    found = {}
    for key, value in state.items():
        layer = re.match(r"blocks\.(\d+)\.(.+)\.(weight|bias)", key)
        if layer and layer[2] == "attn.qkv":
            for part, third in zip(parts, value.chunk(3), strict=True):
                found[f"vit.{layers}.{layer[1]}.{within}.{part}.{layer[3]}"] = third.clone()
        elif layer:
            found[f"vit.{layers}.{layer[1]}.{names[layer[2]]}.{layer[3]}"] = value
        else:
            base, _, last = key.rpartition(".")
            name = {"norm": "layernorm"}.get(base) or names.get(base) or names[key]
            prefix = "" if name == "classifier" else "vit."
            found[f"{prefix}{name}.{last}" if base else f"{prefix}{name}"] = value
    return found


@pytest.mark.parametrize("joined", [False, True])
def test_keys_without_a_bias_have_one_of_zero(tmp_path, state, joined):
    part = "k_proj.bias" if joined else "key.bias"
    named = as_hugging_face(state, joined=joined)
    save_file({key: v for key, v in named.items() if not key.endswith(part)}, tmp_path / "model.safetensors")
    expected = dict(state)
    for key in [key for key in state if key.endswith("attn.qkv.bias")]:
        queries, keys, values = state[key].chunk(3)
        expected[key] = torch.cat([queries, torch.zeros_like(keys), values])
    is_loaded(tmp_path, expected)


@pytest.mark.parametrize("joined", [False, True])
def test_the_names_of_transformers_are_mapped(tmp_path, state, joined):
    save_file(as_hugging_face(state, joined=joined), tmp_path / "model.safetensors")
    assert "150 tensors matched" in is_loaded(tmp_path, state)


def test_the_names_of_clip_are_mapped():
    given = {
        "embeddings.class_embedding": torch.zeros(4),
        "embeddings.patch_embedding.weight": torch.zeros(4, 3, 2, 2),
        "embeddings.position_embedding.weight": torch.zeros(5, 4),
        "embeddings.position_ids": torch.arange(5),
        "pre_layrnorm.weight": torch.zeros(4),
        "encoder.layers.0.self_attn.q_proj.bias": torch.full((4,), 1.0),
        "encoder.layers.0.self_attn.k_proj.bias": torch.full((4,), 2.0),
        "encoder.layers.0.self_attn.v_proj.bias": torch.full((4,), 3.0),
        "encoder.layers.0.self_attn.out_proj.bias": torch.zeros(4),
        "encoder.layers.0.layer_norm1.bias": torch.zeros(4),
        "post_layernorm.bias": torch.zeros(4),
    }
    found = from_hugging_face(given)
    assert found.keys() == {
        *("cls_token", "pos_embed", "patch_embed.proj.weight", "norm_pre.weight", "norm.bias"),
        *("blocks.0.attn.qkv.bias", "blocks.0.attn.proj.bias", "blocks.0.norm1.bias"),
    }
    assert (found["cls_token"].shape, found["pos_embed"].shape) == ((1, 1, 4), (1, 5, 4))
    assert found["blocks.0.attn.qkv.bias"].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_another_grid_of_positions_is_resampled_and_said(tmp_path):
    with torch.random.fork_rng(devices=[]):
        larger = timm.create_model(NAME, pretrained=False, img_size=64).state_dict()
    save_file(larger, tmp_path / "w.safetensors")
    (remark,) = create_backbone(NAME, tmp_path / "w.safetensors", SIZE).remarks
    assert "resampled 1 (pos_embed); left out 2 (head.bias, head.weight)" in remark


def test_shards_of_a_folder_are_joined(tmp_path, state):
    names = sorted(state)
    weight_map = {}
    for number, keys in enumerate((names[:60], names[60:])):
        save_file({key: state[key] for key in keys}, tmp_path / f"part{number}.safetensors")
        weight_map |= dict.fromkeys(keys, f"part{number}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    is_loaded(tmp_path, state)


def test_more_layers_than_the_backbone_has_are_refused(tmp_path, state):
    more = state | {key.replace("blocks.0", "blocks.12"): v for key, v in state.items() if "blocks.0" in key}
    save_file({key: value.clone() for key, value in more.items()}, tmp_path / "w.safetensors")
    assert "unknown blocks.12" in refusal(tmp_path / "w.safetensors")


def test_a_foreign_object_is_named_with_the_remedy(tmp_path, state):
    torch.save({"model": state, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    message = refusal(tmp_path / "w.pth")
    assert "it holds an object of argparse.Namespace" in message
    assert "save its weights alone" in message


def test_values_that_are_not_finite_are_refused(tmp_path, state):
    save_file(state | {"norm.bias": torch.full((192,), np.nan)}, tmp_path / "w.safetensors")
    assert "norm.bias holds values that are not finite" in refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("content", "cause"),
    sweep(
        [
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"", "is empty"),
            (b"<!DOCTYPE html>", "is a web page"),
            (b"\x89HDF\r\n", "is an HDF5 file"),
            (b"PK\x03\x04 cut off", "cut off or damaged"),
            (b"\x1f\x8b packed", "is a packed archive"),
            (b"PK\5\6" + bytes(18), "is a zip archive and no torch file"),
            (b"some text", "no file of torch tensors"),
        ],
        2,
    ),
)
@pytest.mark.parametrize("suffix", sweep(["pth", "safetensors"]))
def test_what_holds_no_weights_is_called_so(tmp_path, content, cause, suffix):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    message = refusal(tmp_path / f"w.{suffix}")
    assert cause in message or (suffix == "safetensors" and "not a readable safetensors file" in message)


def test_arrays_of_numpy_are_called_so(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.zeros(2))
    assert "is an archive of NumPy arrays" in refusal(tmp_path / "w.npz")


def test_a_pickled_model_is_refused_with_its_remedy(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    assert "torch.load(FILE, weights_only=False).state_dict()" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize("key", ["base_model.model.a.lora_A.weight", "blocks.0.attn.qkv.base_layer.weight"])
def test_adapters_of_peft_are_called_so(tmp_path, state, key):
    save_file(state | {key: torch.zeros(2)}, tmp_path / "w.safetensors")
    assert "model.merge_and_unload()" in refusal(tmp_path / "w.safetensors")


def test_quantised_weights_are_called_so(tmp_path, state):
    save_file(state | {"norm.bias": torch.zeros(192, dtype=torch.int8)}, tmp_path / "w.safetensors")
    assert "norm.bias holds whole numbers (type int8)" in refusal(tmp_path / "w.safetensors")


def test_blocks_in_chunks_are_counted_through(tmp_path, state):
    """DINOv2's own checkpoints have four chunks of blocks."""
    pattern = re.compile(r"blocks\.(\d+)\.")
    chunked = {pattern.sub(lambda f: f"blocks.{int(f[1]) // 4}.{f[1]}.", key): v for key, v in state.items()}
    torch.save({"teacher": {f"backbone.{key}": value for key, value in chunked.items()}}, tmp_path / "w.pth")
    is_loaded(tmp_path / "w.pth", state)


@pytest.mark.parametrize("mlp", [("0", "3"), ("linear_1", "linear_2")])
def test_the_names_of_torchvision_are_mapped(tmp_path, state, mlp):
    names = {
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "patch_embed.proj": "conv_proj",
        "norm": "encoder.ln",
        "head": "heads.head",
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.proj": "self_attention.out_proj",
        "mlp.fc1": f"mlp.{mlp[0]}",
        "mlp.fc2": f"mlp.{mlp[1]}",
    }

    def named(key: str) -> str:
        if layer := re.fullmatch(r"blocks\.(\d+)\.(.+)", key):
            below = layer[2].replace("attn.qkv.", "self_attention.in_proj_")
            return f"encoder.layers.encoder_layer_{layer[1]}.{other(below)}"
        return other(key)

    def other(key: str) -> str:
        stem, dot, last = key.rpartition(".")
        return names.get(key) or (names.get(stem, stem) + dot + last)

    torch.save({f"module.{named(key)}": value for key, value in state.items()}, tmp_path / "w.pth")
    is_loaded(tmp_path / "w.pth", state)


@pytest.mark.parametrize("head", ["my_classifier.0.weight", "fc1.bias", "cls_head.weight", "linear.weight"])
def test_a_foreign_head_is_left_out_and_said(tmp_path, state, head):
    save_file(state | {head: torch.zeros(3)}, tmp_path / "w.safetensors")
    assert head in is_loaded(tmp_path / "w.safetensors", state)


@pytest.mark.parametrize("key", ["fc_norm.weight", "cls_token2", "stranger.weight", "head_norm.weight"])
def test_what_may_change_the_features_is_not_taken_for_a_head(key):
    assert not is_of_head(key)


def test_a_wrapper_of_any_name_is_opened_and_another_network_is_named(tmp_path, state):
    torch.save({"my_vit": state, "epoch": 3, "optimizer": {"exp_avg": torch.zeros(2)}}, tmp_path / "w.pth")
    assert "(my_vit): 150" in is_loaded(tmp_path / "w.pth", state)
    torch.save({"model": state, "model_swa": state}, tmp_path / "w.pth")
    assert "not read: model_swa in the same file" in is_loaded(tmp_path / "w.pth", state)
    torch.save({"one": state, "other": state}, tmp_path / "w.pth")
    assert "holds several networks, one, other; save the one" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda value: value.to("meta"), "holds no values"),
        (lambda value: value.to_sparse(), "holds a sparse tensor; save it with to_dense()"),
        (lambda value: value.to(torch.complex64), "holds complex numbers (type complex64)"),
    ],
)
def test_tensors_that_are_no_weights_are_called_so(tmp_path, state, change, cause):
    torch.save(state | {"norm.bias": change(state["norm.bias"])}, tmp_path / "w.pth")
    assert f"norm.bias {cause}" in refusal(tmp_path / "w.pth")


def test_weights_of_eight_bits_are_loaded(tmp_path, state):
    eight = {key: value.to(torch.float8_e4m3fn) for key, value in state.items()}
    save_file(eight, tmp_path / "w.safetensors")
    is_loaded(tmp_path / "w.safetensors", eight)
