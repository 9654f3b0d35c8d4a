"""Pretrained timm Vision Transformers: creation by name, check of support, digest of the weights."""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.models.beit import Beit
from timm.models.beit import checkpoint_filter_fn as beit_filter
from timm.models.eva import Eva
from timm.models.eva import checkpoint_filter_fn as eva_filter
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from search_spaces import BackboneShape, InputError
from supernet.backbone_names import ResolvedName, resolve_name
from supernet.hub_weights import require_in_reach
from supernet.shape import shape_of
from supernet.shipped_backbone import vit_micro_patch8_32
from supernet.state_names import is_of_head, with_timm_names, without_prefix
from supernet.trunk import Trunk
from supernet.weights_file import read_tensors, weights_path

DEFAULT_BACKBONE = vit_micro_patch8_32.__name__
SUPPORTED = (
    "timm's pre-norm VisionTransformer, Eva and Beit (ViT/AugReg, DeiT and DeiT-3, DINOv2, DINOv3, EVA and "
    "EVA-02, BEiT, AIMv2, Perception Encoder, ViTs with rotary positions, CLIP and SigLIP image towers)"
)

# Tensors in weights files that do not belong to the backbone: classifiers, and parts for pretraining only.
_OF_OTHER_PURPOSE = (
    *("head.", "head_dist.", "heads.", "classifier.", "cls_classifier.", "distillation_classifier.", "fc."),
    *("mask_token", "decoder", "pooler.", "lm_head.", "projector", "projection_head.", "predictor"),
    *("dino_head", "ibot_head", "mlp_head.", "visual_projection.", "logit_scale", "logit_bias", "text"),
    *("global_pool.", "last_layer.", "prototypes."),
)


@dataclass(frozen=True)
class Backbone:
    """A pretrained model without its classifier, and the identity that a checkpoint records.

    ``weights`` is ``"timm"`` (the name's own pretrained weights), ``"random"``, or the name of a file.
    ``digest`` is the SHA-256 of the weights, see `weights_digest`. ``image_size`` is the height and width of
    the images in pixels, or ``None`` for the default size of the name. ``remarks`` say how the name was
    resolved and which tensors of a file were loaded. ``trained`` says that a training changed the weights,
    which were those of ``weights`` before: a subnet file then holds them.
    """

    name: str
    weights: str
    model: nn.Module = field(repr=False)
    digest: str
    image_size: tuple[int, int] | None = None
    remarks: tuple[str, ...] = ()
    trained: bool = False

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
        """The shape of the backbone, which the cost of a subnet depends on."""
        return shape_of(Trunk(self.model))

    @property
    def params(self) -> int:
        """Number of parameters of the backbone, classifier excluded."""
        return sum(p.numel() for p in self.model.parameters())


def create_backbone(
    name: str, weights: Path | None = None, image_size: tuple[int, int] | None = None
) -> Backbone:
    """Create a frozen, supported timm ViT in evaluation mode.

    Names are resolved as timm does: old names, ``hf-hub:OWNER/NAME``, ``local-dir:FOLDER``. With ``weights``
    the file is read: safetensors, or a torch file opened with ``weights_only``, of timm, ``transformers`` or
    the projects that timm converts, with any wrappers and prefixes; a classifier in it is left out. Without
    ``weights``, the name's own pretrained weights are used (from the package for the shipped backbone, else
    from the hub or its cache). With ``image_size`` (height, width) position embeddings and relative position
    tables are resampled for images of that size.

    Raises `InputError` for an unknown name, an unsupported architecture or an image size that is not a
    multiple of the patch size (before anything is fetched), for weights that do not fit, and for weights that
    cannot be fetched.
    """
    resolved = resolve_name(name, DEFAULT_BACKBONE)
    remarks = [resolved.note] if resolved.note else []
    file = None if weights is None else weights_path(weights)
    if not resolved.in_registry:  # even what the model is stands on the hub
        require_in_reach(resolved.name)
    image_size = _require_buildable(resolved.name, image_size)
    if file is None:
        model = _pretrained(resolved, image_size)
    else:
        model = _initialised(resolved.name, 0, image_size)
        remarks.append(_load_weights(model, file, name))
    model.requires_grad_(False).eval()
    source = "timm" if file is None else file.name
    return Backbone(resolved.name, source, model, weights_digest(model), image_size, tuple(remarks))


