"""The table of all rows: searched subnets, single methods and baselines."""

from __future__ import annotations

from nas_peft.protocol.decision_words import validation_images
from nas_peft.protocol.metric_words import label
from nas_peft.protocol.results_table import calibrated_losses
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.number_texts import NONE, interval_of_test, of_seeds, score_of_seeds
from nas_peft.report.reported_run import ReportedRun
from nas_peft.run.results import RowResult
from nas_peft.settings.baselines import PRUNED
from nas_peft.settings.metric import BALANCED, Metric

GROUPS = {"searched": "searched", "single": "single method", "baseline": "baseline"}
_VERDICTS = {"tie": "≈\u00a0tie", "worse": "▲\u00a0better", "better": ""}


def modules_table(run: ReportedRun) -> DataTable:
    """The modules of every row, layer by layer."""
    return data_table(
        "Modules of each model",
        ("method", "group", "modules by layer"),
        ((run.labels[row.name], GROUPS[row.group], row.description) for row in run.result.rows),
        texts=3,
        marked=(place for place, row in enumerate(run.result.rows) if row.selected),
        note="One number for each layer, from input to output, or one size of all layers: prompts, rank, or "
        "hidden units.",
    )


def rows_table(run: ReportedRun) -> DataTable:
    """Every row with its scores, parameters and recipe; the exported one is marked."""
    result, labels = run.result, run.labels
    decision = result.decision
    verdicts = {rival.row: _VERDICTS[rival.verdict] for rival in decision.rivals} if decision else {}
    seeds = max(len(row.seeds) for row in result.rows)
    calibrated = calibrated_losses(result)
    metric = run.metric
    balanced = f" {label(metric)} %" if metric in BALANCED else None
    columns = (
        *("method", "verdict", "recipe"),
        *([] if balanced is None else [f"validation{balanced}", f"test{balanced}"]),
        *(["calibrated loss"] if calibrated else []),
        *("validation loss", "validation %", "test %", "95% interval"),
        *(["test loss"] if metric == "log-loss" else []),
        *("parameters", "MFLOPs"),
    )
    known = "Calibrated loss: after temperature scaling on other images. " if calibrated else ""
    spread = "One seed." if seeds < 2 else f"Mean ± standard deviation over {seeds} seeds."
    where = "validation images" if decision is None else validation_images(decision)
    note = (
        f"{known}Validation: trained on {result.dataset['counts']['train']:,} images. Test: trained on "
        "these and the validation images, and read once. Parameters include those of the head. Verdict: "
        f"against the exported row on the {where}. The interval is of the first seed's test "
        f"accuracy, by Wilson's score. {spread}"
    )
    return data_table(
        "All compared models",
        columns,
        (
            (
                labels[row.name],
                "►\u00a0exported" if row.selected else verdicts.get(row.name, ""),
                recipe_text(row),
                *([] if balanced is None else _balanced(row, metric)),
                *([_loss(calibrated.get(row.name))] if calibrated else []),
                *_scores(row),
                interval_of_test(row, result),
                *([score_of_seeds(row, "test", metric)] if metric == "log-loss" else []),
                f"{row.params:,}",
                f"{row.flops / 1e6:,.0f}",
            )
            for row in result.rows
        ),
        texts=3,
        marked=(place for place, row in enumerate(result.rows) if row.selected),
        note=note,
    )


def _balanced(row: RowResult, metric: Metric) -> list[str]:
    """Validation and test score of a metric that counts every class alike."""
    return [score_of_seeds(row, "val", metric), score_of_seeds(row, "test", metric)]


def _loss(loss: float | None) -> str:
    return NONE if loss is None else f"{loss:.3f}"


def _scores(row: RowResult) -> tuple[str, str, str]:
    """Validation loss and accuracy, and what stands for the test accuracy where there is none."""
    if not row.seeds:
        return "failed", NONE, NONE
    tested = of_seeds(row, "test_accuracy") if row.tested else "not tested"
    return f"{row.mean('val_loss'):.3f}", of_seeds(row, "val_accuracy"), tested


def recipe_text(row: RowResult) -> str:
    """The recipe of a row in a few words; inherited weights have none."""
    if row.error is not None:
        return NONE
    if row.averaging is not None:
        alpha = "" if row.averaging.alpha is None else f", α {row.averaging.alpha:g}"
        return f"{row.averaging.way.replace('-', ' ')} of {row.averaging.of}{alpha}"
    if row.seeds and row.seeds[0].lr is None:
        return "inherited weights, not trained further"
    recipe = row.recipe
    epochs = recipe["epochs"]
    said = [f"{epochs} epoch{'' if epochs == 1 else 's'}", f"rate {recipe['lr']:g}"]
    names = [recipe.get(name, "none") for name in ("augmentation", "class_balance")]
    said += [name for name in names if name != "none"]
    rates = {name.replace("_", " "): recipe.get(name, 0) for name in ("drop_path", "module_dropout")}
    said += [f"{name} {rate:g}" for name, rate in rates.items() if rate]
    if (scale := recipe.get("module_scale", 1)) != 1:
        said.append(f"module scale {scale:g}")
    if recipe.get("start") == "inherited":
        pruned = row.method == PRUNED
        said.append("from pruned weights" if pruned else "from inherited weights")
    return ", ".join(said)
