"""Conversion of the tensor names in other projects' files to timm's."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    "conv_proj.weight",
)
_ANCHOR_ENDS = tuple(f".{anchor}" for anchor in _ANCHORS)
_HEAD = re.compile(
    r"(?:^|_)(?:heads?|cls|class|classif\w*|fc|linear|logits?|outputs?|out|final|pred\w*|arcface)\d*(?:_|$)"
)
_NO_HEAD = re.compile(r"norm|token|embed|patch|pos|block|attn|gamma|scale")  # these change the features
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

_TORCHVISION = (
    (r"class_token", "cls_token"),
    (r"conv_proj\.(.+)", r"patch_embed.proj.\1"),
    (r"encoder\.pos_embedding", "pos_embed"),
    (r"encoder\.ln\.(.+)", r"norm.\1"),
    (r"heads\.(.+)", r"head.\1"),
)
_TORCHVISION_LAYER = re.compile(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)")
_IN_TORCHVISIONS = (
    (r"ln_([12])\.(.+)", r"norm\1.\2"),
    (r"self_attention\.in_proj_(weight|bias)", r"attn.qkv.\1"),
    (r"self_attention\.out_proj\.(.+)", r"attn.proj.\1"),
    (r"mlp\.(?:0|linear_1)\.(.+)", r"mlp.fc1.\1"),
    (r"mlp\.(?:3|linear_2)\.(.+)", r"mlp.fc2.\1"),
)
_CHUNKED = re.compile(r"blocks\.\d+\.(\d+)\.(.+)")


def holds_network(state: object) -> bool:
    """Whether ``state`` maps names to tensors, and one of the names is that of a ViT's patch embedding."""
    return isinstance(state, dict) and any(
        isinstance(key, str) and isinstance(value, Tensor) and f".{key}".endswith(_ANCHOR_ENDS)
        for key, value in state.items()
    )


def is_of_head(key: str) -> bool:
    """Whether the first word of a tensor's name is one that projects give to a classifier of their own."""
    first = key.partition(".")[0].casefold()
    return _HEAD.search(first) is not None and _NO_HEAD.search(first) is None


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


def with_timm_names(state: dict[str, Any]) -> dict[str, Any]:
    """Rename the tensors of ``transformers``, of torchvision's ViT, and of DINOv2's blocks in chunks."""
    if "conv_proj.weight" in state:
        return {_of_torchvision(key): value for key, value in state.items()}
    if any(_CHUNKED.fullmatch(key) for key in state):
        return {_CHUNKED.sub(r"blocks.\1.\2", key): value for key, value in state.items()}
    return from_hugging_face(state)


def _of_torchvision(key: str) -> str:
    if layer := _TORCHVISION_LAYER.fullmatch(key):
        return f"blocks.{layer[1]}.{_first(_IN_TORCHVISIONS, layer[2]) or layer[2]}"
    return _first(_TORCHVISION, key) or key


def _first(patterns: Sequence[tuple[str, str]], key: str) -> str | None:
    """The name by the first pattern that fits all of the key."""
    for pattern, name in patterns:
        if found := re.fullmatch(pattern, key):
            return found.expand(name)
    return None


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
    layer = _LAYER.fullmatch(key)
    if layer and (name := _first(_IN_A_LAYER, layer[2])):
        return f"blocks.{layer[1]}.{name}"
    return _first(_HUGGING_FACE, key) or key


def _joined_attention(state: dict[str, Any]) -> dict[str, Any]:
    joined = dict(state)
    for key in state:
        if found := re.fullmatch(r"(blocks\.\d+\.attn)\.q\.(weight|bias)", key):
            names = [f"{found[1]}.{part}.{found[2]}" for part in "qkv"]
            given = [state.get(name) for name in names]
            keys = state.get(f"{found[1]}.k.weight")
            if found[2] == "bias" and given[1] is None and isinstance(keys, Tensor):
                given[1] = keys.new_zeros(len(keys))  # no key bias is one of zero
            if all(isinstance(value, Tensor) for value in given):
                joined[f"{found[1]}.qkv.{found[2]}"] = torch.cat([v for v in given if v is not None])
                for name in names:
                    joined.pop(name, None)
    return joined
