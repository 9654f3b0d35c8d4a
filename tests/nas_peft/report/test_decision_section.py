"""The decision in the words of the metric and the step that decided."""

import dataclasses

import pytest

from nas_peft.report.comparison_page import comparison_page
from nas_peft.report.decision_section import decision_section
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.rows_chart import rows_chart
from nas_peft.report.rows_table import rows_table
from nas_peft.settings.metric import LABELS, SEED_FIELDS

STEPS = ("alone", "accuracy", "loss", "params", "shifted")


def decided(run: ReportedRun, **changes: str | bool) -> ReportedRun:
    decision = run.result.decision.model_copy(update=changes)
    return dataclasses.replace(run, result=run.result.model_copy(update={"decision": decision}))


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("metric", ["accuracy", "macro-f1", "log-loss"])
def test_every_step_has_its_sentence(run: ReportedRun, by: str, metric: str):
    said = decision_section(decided(run, by=by, metric=metric)).why
    assert said.endswith(".")
    assert "{" not in said
    if by in ("accuracy", "params") and metric != "log-loss":
        assert {"accuracy": "accuracy", "macro-f1": "macro F1"}[metric] in said


def test_amounts_are_those_of_the_metric(run: ReportedRun):
    points, losses = (decision_section(decided(run, metric=m)).rivals for m in ("accuracy", "log-loss"))
    assert points is not None
    assert losses is not None
    assert points.columns[3] == "points of accuracy"
    assert losses.columns[3] == "log loss"
    rival = next(r for r in run.result.decision.rivals if run.labels[r.row] == points.rows[0][0])
    assert points.rows[0][3] == f"{100 * rival.difference:+.1f}"
    assert losses.rows[0][3] == f"{-rival.difference:+.3f}"


def test_the_certainty_of_a_robust_run_is_of_unchanged_images(run: ReportedRun):
    section = decision_section(decided(run, by="shifted", robust=True))
    assert "not significantly behind in accuracy" in section.why
    assert section.rivals is not None
    assert section.rivals.caption.endswith("on the unchanged validation images")
    assert section.rivals.note.endswith("the loss on shifted images decided.")
    assert not any("validation data" in remark for remark in section.remarks)
    assert "on the unchanged validation images" in rows_table(decided(run, robust=True)).note
    plain = decision_section(run)
    assert plain.rivals is not None
    assert "unchanged" not in plain.rivals.caption + plain.rivals.note


def test_what_decided_stands_in_the_table(run: ReportedRun):
    plain, balanced = (rows_table(decided(run, metric=m)) for m in ("accuracy", "balanced-accuracy"))
    assert "calibrated loss" in plain.columns
    assert {"validation balanced accuracy %", "test balanced accuracy %"} <= set(balanced.columns)
    place = balanced.columns.index("test balanced accuracy %")
    scores = {line[0]: line[place] for line in balanced.rows}
    tested = [row for row in run.result.rows if row.tested]
    assert tested
    for row in tested:
        assert scores[run.labels[row.name]] == f"{100 * row.mean('test_balanced_accuracy'):.1f}"


@pytest.mark.parametrize("metric", ["balanced-accuracy", "macro-f1", "log-loss"])
def test_figures_charts_and_comparisons_show_the_metric(run: ReportedRun, metric: str):
    by_it, name = decided(run, metric=metric), LABELS[metric]
    score = run.selected.mean(f"test_{SEED_FIELDS[metric]}")
    text = f"{score:.3f}" if metric == "log-loss" else f"{100 * score:.1f}"
    figures = {figure.name: figure.value for figure in decision_section(by_it).figures}
    assert figures[f"Test {name}"].startswith(text)
    assert {f"Validation {name}", "Test accuracy"} <= figures.keys()
    drawn = rows_chart(by_it)
    assert drawn.title == f"{name.capitalize()} against parameters"
    val = run.selected.mean(f"val_{SEED_FIELDS[metric]}")
    assert (f"{val:.3f}" if metric == "log-loss" else f"{100 * val:.1f}%") in drawn.description
    html = comparison_page([by_it, by_it])
    row = html[html.index("metric that decides") :].partition("</tr>")[0]
    assert row.count(name) == 2
    assert "test, by the metric" in html
    assert "by the metric" not in comparison_page([run, run])  # accuracy, which stands there anyway