def random_backbone(name: str, seed: int, image_size: tuple[int, int] | None = None) -> Backbone:
    """A backbone of the same architecture with random weights, as the control for pretraining.

    Raises `InputError` for an unknown name, an unsupported architecture and an image size that is not a
    multiple of the patch size.
    """
    name = resolve_name(name, DEFAULT_BACKBONE).name
    image_size = _require_buildable(name, image_size)
    model = _initialised(name, seed, image_size)
    model.requires_grad_(False).eval()
    return Backbone(name, "random", model, weights_digest(model), image_size)


def given_backbone(model: nn.Module, name: str | None, image_size: tuple[int, int] | None) -> Backbone:
    """The `Backbone` of a timm model without classifier, which is frozen and set to evaluation mode.

    ``name`` and ``image_size`` are those of the files to be used with it. Raises `InputError` for an
    unsupported model, one with a classifier, and one made for images of another size.
    """
    name = type(model).__name__ if name is None else name
    require_supported(model, name)
    if getattr(model, "num_classes", 0):
        raise InputError(
            f"backbone '{name}' has a classifier; create it with num_classes=0 (subnets have their own)"
        )
    built = getattr(cast(Any, model).patch_embed, "img_size", None)
    if image_size is not None and built is not None and tuple(built) != image_size:
        raise InputError(
            f"backbone '{name}' was made for images of {as_text(built)} pixels and the files for "
            f"{as_text(image_size)}; create it with img_size={image_size}"
        )
    model.requires_grad_(False).eval()
    return Backbone(name, "given", model, weights_digest(model), image_size)


def trained_backbone(
    name: str, weights: str, image_size: tuple[int, int] | None, state: Mapping[str, Tensor]
) -> Backbone:
    """The backbone whose weights a training changed, from all its tensors by name, frozen.

    ``weights`` are those that the training began with. Raises `InputError` for an unknown or unsupported name
    and for tensors that are not those of the model.
    """
    resolved = resolve_name(name, DEFAULT_BACKBONE)
    if not resolved.in_registry:
        require_in_reach(resolved.name)
    image_size = _require_buildable(resolved.name, image_size)
    model = _initialised(resolved.name, 0, image_size)
    if found := _misfits(model.state_dict(), dict(state)):
        raise InputError(f"the tensors are not those of backbone '{name}': {found}")
    model.load_state_dict(dict(state))
    model.requires_grad_(False).eval()
    return Backbone(resolved.name, weights, model, weights_digest(model), image_size, trained=True)


def require_supported(model: nn.Module, name: str) -> None:
    """Raise `InputError` for an unsupported model, naming the unsupported part and all supported families."""
    try:
        Trunk(model)
    except TypeError as found:
        raise InputError(
            f"backbone '{name}' {found}, which is not supported; supported: {SUPPORTED}"
        ) from found


def why_unsupported(name: str) -> str | None:
    """The part of timm's model ``name`` that is not supported; ``None`` if it is. Nothing is fetched."""
    try:
        Trunk(_on_meta(name, None))
    except (TypeError, InputError) as found:
        return str(found).partition(";")[0]
    return None


def shape_without_weights(name: str) -> BackboneShape:
    """The shape of a backbone of timm, which costs are counted on. Nothing is fetched but for a hub's name.

    Raises `InputError` for an unknown name and for an unsupported architecture.
    """
    name = resolve_name(name, DEFAULT_BACKBONE).name
    model = _on_meta(name, None)
    require_supported(model, name)
    return shape_of(Trunk(model))


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names and float32 bytes of the model's parameters and buffers, in order of name."""
    return state_digest(model.state_dict())


def state_digest(state: Mapping[str, Tensor]) -> str:
    """`weights_digest` of a model with these parameters and buffers, by name."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _require_buildable(name: str, image_size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The image size to build the model with; ``None`` for the default size of the name."""
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
    """The model on torch's meta device: types and shapes, without initialising or fetching anything."""
    sized = {} if image_size is None else {"img_size": image_size}
    try:
        with torch.device("meta"), _WithoutClamping():
            return cast(nn.Module, timm.create_model(name, pretrained=False, num_classes=0, **sized))
    except Exception as error:  # not all of timm's models can be built without a classifier or on meta
        at = "" if image_size is None else f" for images of {as_text(image_size)} pixels"
        raise InputError(
            f"backbone '{name}' cannot be built{at} ({_one_line(error)}); supported: {SUPPORTED}"
        ) from error


