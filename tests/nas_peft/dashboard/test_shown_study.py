"""Trials as the dashboard shows them."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from nas_peft.dashboard.shown_study import readable
from nas_peft.settings.metric import Metric

GIVEN: dict[str, Any] = {
    "number": 3,
    "generation": 1,
    "origin": "mutation",
    "params": 640,
    "accuracy": 0.725,
    "images": 200,
}


@pytest.mark.parametrize(
    ("metric", "name"),
    [("accuracy", "accuracy"), ("log-loss", "accuracy"), ("macro-f1", "balanced accuracy")],
)
def test_parameters_and_attributes_are_readable(metric: Metric, name: str) -> None:
    trial = create_trial(
        state=TrialState.COMPLETE,
        values=[0.5, 640],
        params={"layer03.lora_rank": 4},
        distributions={"layer03.lora_rank": CategoricalDistribution([0, 4])},
        user_attrs=GIVEN,
    )
    shown = readable(trial, metric)
    assert shown.values == [0.5, 640]
    assert shown.params == {"layer 04 LoRA": 4}
    assert shown.user_attrs[f"{name} % with inherited weights"] == 72.5
    assert (shown.user_attrs["candidate"], shown.user_attrs["parameters"]) == (3, 640)
