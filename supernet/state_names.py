"""Conversion of the tensor names in other projects' files to timm's."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

# A tensor that occurs exactly once per network in each naming scheme; the rest of its name is the prefix.
_ANCHORS = (
    "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embedding.weight",
    "visual.class_embedding",
    "visual.conv1.weight",
    "preprocessor.patchifier.proj.weight",
)
_LIKELY_FIRST = ("teacher", "target", "ema", "visual", "vision")
_KEPT_BY_TIMM = ("visual.trunk.", "vision_encoder.", "radio_model.")
"""Prefixes by which timm's own converters recognise a file's project."""

_HUGGING_FACE = (
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.class_embedding", "cls_token"),
    (r"embeddings\.(mask_token)", r"\1"),
    (r"embeddings\.(register_tokens)", r"\1"),
    (r"embeddings\.distillation_token", "dist_token"),
    (r"embeddings\.position_embeddings?(?:\.weight)?", "pos_embed"),
    (r"embeddings\.patch_embedd(?:ings\.projection|ing)\.(weight|bias)", r"patch_embed.proj.\1"),
    (r"pre_layrnorm\.(weight|bias)", r"norm_pre.\1"),
    (r"(?:post_layernorm|layernorm)\.(weight|bias)", r"norm.\1"),
)
_LAYER = re.compile(r"(?:encoder\.)?layers?\.(\d+)\.(.+)")
_IN_A_LAYER = (
    (r"(?:layernorm_before|layer_norm1|norm1)\.(.+)", r"norm1.\1"),
    (r"(?:layernorm_after|layer_norm2|norm2)\.(.+)", r"norm2.\1"),
    (r"(?:attention\.output\.dense|attention\.o_proj|self_attn\.out_proj)\.(.+)", r"attn.proj.\1"),
    (r"(?:intermediate\.dense|mlp\.fc1|mlp\.weights_in)\.(.+)", r"mlp.fc1.\1"),
    (r"(?:output\.dense|mlp\.fc2|mlp\.weights_out)\.(.+)", r"mlp.fc2.\1"),
    (r"layer_scale([12])\.lambda1", r"ls\1.gamma"),
    (r"(?:attention\.attention|attention|self_attn)\.(?:query|q_proj)\.(.+)", r"attn.q.\1"),
    (r"(?:attention\.attention|attention|self_attn)\.(?:key|k_proj)\.(.+)", r"attn.k.\1"),
    (r"(?:attention\.attention|attention|self_attn)\.(?:value|v_proj)\.(.+)", r"attn.v.\1"),
)


def without_prefix(state: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
    """One network's tensors without their common prefix, the prefix, and the number of tensors left out.

    Prefixes come from wrappers (``module.``, ``_orig_mod.``, ``model.``, ``backbone.``, ``encoder.`` and any
    others, also nested). From a file with several networks the teacher or the average is taken, else a vision
    tower, else the network with the shortest prefix.
    """
    for anchor in _ANCHORS:
        prefixes = [key.removesuffix(anchor) for key in state if key == anchor or key.endswith(f".{anchor}")]
        if prefixes:
            break
    else:
        return state, "", 0

    def rank(prefix: str) -> tuple[int, int]:
        likely = [i for i, word in enumerate(_LIKELY_FIRST) if word in prefix]
        return min(likely, default=len(_LIKELY_FIRST)), len(prefix)

    prefix = min(prefixes, key=rank)
    for known in _KEPT_BY_TIMM:
        prefix = prefix.removesuffix(known)
    if not prefix:
        return state, "", 0
    kept = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return kept, prefix, len(state) - len(kept)


def from_hugging_face(state: dict[str, Any]) -> dict[str, Any]:
    """Rename the tensors of ``transformers``' ViT, DeiT, DINOv2 and CLIP vision towers to timm's names.

    Separate queries, keys and values are concatenated. Tensors of other projects are returned unchanged.
    """
    if not any(key.startswith("embeddings.patch_embedding") for key in state):
        return state
    renamed: dict[str, Any] = {}
    for key, value in state.items():
        if key.endswith("position_ids"):
            continue
        name = _renamed(key)
        if name == "cls_token" and value.ndim == 1:  # CLIP's
            value = value[None, None]
        if name == "pos_embed" and value.ndim == 2:
            value = value[None]
        renamed[name] = value
    return _joined_attention(renamed)


def _renamed(key: str) -> str:
    if layer := _LAYER.fullmatch(key):
        for pattern, name in _IN_A_LAYER:
            if found := re.fullmatch(pattern, layer[2]):
                return f"blocks.{layer[1]}.{found.expand(name)}"
    for pattern, name in _HUGGING_FACE:
        if found := re.fullmatch(pattern, key):
            return found.expand(name)
    return key


def _joined_attention(state: dict[str, Any]) -> dict[str, Any]:
    joined = dict(state)
    for key in state:
        if found := re.fullmatch(r"(blocks\.\d+\.attn)\.q\.(weight|bias)", key):
            names = [f"{found[1]}.{part}.{found[2]}" for part in "qkv"]
            given = [state.get(name) for name in names]
            if all(isinstance(value, Tensor) for value in given):
                joined[f"{found[1]}.qkv.{found[2]}"] = torch.cat([v for v in given if v is not None])
                for name in names:
                    del joined[name]
    return joined
