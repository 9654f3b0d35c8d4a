"""The cost of a run, stage by stage."""

import pytest
import torch.nn.functional as F
from rich.console import Console
from sweep import sweep
from torch import zeros
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas_peft.protocol.cost_ledger import (
    BACKWARD,
    BACKWARD_FULL,
    cost_tables,
    one_retraining,
    stage_costs,
)
from nas_peft.run.results import SearchResult
from search_spaces import Architecture
from supernet import TRAINABLE_SETS, Supernet, random_backbone


def test_the_units_are_those_of_the_network():
    assert TRAINABLE_SETS["modules"].backward_passes == BACKWARD
    assert TRAINABLE_SETS["all"].backward_passes == BACKWARD_FULL


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
    assert unit.work == unit.passes == 2 * finished_run.dataset["counts"]["train"]  # one epoch
    costs = {cost.name: cost for cost in stage_costs(finished_run)}
    assert costs["supernet"].work / unit.work == costs["supernet"].passes / unit.passes == 2
    retraining = costs["retraining"]  # five subnets and full fine-tuning
    assert retraining.passes / unit.passes == 6
    assert retraining.work / unit.work == 6.5
    for epochs, first in ((3, 3), ([2, 5], 2)):  # a number in results of version 0.1
        changed = finished_run.model_copy(update={"config": finished_run.config | {"epochs": epochs}})
        assert one_retraining(changed).passes == first * unit.passes


@pytest.mark.parametrize("kind", sweep(["lora_rank", "adapter_dim"]))
@pytest.mark.parametrize("trained", ["modules", "all"])
def test_a_backward_pass_costs_what_the_ledger_says(kind: str, trained: str):
    backbone = random_backbone("vit_micro_patch8_32", 0)
    network = Supernet(backbone.model, Architecture.of(backbone.depth, {kind: [4] * backbone.depth}), 10)
    network.set_trainable(trained)  # type: ignore[arg-type]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss = F.cross_entropy(network(zeros(2, 3, 32, 32)), zeros(2).long())
        forward = counter.get_total_flops()
        loss.backward()
        backward = counter.get_total_flops() - forward
    assert backward / forward == pytest.approx(BACKWARD if trained == "modules" else BACKWARD_FULL, rel=0.15)


def test_every_stage_says_its_peak_memory(finished_run: SearchResult):
    peaks = {cost.name: cost.peak_memory for cost in stage_costs(finished_run)}
    if finished_run.environment["peak memory"] == "not measured":
        assert set(peaks.values()) == {None}
    else:  # torch alone takes more than a hundred megabytes
        assert all(peak is not None and 10**8 < peak < 10**11 for peak in peaks.values())


def test_the_table_has_a_line_for_each_stage(finished_run: SearchResult):
    lines = printed(finished_run)
    for stage, memory in ((c.name, c.peak_memory) for c in stage_costs(finished_run)):
        (line,) = [line for line in lines if line.startswith(stage)]
        assert (f" {memory / 1e6:,.0f} " if memory else " - ") in line


def test_a_peak_that_was_not_measured_is_no_number(finished_run: SearchResult):
    stages = {"search": finished_run.stages["search"].model_copy(update={"peak_memory": None})}
    changed = {"stages": stages, "environment": {"peak memory": "not measured"}}
    lines = printed(finished_run.model_copy(update=changed))
    (line,) = [line for line in lines if line.startswith("search")]
    assert line.split()[-3] == "-"
    assert "(not measured)" in " ".join(" ".join(lines).split())


def test_it_fits_a_terminal(finished_run: SearchResult):
    lines = printed(finished_run)
    assert max(map(len, lines)) <= 80
    headers = " ".join(line for line in lines[:5])
    for header in ("stage", "forward", "backward", "seconds", "MB", "ings", "work"):
        assert header in headers  # no column is cut


@pytest.mark.parametrize("width", [80, 60, 40, 30])
def test_no_number_is_cut_whatever_the_width(finished_run: SearchResult, width: int):
    """Columns that do not fit go to further tables; a plan has a column more."""
    long = finished_run.stages["retraining"].model_copy(update={"seconds": 1_234_567.0})
    stages = finished_run.stages | {"recipes, late choices": long}
    result = finished_run.model_copy(update={"stages": stages})
    lines = printed(result, width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "…" not in text
    assert "1,234,567" in text
    words = text.split()
    for cost in stage_costs(result):
        for number in (cost.forward, cost.backward, cost.seconds):
            assert f"{number:,.0f}" in words
    assert lines.count("cost, continued") == {80: 0, 60: 1}.get(width, lines.count("cost, continued"))


def printed(result: SearchResult, width: int = 80) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        for table in cost_tables(result, width):
            console.print(table)
    return [line.strip() for line in captured.get().splitlines()]
