"""Contestants of the benchmark of training steps: timm's own model, the supernet, PEFT's LoRA, VPT's prompts.

Each contestant is a forward pass and the parameters that it trains; the step around them is the same for all.
All heads are a linear layer on timm's pooled features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from search_spaces import Architecture, InputError
from search_spaces.streams import stream
from supernet import ArchitectureBatch, Supernet
from supernet.precision import Precision, autocast, float32_products

CLASSES = 100
KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
LORA_RANK, PROMPTS = 8, 100
SEED = 0

Forward: TypeAlias = Callable[[Tensor], Tensor]


class Floor(nn.Module):
    """timm's own model with frozen weights and a head, and a gradient down to the embedded tokens.

    Any module in the first layer makes that gradient necessary, so the floor is the cost of the backbone in
    a training step. Tokens after position embedding are a leaf; nothing below them is differentiated.
    """

    def __init__(self, vit: VisionTransformer) -> None:
        super().__init__()
        self.vit = vit
        self.head = nn.Linear(vit.embed_dim, CLASSES)

    def embed(self, images: Tensor) -> Tensor:
        """Tokens after position embedding, as a leaf."""
        with torch.no_grad():
            x = self.vit.norm_pre(self.vit.patch_drop(self.vit._pos_embed(self.vit.patch_embed(images))))
        tokens: Tensor = x.detach().requires_grad_()
        return tokens

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)``."""
        x = self.vit.norm(self.vit.blocks(self.embed(images)))
        return cast(Tensor, self.head(self.vit.forward_head(x, pre_logits=True)))


class WholeModel(nn.Module):
    """timm's own forward pass and a head, for full fine-tuning, evaluation and PEFT."""

    def __init__(self, vit: nn.Module, width: int) -> None:
        super().__init__()
        self.vit = vit
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)``."""
        return cast(Tensor, self.head(self.vit(images)))


class ConcatenatedPrompts(nn.Module):
    """VPT-deep as its authors compute it (arXiv 2203.12119, github.com/KMnP/vpt), on a frozen timm model.

    Every layer's prompts are inserted behind the class tokens, pass the whole layer with all other tokens,
    and are then replaced by those of the next layer.
    """

    def __init__(self, vit: VisionTransformer, prompts: int) -> None:
        super().__init__()
        self.vit = vit
        self.prompts = nn.Parameter(torch.empty(len(vit.blocks), prompts, vit.embed_dim))
        bound = (3 / vit.embed_dim) ** 0.5
        nn.init.uniform_(self.prompts, -bound, bound)
        self.head = nn.Linear(vit.embed_dim, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)``."""
        vit = self.vit
        x = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(images))))
        first = vit.num_prefix_tokens
        for block, prompts in zip(vit.blocks, self.prompts, strict=True):
            x = block(torch.cat([x[:, :first], prompts.expand(len(x), -1, -1), x[:, first:]], dim=1))
            x = torch.cat([x[:, :first], x[:, first + len(prompts) :]], dim=1)
        return cast(Tensor, self.head(vit.forward_head(vit.norm(x), pre_logits=True)))


@dataclass
class Contestant:
    """Network with its forward pass and, if it trains, an optimizer of the parameters that need gradients."""

    network: nn.Module
    forward: Forward
    trains: bool

    def __post_init__(self) -> None:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True) if self.trains else None

    def step(self, images: Tensor, labels: Tensor, precision: Precision) -> None:
        """Do a training step, or a forward pass in inference mode if the contestant only evaluates."""
        with float32_products(images.device, precision):
            self._step(images, labels, precision)

    def _step(self, images: Tensor, labels: Tensor, precision: Precision) -> None:
        if self.optimizer is None:
            with torch.inference_mode(), autocast(images.device, precision):
                self.forward(images)
            return
        self.optimizer.zero_grad()
        with autocast(images.device, precision):
            logits = self.forward(images)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def forget_gradients(self) -> None:
        """Drop all gradients, as the next step does first."""
        for parameter in self.network.parameters():
            parameter.grad = None

    def tensors(self) -> list[Tensor]:
        """Tensors that exist before a step: weights, buffers and the state of the optimizer."""
        found = [*self.network.parameters(), *self.network.buffers()]
        if self.optimizer is not None:
            found += [t for s in self.optimizer.state.values() for t in s.values() if isinstance(t, Tensor)]
        return found


@dataclass(frozen=True)
class Plan:
    """Builder of a contestant from a model and the batch size; ``alters`` if building changes the model."""

    about: str
    build: Callable[[VisionTransformer, int], Contestant]
    alters: bool = False


