"""The table that a search ends with, as it is printed."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from nas_peft.protocol.results_table import (
    certainty_table,
    recipes_table,
    remarks,
    results_table,
    row_modules_tables,
)
from nas_peft.run.results import RowResult, SearchResult, SeedResult


def text_of(*tables: Table | None, width: int = 80) -> str:
    console = Console(record=True, width=width, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.export_text()


def printed(result: SearchResult) -> str:
    return text_of(results_table(result))


def line_of(text: str, label: str) -> str:
    (line,) = (line for line in text.splitlines() if label in line)
    return line


def with_seeds(row: RowResult, *val_and_test: tuple[float, float | None]) -> RowResult:
    template = row.seeds[0]
    changes: list[dict[str, Any]] = [
        {"seed": i, "val_accuracy": val, "test_accuracy": test} for i, (val, test) in enumerate(val_and_test)
    ]
    seeds: list[SeedResult] = [template.model_copy(update=change) for change in changes]
    return row.model_copy(update={"seeds": seeds})


@pytest.fixture
def two_seeds(finished_run: SearchResult) -> SearchResult:
    rows = [with_seeds(row, (0.9, 0.7), (0.8, 0.75)) for row in finished_run.rows]
    return finished_run.model_copy(update={"rows": rows})


def test_every_tested_row_is_a_line_with_its_numbers(finished_run: SearchResult):
    text = printed(finished_run)
    for row in finished_run.rows:
        line = line_of(text, row.label)
        assert f"{row.module_params:,}" in line
        assert f"{row.flops / 1e6:,.0f}" in line
        assert f"{100 * row.mean('val_accuracy'):.1f}" in line
        assert f"{row.mean('val_loss'):.3f}" in line
        assert f"{100 * row.mean('test_accuracy'):.1f}" in line
        assert ("►" in line) == row.selected
    assert f"without the head, which has {finished_run.rows[0].head_params:,}" in " ".join(text.split())


def test_classes_of_uneven_sizes_have_a_balanced_accuracy(finished_run: SearchResult):
    assert "bal %" not in printed(finished_run)  # its classes are alike
    counts = finished_run.dataset["class_counts"] | {"test": [40, 3, 0]}
    uneven = finished_run.model_copy(update={"dataset": finished_run.dataset | {"class_counts": counts}})
    text = printed(uneven)
    assert "bal %: mean over classes of the share of their images that is right, on the test set" in " ".join(
        text.split()
    )
    row = uneven.selected
    assert line_of(text, row.label).split()[-3] == f"{100 * row.mean('test_balanced_accuracy'):.1f}"
    unknown = [
        row.model_copy(
            update={"seeds": [s.model_copy(update={"test_balanced_accuracy": None}) for s in row.seeds]}
        )
        for row in uneven.rows
    ]
    assert "bal %" not in printed(uneven.model_copy(update={"rows": unknown}))


def test_a_searched_subnet_that_lost_is_left_out(finished_run: SearchResult):
    first = finished_run.rows[0]
    assert first.group == "searched"
    lost = with_seeds(first, (0.1, None)).model_copy(update={"label": "loser", "selected": False})
    assert "loser" not in printed(finished_run.model_copy(update={"rows": [first, lost]}))


def test_a_row_that_failed_is_a_line_and_the_reason_stands_below(finished_run: SearchResult):
    *others, full = finished_run.rows
    failed = full.model_copy(update={"seeds": [], "error": "seed 0, learning rate 1: the loss is nan"})
    result = finished_run.model_copy(update={"rows": [*others, failed]})
    line = line_of(printed(result), "full fine-tuning")
    assert "failed" in line
    assert f"{full.module_params:,}" in line
    assert "failed: full fine-tuning (full): seed 0, learning rate 1: the loss is nan" in remarks(result)
    assert "failed" not in printed(finished_run) + remarks(finished_run)


def test_every_recipe_is_a_line_with_the_number_that_was_tried(finished_run: SearchResult):
    *others, full = finished_run.rows
    recipe = full.recipe | {"augmentation": "crop-flip", "epochs": 24, "lr": 0.5}
    tried = full.runs[0].model_copy(update={"recipe": recipe, "lr": 0.5})
    row = full.model_copy(update={"runs": [tried, *full.runs], "recipe": recipe})
    text = text_of(recipes_table(finished_run.model_copy(update={"rows": [*others, row]})))
    assert line_of(text, "full fine-tuning").split()[-5:] == ["pretrained", "24", "0.5", "crop-flip", "2"]
    assert line_of(text, "LoRA alone").split()[-5:] == ["pretrained", "1", "0.005", "none", "1"]


def test_modules_are_one_line_a_row_in_as_many_tables_as_fit(finished_run: SearchResult):
    text = text_of(*row_modules_tables(finished_run, 80))
    assert max(map(len, text.splitlines())) <= 80
    assert sum("LoRA alone" in line for line in text.splitlines()) == text.count("modules by layer")
    rows = [row for row in finished_run.rows if len(row.architecture) > 1]
    assert all(row.label in text for row in rows)
    assert "█" * 8 in line_of(text_of(*row_modules_tables(finished_run, 300), width=300), "SSF alone")


def test_the_certainty_has_what_decided(finished_run: SearchResult):
    decision = finished_run.decision
    assert decision is not None
    assert decision.loss is not None
    text = text_of(certainty_table(finished_run))
    (exported,) = (line for line in text.splitlines() if line.startswith("►"))
    assert f"{decision.loss:.3f}" in exported
    for rival in decision.rivals:
        assert f"{decision.loss - rival.loss_difference:.3f}" in text
        assert f"{rival.better:.2f}" in text
    earlier = decision.model_copy(update={"loss": None})
    text = text_of(certainty_table(finished_run.model_copy(update={"decision": earlier})))
    assert f"{decision.rivals[0].loss_difference:+.3f}" in text
    assert certainty_table(finished_run.model_copy(update={"decision": None})) is None


def test_a_run_without_retraining_says_whose_weights_were_tested(finished_run: SearchResult):
    changed = finished_run.model_copy(update={"config": finished_run.config | {"no_retrain": True}})
    text = " ".join(printed(changed).split())
    assert f"{finished_run.selected.label}: weights of the supernet, which was trained on train" in text
    assert "► chosen by its loss with inherited weights and exported" in text


def test_the_pair_is_a_sentence_under_the_table(finished_run: SearchResult):
    *_, sentence = remarks(finished_run).splitlines()
    assert sentence.startswith("searched subnet against ")
    assert "the best single method on validation data" in sentence


def test_what_decided_and_how_sure_that_is_stands_under_the_table(finished_run: SearchResult):
    decision, selected = finished_run.decision, finished_run.selected
    assert decision is not None
    first, second, *_ = remarks(finished_run).splitlines()
    assert first.startswith(
        f"exported: {selected.label} ({selected.name}), one of {decision.among} rows that may be: "
    )
    assert f"on {decision.images} validation images its accuracy is " in second
    assert "points against full fine-tuning (90% " in second
    earlier = finished_run.model_copy(update={"decision": None})
    assert "exported:" not in remarks(earlier)
    assert "≈" not in printed(earlier)


@pytest.mark.parametrize(("verdict", "mark"), [("tie", "≈"), ("worse", "▲"), ("better", None)])
def test_rows_that_tie_or_are_better_are_marked(finished_run: SearchResult, verdict: str, mark: str | None):
    decision = finished_run.decision
    assert decision is not None
    rivals = [rival.model_copy(update={"verdict": verdict}) for rival in decision.rivals]
    changed = decision.model_copy(update={"rivals": rivals})
    line = line_of(printed(finished_run.model_copy(update={"decision": changed})), "full fine-tuning")
    assert {sign for sign in "≈▲►" if sign in line} == ({mark} if mark else set())


def test_one_seed_shows_no_spread(finished_run: SearchResult):
    text = printed(finished_run)
    assert "±" not in text
    assert "1 seed;" in " ".join(text.split())


def test_several_seeds_show_mean_and_standard_deviation(two_seeds: SearchResult):
    text = printed(two_seeds)
    assert "2 seeds;" in " ".join(text.split())
    line = line_of(text, "linear probing")
    assert "85.0 ± 7.1" in line
    assert "72.5 ± 3.5" in line


@pytest.mark.parametrize(("counted", "words"), [(False, "(head not counted)"), (True, "(head counted)")])
def test_the_budget_is_stated(finished_run: SearchResult, counted: bool, words: str):
    budget = {"text": "0.4M", "max_params": 400_000, "count_head": counted}
    text = " ".join(printed(finished_run.model_copy(update={"budget": budget})).split())
    assert f"budget 0.4M = 400,000 parameters {words}" in text
    assert "on vit_micro_patch8_32" in text


def test_the_caption_says_what_was_trained_and_tested_on(finished_run: SearchResult):
    counts = finished_run.dataset["counts"]
    text = " ".join(printed(finished_run).split())
    assert f"val: trained on train ({counts['train']} images)" in text
    assert f"test: trained on train+val, {counts['test']} images read once" in text
    assert "chosen by validation" in text


def test_every_header_and_number_is_whole_at_80_columns(two_seeds: SearchResult):
    """With several seeds and uneven classes, the widest that a table gets."""
    counts = two_seeds.dataset["class_counts"] | {"test": [40, 3, 0]}
    uneven = two_seeds.model_copy(update={"dataset": two_seeds.dataset | {"class_counts": counts}})
    text = text_of(results_table(uneven))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for header in ("method", "val %", "loss", "test %", "bal %", "params", "MFLOPs"):
        assert header in text
    for row in uneven.rows:
        if row.tested:
            assert f"{row.module_params:,}" in text
            assert f"{row.flops / 1e6:,.0f}" in text
    assert text.count("85.0 ± 7.1") == text.count("72.5 ± 3.5") == sum(row.tested for row in uneven.rows)


def test_a_robust_run_shows_the_loss_on_shifted_images(finished_run: SearchResult):
    assert "shifted" not in printed(finished_run)
    seeds = [
        [s.model_copy(update={"val_shifted_loss": 1.234}) for s in row.seeds] for row in finished_run.rows
    ]
    rows = [row.model_copy(update={"seeds": s}) for row, s in zip(finished_run.rows, seeds, strict=True)]
    config = finished_run.config | {"objective": "robust"}
    shown = printed(finished_run.model_copy(update={"rows": rows, "config": config}))
    assert "1.234" in shown
    assert "on corrupted copies of the validation images" in " ".join(shown.split())
    assert finished_run.decision is not None
    decision = finished_run.decision.model_copy(update={"by": "shifted", "robust": True, "fraction": 2.0})
    robust = finished_run.model_copy(update={"rows": rows, "config": config, "decision": decision})
    assert "a tie with it on unchanged validation images" in " ".join(printed(robust).split())
    certainty = " ".join(text_of(certainty_table(robust)).split())
    assert "all of this is about unchanged images, while the loss on shifted images decided" in certainty
    assert "standard errors" not in certainty
    assert "within 0.5 standard errors" in " ".join(text_of(certainty_table(finished_run)).split())
