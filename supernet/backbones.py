"""Pretrained timm Vision Transformers: creating one by name, checking that it is supported, telling it apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import Attention
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, VisionTransformer, checkpoint_filter_fn
from torch import nn

from search_spaces import InputError, unknown_name
from supernet import shipped_backbone

DEFAULT_BACKBONE = "vit_micro_patch8_32"
SUPPORTED = (
    "timm VisionTransformer with pre-norm Block and fused-qkv Attention "
    "(ViT/AugReg, DeiT and DeiT-3, DINOv2, CLIP and SigLIP image towers)"
)


@dataclass(frozen=True)
class Backbone:
    """A pretrained model without its classifier, and what a checkpoint must say to find it again.

    ``weights`` is ``"timm"`` (the name's own pretrained weights), ``"random"``, or the name of a file.
    ``digest`` is the SHA-256 of the weights, see `weights_digest`.
    """

    name: str
    weights: str
    model: VisionTransformer
    digest: str

    @property
    def width(self) -> int:
        """The embedding width d."""
        return int(self.model.embed_dim)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.model.blocks)

    @property
    def params(self) -> int:
        """All elements of the backbone, classifier excluded."""
        return sum(p.numel() for p in self.model.parameters())


def create_backbone(name: str, weights: Path | None = None) -> Backbone:
    """Create a frozen, supported timm ViT in evaluation mode.

    With ``weights`` the file is read: safetensors, or a torch file opened with ``weights_only``; a
    classifier in it is ignored. Without, the name's own pretrained weights are used (from the package for
    the shipped backbone, from the hub's cache or the hub otherwise).

    Raises `InputError` for an unknown name, an unsupported architecture, weights that do not fit, and
    weights that cannot be fetched.
    """
    base = name.split(".", maxsplit=1)[0]
    if base not in timm.list_models():
        vits = [n for n in timm.list_models() if n.startswith(("vit_", "deit"))]
        known = set(timm.list_models())
        raise unknown_name("backbone", name, _few_near(base, vits or sorted(known)), "Any timm ViT name works.")
    if weights is not None and not weights.is_file():
        raise InputError(f"no backbone weights at '{weights}'; give a .safetensors or torch file")
    try:
        with torch.random.fork_rng(devices=[]):  # timm initialises from torch's global stream
            torch.manual_seed(0)
            model = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except RuntimeError as error:
        raise InputError(f"backbone '{name}': {_one_line(error)}") from error
    except Exception as error:  # the hub client raises errors of many libraries
        raise InputError(
            f"backbone '{name}': its pretrained weights could not be fetched ({type(error).__name__}); "
            "check the network or give a local file with --backbone-weights"
        ) from error
    require_supported(model, name)
    if weights is not None:
        _load_weights(model, weights, name)
    model.requires_grad_(False).eval()
    return Backbone(name, "timm" if weights is None else weights.name, model, weights_digest(model))


def random_backbone(name: str, seed: int) -> Backbone:
    """The same architecture with random weights: the control that says what the pretraining is worth."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False, num_classes=0)
    require_supported(model, name)
    model.requires_grad_(False).eval()
    return Backbone(name, "random", model, weights_digest(model))


def require_supported(model: nn.Module, name: str) -> None:
    """Raise `InputError` that says which part of the model is not supported and what is."""
    found = None
    if type(model) not in (VisionTransformer, VisionTransformerDistilled):
        found = f"is a {type(model).__name__}"
    else:
        for block in model.blocks:
            attention = getattr(block, "attn", None)
            if type(block) is not Block:
                found = f"has blocks of type {type(block).__name__}"
            elif type(attention) is not Attention:
                found = f"has attention of type {type(attention).__name__}"
            elif getattr(attention, "gate", None) is not None:
                found = "has gated attention"
    if found:
        raise InputError(f"backbone '{name}' {found}, which is not supported; supported: {SUPPORTED}")


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names and float32 bytes of the model's parameters and buffers, in order of name."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load_weights(model: VisionTransformer, path: Path, name: str) -> None:
    try:
        if path.suffix == ".safetensors":
            state: dict[str, Any] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"'{path}' is not a readable safetensors file: {_one_line(error)}") from error
    except Exception as error:  # torch.load raises errors of zipfile, pickle and its own
        raise InputError(
            f"'{path}' cannot be opened as a torch file of tensors (weights_only): {_one_line(error)}"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    own = model.state_dict()
    try:
        converted = checkpoint_filter_fn(state, model)  # other projects' key names; position grids resized
    except (KeyError, RuntimeError, AttributeError) as error:
        raise InputError(f"'{path}' does not fit backbone '{name}': {_one_line(error)}") from error
    kept = {k: v for k, v in converted.items() if not k.startswith(("head.", "head_dist."))}
    missing = sorted(own.keys() - kept.keys())
    extra = sorted(kept.keys() - own.keys())
    shapes = sorted(k for k in own.keys() & kept.keys() if own[k].shape != kept[k].shape)
    if missing or extra or shapes:
        parts = [f"{what} {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}" for what, keys in
                 (("missing", missing), ("unknown", extra), ("of another shape", shapes)) if keys]  # fmt: skip
        raise InputError(f"'{path}' does not fit backbone '{name}': {'; '.join(parts)}")
    model.load_state_dict(kept)


def _few_near(name: str, known: list[str]) -> list[str]:
    """The shipped backbone and the names nearest to ``name``: timm has more than fit on a line."""
    import difflib

    near = difflib.get_close_matches(name, known, n=5, cutoff=0.3)
    return sorted({shipped_backbone.__all__[0], *near})


def _one_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
