"""Pretrained timm Vision Transformers: creating one by name, checking its support, telling it apart."""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.beit import Beit
from timm.models.beit import checkpoint_filter_fn as beit_filter
from timm.models.eva import Eva
from timm.models.eva import checkpoint_filter_fn as eva_filter
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import nn

from search_spaces import BackboneShape, InputError, unknown_name
from supernet.shape import shape_of
from supernet.shipped_backbone import vit_micro_patch8_32
from supernet.trunk import Trunk

DEFAULT_BACKBONE = vit_micro_patch8_32.__name__
SUPPORTED = (
    "timm's pre-norm VisionTransformer, Eva and Beit (ViT/AugReg, DeiT and DeiT-3, DINOv2, DINOv3, EVA and "
    "EVA-02, BEiT, AIMv2, Perception Encoder, ViTs with rotary positions, CLIP and SigLIP image towers)"
)


@dataclass(frozen=True)
class Backbone:
    """A pretrained model without its classifier, and what a checkpoint must say to find it again.

    ``weights`` is ``"timm"`` (the name's own pretrained weights), ``"random"``, or the name of a file.
    ``digest`` is the SHA-256 of the weights, see `weights_digest`. ``image_size`` is the height and width of
    its images in pixels where they are not the name's own.
    """

    name: str
    weights: str
    model: nn.Module
    digest: str
    image_size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        """The embedding width d."""
        return self.shape.width

    @property
    def depth(self) -> int:
        """The number of layers."""
        return self.shape.depth

    @cached_property
    def shape(self) -> BackboneShape:
        """What the cost of a subnet depends on."""
        return shape_of(Trunk(self.model))

    @property
    def params(self) -> int:
        """All elements of the backbone, classifier excluded."""
        return sum(p.numel() for p in self.model.parameters())


def create_backbone(
    name: str, weights: Path | None = None, image_size: tuple[int, int] | None = None
) -> Backbone:
    """Create a frozen, supported timm ViT in evaluation mode.

    With ``weights`` the file is read: safetensors, or a torch file opened with ``weights_only``; a
    classifier in it is ignored. Without, the name's own pretrained weights are used (from the package for
    the shipped backbone, from the hub's cache or the hub otherwise). With ``image_size`` (height, width) the
    backbone is for images of that size, and position embeddings and relative position tables are resampled.

    Raises `InputError` for an unknown name, an unsupported architecture or an image size that its patches do
    not fill (before anything is fetched), weights that do not fit, and weights that cannot be fetched.
    """
    _require_known(name)
    if weights is not None and not weights.is_file():
        raise InputError(f"no backbone weights at '{weights}'; give a .safetensors or torch file")
    image_size = _require_buildable(name, image_size)
    if weights is None:
        model = _pretrained(name, image_size)
    else:
        model = _initialised(name, 0, image_size)
        _load_weights(model, weights, name)
    model.requires_grad_(False).eval()
    source = "timm" if weights is None else weights.name
    return Backbone(name, source, model, weights_digest(model), image_size)


def random_backbone(name: str, seed: int, image_size: tuple[int, int] | None = None) -> Backbone:
    """The same architecture with random weights: the control that says what the pretraining is worth.

    Raises `InputError` for an unknown name, an unsupported architecture and an image size that its patches do
    not fill.
    """
    _require_known(name)
    image_size = _require_buildable(name, image_size)
    model = _initialised(name, seed, image_size)
    model.requires_grad_(False).eval()
    return Backbone(name, "random", model, weights_digest(model), image_size)


def require_supported(model: nn.Module, name: str) -> None:
    """Raise `InputError` that says which part of the model is not supported and what is."""
    try:
        Trunk(model)
    except TypeError as found:
        raise InputError(
            f"backbone '{name}' {found}, which is not supported; supported: {SUPPORTED}"
        ) from found


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names and float32 bytes of the model's parameters and buffers, in order of name."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _require_known(name: str) -> None:
    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        vits = [n for n in timm.list_models() if n.startswith(("vit_", "deit"))]
        near = difflib.get_close_matches(base, vits, n=5, cutoff=0.3)  # timm has more than fit on a line
        raise unknown_name("backbone", name, {DEFAULT_BACKBONE, *near}, "Any timm ViT name works.")
    tagged = timm.list_models(f"{base}.*", pretrained=True)
    if tag and name not in tagged:
        raise unknown_name("backbone", name, [base, *tagged])