def plans(sizes: list[int]) -> dict[str, Plan]:
    """Plans of all contestants by name.

    There is a supernet with one architecture for the batch for each of ``sizes``. The supernets with one
    architecture for each image draw random sizes up to the first of them.
    """
    first = sizes[0]
    found = {
        "floor": Plan(
            "timm's own model, frozen; gradient to the embedded tokens; head",
            lambda vit, batch: _of(Floor(vit), vit),
        )
    }
    for size in sizes:
        found[f"supernet-{size}"] = _supernet(
            f"supernet, one architecture: {size} prompts, LoRA {size}, adapter {size} in every layer",
            dict.fromkeys(KINDS, size),
        )
    found[f"supernet-per-image-{first}"] = _supernet(
        f"supernet, an architecture for each image: sizes 0 to {first} at random in every layer",
        dict.fromkeys(KINDS, first),
        per_image=True,
    )
    found |= {
        "supernet-lora": _supernet(f"supernet, LoRA {LORA_RANK} alone", {"lora_rank": LORA_RANK}),
        "peft-lora": Plan(
            f"LoRA {LORA_RANK} on qkv by Hugging Face PEFT, around timm's own model", _peft, alters=True
        ),
        "supernet-prompts": _supernet(f"supernet, {PROMPTS} prompts alone", {"prompt_tokens": PROMPTS}),
        "vpt-prompts": Plan(
            f"{PROMPTS} prompts in every layer as VPT-deep's authors do it, by concatenation",
            lambda vit, batch: _of(ConcatenatedPrompts(vit, PROMPTS), vit),
        ),
        "full": Plan("full fine-tuning of timm's own model", _full, alters=True),
        "eval-timm": Plan(
            "evaluation: timm's own forward pass",
            lambda vit, batch: _of(WholeModel(vit, vit.embed_dim), vit, trains=False),
        ),
        f"eval-supernet-{first}": _supernet(
            f"evaluation: supernet, one architecture: {first}, {first}, {first} in every layer",
            dict.fromkeys(KINDS, first),
            trains=False,
        ),
        f"eval-supernet-per-image-{first}": _supernet(
            f"evaluation: supernet, an architecture for each image: sizes 0 to {first}",
            dict.fromkeys(KINDS, first),
            per_image=True,
            trains=False,
        ),
    }
    return found


def random_sizes(capacity: Architecture, batch: int) -> ArchitectureBatch:
    """Random sizes for each image, layer and kind, uniform from 0 to the capacity."""
    rng = stream(SEED, "sizes", batch)
    limits = {kind: capacity[kind] for kind in capacity.kinds}
    drawn = [
        Architecture.of(
            capacity.depth, {k: rng.integers(0, [m + 1 for m in v]).tolist() for k, v in limits.items()}
        )
        for _ in range(batch)
    ]
    return ArchitectureBatch.of(drawn, capacity.kinds)


def uniform(depth: int, sizes: Mapping[str, int]) -> Architecture:
    """Architecture with the same sizes in every layer."""
    return Architecture.of(depth, {kind: [size] * depth for kind, size in sizes.items()})


def _supernet(about: str, sizes: Mapping[str, int], per_image: bool = False, trains: bool = True) -> Plan:
    def build(vit: VisionTransformer, batch: int) -> Contestant:
        capacity = uniform(len(vit.blocks), sizes)
        network = Supernet(vit, capacity, CLASSES, seed=SEED)
        if not per_image:
            return _of(network, vit, trains, lambda images: cast(Tensor, network(images, capacity)))
        given = random_sizes(capacity, batch).to(_device(vit))
        return _of(network, vit, trains, lambda images: cast(Tensor, network(images, given)))

    return Plan(about, build)


def _peft(vit: VisionTransformer, batch: int) -> Contestant:
    return _of(WholeModel(with_peft(vit), vit.embed_dim), vit)


def with_peft(vit: VisionTransformer) -> nn.Module:
    """Put PEFT's LoRA into a model, which changes it. Raises `InputError` if PEFT is not installed."""
    if find_spec("peft") is None:
        raise InputError("peft is not installed; pip install peft, or leave peft-lora out with --contestant")
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=["qkv"], lora_dropout=0.0)
    return cast(nn.Module, get_peft_model(vit, config))


def _full(vit: VisionTransformer, batch: int) -> Contestant:
    return _of(WholeModel(vit.requires_grad_(), vit.embed_dim), vit)


def _of(
    network: nn.Module, vit: VisionTransformer, trains: bool = True, forward: Forward | None = None
) -> Contestant:
    network.to(_device(vit))
    return Contestant(network, forward or network, trains)


def _device(vit: VisionTransformer) -> torch.device:
    return cast(torch.device, next(vit.parameters()).device)


def cut(vit: VisionTransformer, layers: int | None) -> VisionTransformer:
    """Cut a model to its first ``layers`` layers. Raises `InputError` for more than it has."""
    if layers is None:
        return vit
    if not 1 <= layers <= len(vit.blocks):
        raise InputError(
            f"--layers is {layers}; the backbone has {len(vit.blocks)}, give 1 to {len(vit.blocks)}"
        )
    vit.blocks = vit.blocks[:layers]
    return vit


def built(plan: Plan, vit: VisionTransformer, batch: int) -> Contestant:
    """Build a contestant around ``vit``, or around a copy if building changes the model."""
    return plan.build(copy.deepcopy(vit) if plan.alters else vit, batch)
