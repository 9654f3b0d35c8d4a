"""The configuration of a comparison without a search."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nas_peft.settings.baselines import baseline_names
from nas_peft.settings.lists import BaselineNames
from nas_peft.settings.panels import Panel, Screen
from nas_peft.settings.training_config import TrainingConfig


class BaselinesConfig(TrainingConfig):
    """Configuration of `nas-peft baselines`: the options of a search's comparison, none of the search."""

    baselines: Annotated[BaselineNames, Panel.COMPARISON, Screen.TRAININGS] = Field(
        baseline_names(["all"]),
        description=f"{TrainingConfig.model_fields['baselines'].description}; by default all",
    )

    @model_validator(mode="after")
    def _require_averaged(self) -> BaselinesConfig:
        if self.soup and "full" not in self.baselines:
            raise ValueError(
                f"soup is {self.soup}, and without a search it averages full fine-tuning alone, which is not "
                f"among the baselines '{','.join(self.baselines)}'; add full to them, or leave soup out"
            )
        return self
