"""Numerical checks that the contestants of the benchmark compute what they claim."""

from __future__ import annotations

import copy
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmarks.supernet_step.contestants import (
    CLASSES,
    LORA_RANK,
    PROMPTS,
    SEED,
    ConcatenatedPrompts,
    Floor,
    WholeModel,
    random_sizes,
    uniform,
    with_peft,
)
from search_spaces import Architecture
from supernet import Supernet

TOLERANCE = 1e-4
"""Largest allowed difference of logits, which are about 1: float32 sums in another order."""


class WrongContestant(RuntimeError):
    """Contestants that should compute the same do not, so their times cannot be compared."""


def check(vit: VisionTransformer, images: Tensor, peft: bool) -> dict[str, float]:
    """Largest difference of logits in each comparison, on a few images in float32.

    Modules have random weights, since weights at zero would hide a difference. Raises `WrongContestant` for a
    difference above `TOLERANCE`, and if the floor's gradient does not end at the embedded tokens.
    """
    depth = len(vit.blocks)
    head = nn.Linear(vit.embed_dim, CLASSES).to(images.device)
    with torch.no_grad():
        timm_logits = head(vit(images))
        empty = _with_head(Supernet(vit, Architecture.empty(depth), CLASSES), head)
        found = {"empty supernet - timm": _gap(empty(images), timm_logits)}
        found["floor - timm"] = _gap(_with_head(Floor(vit), head)(images), timm_logits)
        found["prompts - concatenated prompts"] = _prompts(vit, images, head)
        found["one architecture per image - each alone"] = _per_image(vit, images, head)
        if peft:
            found["LoRA - PEFT's"] = _lora(vit, images, head)
    _require_gradient_to_tokens(vit, images)
    if wrong := {name: gap for name, gap in found.items() if not gap <= TOLERANCE}:
        raise WrongContestant(f"logits differ by more than {TOLERANCE}: {wrong}")
    return found


def _prompts(vit: VisionTransformer, images: Tensor, head: nn.Linear) -> float:
    ours = Supernet(vit, uniform(len(vit.blocks), {"prompt_tokens": PROMPTS}), CLASSES, seed=SEED)
    theirs = ConcatenatedPrompts(vit, PROMPTS).to(images.device)
    for layer, prompts in zip(ours.layers, theirs.prompts, strict=True):
        prompts.copy_(cast(Any, layer)["prompt_tokens"].tokens)
    return _gap(_with_head(ours, head)(images), _with_head(theirs, head)(images))


def _per_image(vit: VisionTransformer, images: Tensor, head: nn.Linear) -> float:
    sizes = {"prompt_tokens": 10, "lora_rank": 10, "adapter_dim": 10}
    network = _random(_with_head(Supernet(vit, uniform(len(vit.blocks), sizes), CLASSES, seed=SEED), head))
    batch = random_sizes(network.capacity, len(images))
    alone = []
    for image, chosen in zip(images, batch.sizes, strict=True):
        a = Architecture.of(len(vit.blocks), {k: chosen[:, i].tolist() for i, k in enumerate(batch.kinds)})
        alone.append(network(image[None], a))
    return _gap(network(images, batch.to(images.device)), torch.cat(alone))


def _lora(vit: VisionTransformer, images: Tensor, head: nn.Linear) -> float:
    capacity = uniform(len(vit.blocks), {"lora_rank": LORA_RANK})
    ours = _random(_with_head(Supernet(vit, capacity, CLASSES, seed=SEED), head))
    own = copy.deepcopy(vit)
    wrapped = with_peft(own)
    for layer, block in zip(ours.layers, own.blocks, strict=True):
        module, adapted = cast(Any, layer)["lora_rank"], block.attn.qkv
        adapted.lora_A["default"].weight.copy_(module.down)
        adapted.lora_B["default"].weight.copy_(module.up.T)
    theirs = _with_head(WholeModel(wrapped, vit.embed_dim).to(images.device), head)
    return _gap(ours(images), theirs(images))


def _random(network: Supernet) -> Supernet:
    """Replace all weights of modules by random ones, since weights at zero hide differences."""
    generator = torch.Generator().manual_seed(SEED)
    for module in network.elastic_modules():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    return network


class _WatchedFloor(Floor):
    tokens: Tensor | None = None

    def embed(self, images: Tensor) -> Tensor:
        self.tokens = super().embed(images)
        return self.tokens


def _require_gradient_to_tokens(vit: VisionTransformer, images: Tensor) -> None:
    floor = _WatchedFloor(vit).to(images.device)
    loss = F.cross_entropy(floor(images), torch.zeros(len(images), dtype=torch.long, device=images.device))
    loss.backward()  # type: ignore[no-untyped-call]
    reached = floor.tokens is not None and floor.tokens.grad is not None
    frozen = all(p.grad is None for p in vit.parameters())
    if not (reached and frozen and floor.head.weight.grad is not None):
        raise WrongContestant("the floor's gradient does not reach the embedded tokens and the head alone")


_N = TypeVar("_N", bound=nn.Module)


def _with_head(network: _N, head: nn.Linear) -> _N:
    network.head = head
    return network


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())
