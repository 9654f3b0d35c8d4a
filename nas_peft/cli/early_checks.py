"""Checks that a command makes in its first second, before torch is imported."""

from __future__ import annotations

from nas_peft.data.source import Reading, require_source
from nas_peft.settings.training_config import TrainingConfig
from search_spaces.errors import InputError


def require_data_and_weights(config: TrainingConfig) -> None:
    """Raise `InputError` for a missing or malformed data set, and for a missing weights file.

    Images are found and counted here, but none is decoded.
    """
    require_source(config.dataset, Reading(config.layout, config.domains))
    weights = config.backbone_weights
    if weights is not None and not weights.exists():
        raise InputError(f"no backbone weights at '{weights}'; give a .safetensors or torch file")
