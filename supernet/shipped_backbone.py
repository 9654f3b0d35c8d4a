"""The small pretrained ViT that comes with the package, registered with timm under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

__all__ = ["vit_micro_patch8_32"]

WEIGHTS = Path(__file__).parent / "weights" / "vit_micro_patch8_32.tiny_imagenet.safetensors"

default_cfgs = generate_default_cfgs(
    {
        "vit_micro_patch8_32.tiny_imagenet": {
            "file": str(WEIGHTS),
            "num_classes": 200,
            "input_size": (3, 32, 32),
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "apache-2.0",
        }
    }
)


@register_model  # type: ignore[untyped-decorator]
def vit_micro_patch8_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT for 32 x 32 pixels: 16 patches of 8 x 8, width 128, 8 layers, 4 heads, 1.6 M parameters.

    Mean pooling without a class token, as in Beyer et al., Better plain ViT baselines for ImageNet-1k
    (arXiv 2205.01580). ``weights/README.md`` documents its training data and accuracy.
    """
    shape = {
        "img_size": 32,
        "patch_size": 8,
        "embed_dim": 128,
        "depth": 8,
        "num_heads": 4,
        "class_token": False,
        "global_pool": "avg",
        "fc_norm": False,
    }
    model: VisionTransformer = build_model_with_cfg(
        VisionTransformer,
        "vit_micro_patch8_32",
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,  # positions are resampled for other image sizes
        feature_cfg={"out_indices": 3},
        **(shape | kwargs),
    )
    return model