class _WithoutClamping(TorchFunctionMode):
    """Skips the clamping of initial weights, which is slow on the meta device and has no effect there."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if func is torch.Tensor.clamp_ else func(*args, **(kwargs or {}))


def _initialised(name: str, seed: int, image_size: tuple[int, int] | None) -> nn.Module:
    sized = {} if image_size is None else {"img_size": image_size}
    with torch.random.fork_rng(devices=[]):  # timm initialises from torch's global stream
        torch.manual_seed(seed)
        return cast(nn.Module, timm.create_model(name, pretrained=False, num_classes=0, **sized))


def _pretrained(resolved: ResolvedName, image_size: tuple[int, int] | None) -> nn.Module:
    name = resolved.name
    config = timm.get_pretrained_cfg(name) if resolved.in_registry else None
    if resolved.in_registry and (config is None or not config.has_weights):
        near = difflib.get_close_matches(name, timm.list_models(pretrained=True), n=3, cutoff=0.6)
        other = f", or a name that has some: {', '.join(near)}" if near else ""
        raise InputError(
            f"backbone '{name}' has no pretrained weights in timm; give a file with --backbone-weights{other}"
        )
    require_in_reach(name)
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
    """Silence torch's warnings about how timm resamples BEiT's relative position tables."""
    with warnings.catch_warnings():
        for message in ("torch.searchsorted", "Using a non-tuple sequence"):
            warnings.filterwarnings("ignore", message, UserWarning)
        yield


def _load_weights(model: nn.Module, path: Path, name: str) -> str:
    """Load a weights file, and return one line on the tensors matched, resampled and left out."""
    state, wrappers, unread = read_tensors(path)
    state, prefix, beside = without_prefix(state)
    state = with_timm_names(state)
    own = model.state_dict()
    try:  # other projects' key names; position grids resized
        with _resampling():
            if isinstance(model, (Eva, Beit)):
                converted = (eva_filter if isinstance(model, Eva) else beit_filter)(dict(state), model)
            else:
                converted = checkpoint_filter_fn(dict(state), model, adapt_layer_scale=True)
    except Exception as error:  # timm's converters do not check keys and shapes
        found = _misfits(own, state) or _one_line(error)
        raise InputError(f"'{path}' does not fit backbone '{name}': {found}") from error
    kept = {
        k: v
        for k, v in converted.items()
        if k in own or not (k.startswith(_OF_OTHER_PURPOSE) or is_of_head(k))
    }
    if found := _misfits(own, kept):
        raise InputError(f"'{path}' does not fit backbone '{name}': {found}")
    for key, value in kept.items():
        if fault := _why_unusable(value):
            raise InputError(f"'{path}' does not fit backbone '{name}': {key} holds {fault}")
    model.load_state_dict(kept)
    resampled = [k for k in kept if k in state and getattr(state[k], "shape", None) != kept[k].shape]
    left_out = sorted(converted.keys() - kept.keys())
    line = _check_line(path, len(kept), resampled, left_out, beside, (*wrappers, prefix.rstrip(".")))
    return line + (f"; not read: {', '.join(unread)} in the same file" if unread else "")


def _why_unusable(value: Tensor) -> str | None:
    """What keeps a tensor of a file from being a weight, with a remedy, or ``None``."""
    kind = str(value.dtype).removeprefix("torch.")
    if value.is_meta:
        return "no values (saved from torch's meta device); save the weights after they are loaded"
    if value.layout != torch.strided:
        return "a sparse tensor; save it with to_dense()"
    if value.is_complex():
        return f"complex numbers (type {kind}); give real weights"
    if not value.is_floating_point():
        return f"whole numbers (type {kind}), as quantised weights do; give the original ones"
    # torch knows no isfinite of 8 bits
    if not bool(value.float().isfinite().all()):
        return f"values that are not finite numbers (type {kind}); give the weights of another epoch or file"
    return None


def _check_line(
    path: Path, matched: int, resampled: list[str], left_out: list[str], beside: int, inside: Sequence[str]
) -> str:
    def named(keys: list[str]) -> str:
        return f"{len(keys)}{f' ({_shortened(keys)})' if keys else ''}"

    within = "/".join(part for part in inside if part)
    return (
        f"'{path.name}'{f' ({within})' if within else ''}: {matched} tensors matched, of these resampled "
        f"{named(resampled)}; left out {named(left_out)}"
        + (f", and {beside} of other networks in the file" if beside else "")
    )


def _shortened(keys: list[str]) -> str:
    return f"{', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}"


def _misfits(own: dict[str, Any], given: dict[str, Any]) -> str:
    """One line on names that are missing, unknown, or of tensors of another shape; empty if all fit."""
    shared = own.keys() & given.keys()
    faults = (
        ("missing", own.keys() - given.keys()),
        ("unknown", given.keys() - own.keys()),
        ("of another shape", {k for k in shared if own[k].shape != getattr(given[k], "shape", None)}),
    )
    return "; ".join(f"{what} {_shortened(sorted(keys))}" for what, keys in faults if keys)


def _one_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
