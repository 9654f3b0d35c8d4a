"""The end of a run, as it is printed."""

from typing import Any

import pytest

from nas_peft.protocol.decision_summary import decision_summary
from nas_peft.run.results import SearchResult
from nas_peft.run.stage_records import PlanRecord
from search_spaces import Architecture
from search_spaces.kinds import KINDS
from search_spaces.strips import strip

LARGER = {"depth": 8, "lora_rank": [64] * 8, "adapter_dim": [64] * 8, "prompt_tokens": [64] * 8}


def summary(result: SearchResult, **decision: Any) -> str:
    assert result.decision is not None
    changed = result.decision.model_copy(update=decision)
    return decision_summary(result.model_copy(update={"decision": changed}), 80)


def words(text: str) -> str:
    return " ".join(text.split())


def with_verdicts(result: SearchResult, verdict: str, **roles: str) -> SearchResult:
    """The result with all rivals of one verdict, and with the given roles."""
    assert result.decision is not None
    rivals = [rival.model_copy(update={"verdict": verdict}) for rival in result.decision.rivals]
    decision = result.decision.model_copy(update={"rivals": rivals, "roles": roles})
    return result.model_copy(update={"decision": decision})


def test_it_is_short_and_fits(finished_run: SearchResult):
    text = decision_summary(finished_run, 80)
    lines = text.splitlines()
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("chosen ")
    for name in ("because", "how sure", "worth it?", "costs"):
        assert any(line.startswith(name) for line in lines)


def test_the_numbers_of_the_choice_and_of_full_fine_tuning_stand_in_the_table(finished_run: SearchResult):
    text = decision_summary(finished_run, 80)
    full = next(row for row in finished_run.rows if row.name == "full")
    decision = finished_run.decision
    assert decision is not None
    assert decision.loss is not None
    for row in (finished_run.selected, full):
        (line,) = [line for line in text.splitlines() if line[2:].startswith(row.label + "  ")]
        assert f"{100 * row.mean('val_accuracy'):.1f}" in line
        assert f"{100 * row.mean('test_accuracy'):.1f}" in line
        assert f"{row.module_params:,}" in line
        assert line.startswith("►") == row.selected
    (exported,) = (line for line in text.splitlines() if line[0:1] == "►" and "exported" not in line)
    assert f"{decision.loss:.3f}" in exported
    assert "calibrated loss" in text


@pytest.mark.parametrize("width", range(40, 100, 3))
def test_a_strip_stands_beside_its_kind_and_is_that_of_the_table(finished_run: SearchResult, width: int):
    rows = [
        row if row.selected else row.model_copy(update={"architecture": LARGER}) for row in finished_run.rows
    ]
    chosen = Architecture.from_dict(finished_run.selected.architecture)
    text = decision_summary(finished_run.model_copy(update={"rows": rows}), width)
    for kind in chosen.kinds:
        most = max(*chosen[kind], *Architecture.from_dict(LARGER)[kind])
        assert any(f"{KINDS[kind].label} {strip(chosen[kind], most)}" in line for line in text.splitlines())


def test_what_decided_is_said(finished_run: SearchResult):
    assert "its calibrated loss is the lowest" in words(summary(finished_run, by="loss", among=3))
    assert "(of 3 rows that may be exported" in words(summary(finished_run, by="loss", among=3))
    assert "no other row may be exported" in words(summary(finished_run, by="alone", among=1))


def test_a_baseline_that_does_as_well_is_named_and_said_not_to_be_exported(finished_run: SearchResult):
    tied = with_verdicts(finished_run, "tie", full="full")
    text = words(decision_summary(tied, 80))
    assert "linear probing is for comparison only)" in text
    assert "a tie with full fine-tuning and linear probing" in text
    better = words(decision_summary(with_verdicts(finished_run, "better", full="full"), 80))
    assert "for comparison only" not in better


def test_a_run_without_full_fine_tuning_says_how_to_get_it(
    finished_run: SearchResult, plan_record: PlanRecord
):
    assert "not tried" not in decision_summary(finished_run, 80)
    rows = [row for row in finished_run.rows if row.name != "full"]
    assert finished_run.decision is not None
    rivals = [rival for rival in finished_run.decision.rivals if rival.row != "full"]
    roles = {role: name for role, name in finished_run.decision.roles.items() if name != "full"}
    decision = finished_run.decision.model_copy(update={"rivals": rivals, "roles": roles})
    without = finished_run.model_copy(update={"rows": rows, "decision": decision})
    said = "not tried full fine-tuning: --baselines linear,full{} trains it, too"
    unplanned = without.model_copy(update={"plan": None})
    assert said.format("") in words(decision_summary(unplanned, 80))
    planned = without.model_copy(update={"plan": plan_record})
    assert said.format(" or a longer --time") in words(decision_summary(planned, 80))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("tie", "a tie with full fine-tuning"),
        ("worse", "worse than full fine-tuning by "),
        ("better", "better than full fine-tuning by "),
    ],
)
def test_a_tie_is_called_a_tie(finished_run: SearchResult, verdict: str, said: str):
    text = words(decision_summary(with_verdicts(finished_run, verdict, full="full"), 80))
    assert f"how sure {said}" in text
    assert "expected regret" in text


