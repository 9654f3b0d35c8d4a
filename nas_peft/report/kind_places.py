"""Where in the backbone the modules of each kind sit, in the order in which an image passes them."""

from __future__ import annotations

from search_spaces import KINDS

PLACES = {
    "lora_rank_pos": "position embedding",
    "shallow_prompt_tokens": "tokens before the first layer",
    "fact_rank": "all projections of all layers",
    "prompt_tokens": "keys and values of attention",
    "adapter_dim_pre_attention": "before attention",
    "rep_dim_attention": "before attention",
    "convpass_dim_attention": "beside attention",
    "lora_rank": "queries, keys and values",
    "lora_rank_q": "queries",
    "lora_rank_k": "keys",
    "lora_rank_v": "values",
    "dora_rank": "queries, keys and values",
    "lora_rank_proj": "attention output",
    "dora_rank_proj": "attention output",
    "adapter_dim_attention": "after attention",
    "adapter_dim_pre_mlp": "before the MLP",
    "rep_dim_mlp": "before the MLP",
    "convpass_dim_mlp": "beside the MLP",
    "adapter_dim_parallel": "beside the MLP",
    "adapter_dim_parallel_scaled": "beside the MLP",
    "lora_rank_fc1": "first MLP projection",
    "dora_rank_fc1": "first MLP projection",
    "lora_rank_fc2": "second MLP projection",
    "dora_rank_fc2": "second MLP projection",
    "adapter_dim": "after the MLP",
    "adapter_dim_scaled": "after the MLP",
    "adapter_dim_plus": "after the layer",
    "ssf": "after normalisations and projections",
}
UNKNOWN = "a kind from a module file"
"""The place of a kind that nas-peft does not ship."""


def in_order(kinds: tuple[str, ...]) -> list[str]:
    """The kinds from the input of the backbone to its output; unknown ones last."""
    order = list(PLACES)
    return sorted(kinds, key=lambda kind: order.index(kind) if kind in PLACES else len(order))


def named(kind: str) -> str:
    """The label of a kind."""
    return KINDS[kind].label


def place(kind: str) -> str:
    """The place of a kind in words."""
    return PLACES.get(kind, UNKNOWN)
