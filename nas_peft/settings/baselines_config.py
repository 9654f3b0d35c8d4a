"""The configuration of a comparison without a search."""

from __future__ import annotations

from pydantic import Field, model_validator

from nas_peft.settings.baselines import parse_baselines
from nas_peft.settings.training_config import TrainingConfig


class BaselinesConfig(TrainingConfig):
    """What `nas-peft baselines` is asked for: all that a search's comparison has, but the search."""

    baselines: str = Field("all", description=TrainingConfig.model_fields["baselines"].description)

    @model_validator(mode="after")
    def _require_averaged(self) -> BaselinesConfig:
        if self.soup and "full" not in [baseline.name for baseline in parse_baselines(self.baselines)]:
            raise ValueError(
                f"soup is {self.soup}, and without a search it averages full fine-tuning alone, which is not "
                f"among the baselines '{self.baselines}'; add full to them, or leave soup out"
            )
        return self
