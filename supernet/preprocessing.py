"""The preprocessing of images: one value for training, search, retraining and use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import torch
from PIL.Image import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn

from supernet.rgb_image import rgb_image
from supernet.transfers import to_device


@dataclass(frozen=True)
class Preprocessing:
    """The backbone's own evaluation preprocessing, read from its ``pretrained_cfg``.

    There are two steps, so that a data set can be decoded once and kept as bytes:
    ``to_tensor`` resizes and crops an image to uint8 ``(3, H, W)``; ``normalise`` turns a uint8 batch
    ``(B, 3, H, W)`` into ``(x / 255 - mean) / std`` in float32.
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    crop_mode: str

    @classmethod
    def of(cls, backbone: nn.Module) -> Preprocessing:
        """The preprocessing of a timm model (``timm.data.resolve_model_data_config``).

        The image size is that of the built model, which may differ from ``pretrained_cfg``.
        """
        config = resolve_model_data_config(backbone)
        built_for = getattr(getattr(backbone, "patch_embed", None), "img_size", None)
        if built_for is not None:
            config["input_size"] = (config["input_size"][0], *built_for)
        return cls.from_dict(config)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Preprocessing:
        """The preprocessing from `to_dict` or from timm's data configuration, which has the same keys."""
        channels, height, width = config["input_size"]
        return cls(
            input_size=(channels, height, width),
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            interpolation=config["interpolation"],
            crop_pct=config["crop_pct"],
            crop_mode=config["crop_mode"],
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able, with timm's own keys."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def to_tensor(self, image: Image) -> Tensor:
        """Resize and crop a PIL image, in upright RGB by `rgb_image`, to uint8 ``(3, H, W)``.

        Raises ``TypeError`` for another object, and `UnsuitableImage` for an image without a form in RGB.
        """
        if not isinstance(image, Image):
            raise TypeError(
                f"{type(image).__name__} is not an image; give PIL images, such as PIL.Image.open(path)"
            )
        return _transform(self)(rgb_image(image))

    def enlarged(self, factor: float) -> Preprocessing:
        """The same part of an image with ``factor`` times as many pixels a side."""
        channels, height, width = self.input_size
        return replace(self, input_size=(channels, round(height * factor), round(width * factor)))

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise uint8 ``(B, 3, H, W)`` to float32 on the same device."""
        return self.on(images.device)(images)

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """A `normalise` for images on ``device``, whose constants are copied there only once."""
        mean = to_device(torch.tensor(self.mean)[:, None, None] * 255, device)
        std = to_device(torch.tensor(self.std)[:, None, None] * 255, device)

        def normalised(images: Tensor) -> Tensor:
            # in place: of 256 images of 224 pixels each copy takes 154 MB
            return images.to(torch.float32, copy=True).sub_(mean).div_(std)

        return normalised


@cache
def _transform(preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    transform: Callable[[Image], Tensor] = create_transform(
        preprocessing.input_size,
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,  # the colour of the borders that crop_mode "border" adds
        std=preprocessing.std,
        crop_pct=preprocessing.crop_pct,
        crop_mode=preprocessing.crop_mode,
        normalize=False,
    )
    return transform
