"""The cost of a run, stage by stage."""

import pytest
from rich.console import Console

from nas_peft.cost_ledger import cost_table, one_retraining, stage_costs
from nas_peft.results import SearchResult


def test_passes_are_those_of_the_stages(finished_run: SearchResult):
    costs = {cost.name: cost for cost in stage_costs(finished_run)}
    assert list(costs) == list(finished_run.stages)
    train, val = (finished_run.dataset["counts"][part] for part in ("train", "val"))
    supernet, retraining = costs["supernet"], costs["retraining"]
    assert supernet.forward == supernet.backward == 2 * train  # two epochs
    assert retraining.backward == 6 * train  # one epoch of six networks; the probe reads cached features
    assert costs["linear probe"].forward == train + val
    assert costs["linear probe"].backward == costs["search"].backward == 0
    assert 0 < costs["search"].forward <= 12 * val
    test = finished_run.dataset["counts"]["test"]
    assert costs["test"].forward == 7 * test


def test_one_retraining_is_the_unit(finished_run: SearchResult):
    unit = one_retraining(finished_run)
    assert unit.work == 3 * finished_run.dataset["counts"]["train"]  # one epoch
    costs = {cost.name: cost for cost in stage_costs(finished_run)}
    assert costs["supernet"].work / unit.work == pytest.approx(2)


def test_the_table_has_a_line_for_each_stage(finished_run: SearchResult):
    console = Console(record=True, width=120, quiet=False)
    with console.capture() as captured:
        console.print(cost_table(finished_run))
    for stage in finished_run.stages:
        assert stage in captured.get()
