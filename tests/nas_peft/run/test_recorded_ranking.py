"""The order of a recorded search is the run's own, whatever ranks its candidates."""

import json
import math
from typing import Any

import numpy as np
import pytest

from nas_peft.run.recorded_ranking import RecordedRanking
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.settings.search_config import SearchConfig
from search_spaces.streams import stream

NOAH = "depth_only_mutation=false,uniform_samples=false"


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, "the lowest loss"),
        ({"searcher": "random", "parents": None}, "the lowest loss"),
        ({"searcher": "noah", "searcher_options": NOAH}, "ranked first by the searcher 'noah'"),
        (
            {"searcher": "noah", "searcher_options": f"{NOAH},rank_by_accuracy=false"},
            "ranked first by the searcher 'noah'",
        ),
        ({"objective": "robust", "robust_margin": 0.3}, "the lowest shifted loss by the robust rule"),
    ],
)
def test_the_order_is_that_of_the_run(
    tiny_inputs: SearchInputs, tiny_values: dict[str, Any], options: dict[str, Any], first: str
):
    config = SearchConfig.of(**tiny_values | options).on("cpu")
    inputs = tiny_inputs.with_config(config)
    rng, draws = np.random.default_rng(0), stream(0, "ranking")
    candidates = [
        Candidate(
            number=number,
            generation=number // 6,
            proposal=Proposal(inputs.sampler.sample(draws), "sample"),
            params=int(rng.integers(1, 9)),
            flops=1,
            loss=math.inf if number == 5 else float(rng.integers(1, 4)) / 4,
            loss_standard_error=0.0,
            accuracy=float(rng.random()),
            images=10,
            shifted_loss=float(rng.random()),
        )
        for number in range(12)
    ]
    ranking = RecordedRanking.of(config, json.loads(json.dumps(inputs.space.to_dict())))
    assert ranking.first == first
    found = ranking.rank(candidates)
    assert found == inputs.ranked(candidates)
    assert len(found) == (6 if "noah" in first else 12)  # NOAH discards its last generation


def test_a_searcher_of_another_program_is_ranked_by_loss(tiny_config: SearchConfig):
    config = tiny_config.model_copy(update={"searcher": "local"})
    assert RecordedRanking.of(config, {}).first == "the lowest loss"