def _require_buildable(name: str, image_size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The image size to build it with: ``None`` where it is the name's own."""
    model = _on_meta(name, None)
    require_supported(model, name)
    embed = cast(Any, model).patch_embed
    if image_size is None or image_size == tuple(embed.img_size or ()):
        return None
    patch = embed.feat_ratio(as_scalar=False)
    if any(side < 1 or side % p for side, p in zip(image_size, patch, strict=True)):
        nearest = [max(1, round(side / p)) * p for side, p in zip(image_size, patch, strict=True)]
        raise InputError(
            f"image size {as_text(image_size)} does not fit backbone '{name}', whose patches have "
            f"{as_text(patch)} pixels; give multiples of these, such as {as_text(nearest)}"
        )
    _on_meta(name, image_size)
    return image_size


def as_text(image_size: Sequence[int]) -> str:
    """``(32, 48)`` as ``32x48``, height first."""
    return "x".join(str(side) for side in image_size)


def _on_meta(name: str, image_size: tuple[int, int] | None) -> nn.Module:
    """Types and shapes, without initialising or fetching anything."""
    sized = {} if image_size is None else {"img_size": image_size}
    try:
        with torch.device("meta"):
            return cast(nn.Module, timm.create_model(name, pretrained=False, num_classes=0, **sized))
    except Exception as error:  # not all of timm's models can be built without a classifier or on meta
        at = "" if image_size is None else f" for images of {as_text(image_size)} pixels"
        raise InputError(
            f"backbone '{name}' cannot be built{at} ({_one_line(error)}); supported: {SUPPORTED}"
        ) from error


def _initialised(name: str, seed: int, image_size: tuple[int, int] | None) -> nn.Module:
    sized = {} if image_size is None else {"img_size": image_size}
    with torch.random.fork_rng(devices=[]):  # timm initialises from torch's global stream
        torch.manual_seed(seed)
        return cast(nn.Module, timm.create_model(name, pretrained=False, num_classes=0, **sized))


def _pretrained(name: str, image_size: tuple[int, int] | None) -> nn.Module:
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise InputError(
            f"backbone '{name}' has no pretrained weights in timm; give a file with --backbone-weights"
        )
    sized = {} if image_size is None else {"img_size": image_size}
    try:
        with torch.random.fork_rng(devices=[]), _resampling():
            return cast(nn.Module, timm.create_model(name, pretrained=True, num_classes=0, **sized))
    except Exception as error:  # the hub client raises errors of many libraries
        raise InputError(
            f"backbone '{name}': its pretrained weights could not be fetched ({type(error).__name__}); "
            "check the network or give a local file with --backbone-weights"
        ) from error


@contextmanager
def _resampling() -> Iterator[None]:
    """Without torch's warnings about how timm resamples BEiT's relative position tables."""
    with warnings.catch_warnings():
        for message in ("torch.searchsorted", "Using a non-tuple sequence"):
            warnings.filterwarnings("ignore", message, UserWarning)
        yield


def _load_weights(model: nn.Module, path: Path, name: str) -> None:
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"'{path}' is not a readable safetensors file: {_one_line(error)}") from error
    except Exception as error:  # torch.load raises errors of zipfile, pickle and its own
        raise InputError(
            f"'{path}' cannot be opened as a torch file of tensors (weights_only): {_one_line(error)}"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not (isinstance(state, dict) and all(isinstance(key, str) for key in state)):
        raise InputError(f"'{path}' holds no tensors by name; give the state dict of backbone '{name}'")
    own = model.state_dict()
    try:  # other projects' key names; position grids resized
        with _resampling():
            if isinstance(model, (Eva, Beit)):
                converted = (eva_filter if isinstance(model, Eva) else beit_filter)(state, model)
            else:
                converted = checkpoint_filter_fn(state, model, adapt_layer_scale=True)
    except Exception as error:  # timm's converters take the keys and shapes they expect for granted
        found = _misfits(own, state) or _one_line(error)
        raise InputError(f"'{path}' does not fit backbone '{name}': {found}") from error
    kept = {k: v for k, v in converted.items() if not k.startswith(("head.", "head_dist."))}
    if found := _misfits(own, kept):
        raise InputError(f"'{path}' does not fit backbone '{name}': {found}")
    model.load_state_dict(kept)


def _misfits(own: dict[str, Any], given: dict[str, Any]) -> str:
    """Which names are missing, unknown, or of tensors of another shape; empty if none is."""
    shared = own.keys() & given.keys()
    faults = (
        ("missing", own.keys() - given.keys()),
        ("unknown", given.keys() - own.keys()),
        ("of another shape", {k for k in shared if own[k].shape != getattr(given[k], "shape", None)}),
    )
    return "; ".join(
        f"{what} {', '.join(sorted(keys)[:3])}{' …' if len(keys) > 3 else ''}"
        for what, keys in faults
        if keys
    )


def _one_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