@pytest.mark.parametrize(
    ("verdict", "role", "said"),
    [
        ("tie", "single", "not shown: a tie with "),
        ("better", "single", "yes: better than "),
        ("worse", "single", "no: "),
        ("tie", "searched", "no: {exported} does as well as the searched subnets, a tie"),
        ("better", "searched", "no: {exported} is better than the searched subnets"),
    ],
)
def test_whether_searching_was_worth_it(finished_run: SearchResult, verdict: str, role: str, said: str):
    assert finished_run.decision is not None
    other = next(r.row for r in finished_run.decision.rivals if r.row not in ("full", "linear"))
    changed = with_verdicts(finished_run, verdict, **{role: other})
    text = words(decision_summary(changed, 80))
    assert f"worth it? {said.format(exported=finished_run.selected.label)}" in text
    assert "on the test images searched − single is " in text
    without = decision_summary(changed.model_copy(update={"paired": None}), 80)
    assert "on the test images" not in without


def test_failed_rows_and_remarks_on_the_data_are_said(finished_run: SearchResult):
    *others, full = finished_run.rows
    failed = full.model_copy(update={"seeds": [], "error": "the loss is nan"})
    data = finished_run.dataset | {"warnings": ["two classes look alike"]}
    text = decision_summary(finished_run.model_copy(update={"rows": [*others, failed], "dataset": data}), 80)
    assert "failed     full fine-tuning (full): the loss is nan" in text
    assert "data       two classes look alike" in text


def test_without_retraining_nothing_is_claimed_to_be_sure(finished_run: SearchResult):
    config = finished_run.config | {"no_retrain": True}
    text = words(decision_summary(finished_run.model_copy(update={"decision": None, "config": config}), 80))
    assert "because its loss with inherited weights is the lowest; nothing was retrained" in text
    assert "how sure" not in text.replace("how sure that is", "")
    assert "calibrated" not in text


def test_measured_latency_is_a_cost(finished_run: SearchResult):
    kinds = [k for k in finished_run.selected.architecture if k != "depth"]
    table = {"base": 7.5, "added": {kind: [[0, 0.0], [200, 0.0]] for kind in kinds}}
    record = {
        **{"seconds": 1.0, "environment": {"device": "a processor"}, "unit": "ms", "batch_size": 8},
        **{"image_size": [32, 32], "threads": 2, "precision": "fp32", "modules": "", "rounds": 3},
        **{"networks": {}, "table": table},
    }
    stage = finished_run.stages["search"].model_validate(record)
    changed = finished_run.model_copy(update={"stages": {**finished_run.stages, "latency": stage}})
    assert "7.5 ms for a batch of 8 on a processor" in words(decision_summary(changed, 80))


def robust(result: SearchResult, seeds: int) -> SearchResult:
    """The result as one of a robust run, with averages of the searched subnet, and all it asks for."""
    assert result.decision is not None
    rows = []
    for row in result.rows:
        given = [
            row.seeds[0].model_copy(
                update={"seed": seed, "val_shifted_loss": 1.2 + seed / 100, "val_accuracy": 0.9 - seed / 10}
            )
            for seed in range(seeds)
        ]
        name = "searched subnet, uniform soup" if row.group == "single" else row.label
        rows.append(row.model_copy(update={"seeds": given, "label": name}))
    config = result.config | {"objective": "robust", "metric": "accuracy"}
    decision = result.decision.model_copy(update={"by": "shifted", "robust": True, "fraction": 2.0})
    return result.model_copy(update={"rows": rows, "config": config, "decision": decision})


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_robust_run_fits_and_says_what_its_certainty_is_of(finished_run: SearchResult, seeds: int):
    shown = robust(finished_run, seeds)
    text = decision_summary(shown, 80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    table = lines[lines.index("") + 1 :]
    first, second = table[:2]
    assert ("calibrated" in first, "shifted" in first) == (True, True)
    assert second.split() == ["%", "loss", "%", "loss", "parameters"]
    (exported,) = (line for line in table if line.startswith("►") and "exported" not in line)
    assert ("1.200 " in exported) if seeds == 1 else ("1.210 ± 0.010" in exported)
    said = words(text)
    assert (
        "unchanged validation images; the loss on shifted images, which decided, has no part in this" in said
    )
    assert said.endswith("on unchanged validation images")
    assert "shifted" not in decision_summary(finished_run, 80)


def test_names_are_broken_where_numbers_leave_no_room(finished_run: SearchResult):
    """Every number stays whole and in the first line of its row."""
    shown = robust(finished_run, 3)
    longer = [row.model_copy(update={"label": f"{row.label}, its uniform soup"}) for row in shown.rows]
    lines = decision_summary(shown.model_copy(update={"rows": longer}), 80).splitlines()
    table = lines[lines.index("") + 1 :]
    assert max(map(len, table)) <= 80
    assert any(line.startswith("  ") and line.endswith("soup") for line in table)
    for row in longer:
        if row.selected or row.name == "full":
            (line,) = (line for line in table if f"{row.module_params:,}" in line.split())
            assert line[2:].startswith(row.label.split()[0])
