"""The configuration of a comparison without a search."""

from __future__ import annotations

from pydantic import Field

from nas_peft.training_config import TrainingConfig


class BaselinesConfig(TrainingConfig):
    """What `nas-peft baselines` is asked for: all that a search's comparison has, but the search."""

    baselines: str = Field("all", description=TrainingConfig.model_fields["baselines"].description)
