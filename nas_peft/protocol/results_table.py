"""The rows of a run as tables: their scores, their recipes, their modules, and how sure the choice is."""

from __future__ import annotations

from rich.table import Table

from nas_peft.data.remarks import data_remarks
from nas_peft.protocol.decision_words import (
    decision_sentences,
    last_step,
    paired_sentence,
    validation_images,
)
from nas_peft.protocol.metric_columns import metric_columns
from nas_peft.protocol.metric_words import bounds, label, signed
from nas_peft.protocol.modules_table import Drawn, modules_tables
from nas_peft.run.plain_table import add_number, add_text, plain_table
from nas_peft.run.results import DecisionResult, RivalResult, RowResult, SearchResult
from nas_peft.settings.methods import WEIGHT_DECAY
from search_spaces import Architecture

_MARKS = {"tie": "≈", "worse": "▲"}


def results_table(result: SearchResult) -> Table:
    """Table of the tested and the failed rows, and of the single methods that halving dropped.

    It shows validation accuracy and loss, test accuracy (mean ± standard deviation over seeds), trained
    parameters and operations. Rows that tie with the exported one on the validation set, or are better there,
    are marked.
    """
    budget = result.budget
    head = "head counted" if budget["count_head"] else "head not counted"
    seeds = max(len(row.seeds) for row in result.rows)
    measured = metric_columns(result)
    table = plain_table(
        f"{result.dataset['spec']} on {result.backbone['name']}, budget {budget['text']} = "
        f"{budget['max_params']:,} parameters ({head})",
        f"{_trained_on(result)}; val loss: validation loss; "
        f"{''.join(f'{column.meaning}; ' for column in measured)}"
        f"params: without the head, which has {result.rows[0].head_params:,}; MFLOPs: forward pass of one "
        f"image; {seeds} seed{'s' if seeds > 1 else ''}; ► {_chosen_by(result)} and exported"
        f"{_meaning_of_marks(result)}"
        f"{'; no test: dropped after a round of recipes' if any(map(_dropped_single, result.rows)) else ''}",
    )
    add_text(table)
    table.add_column("method")  # wrapped where a name is long; numbers never are
    headers = ("val %", "val\nloss", "test %", *(column.title for column in measured), "params", "MFLOPs")
    for header in headers:
        add_number(table, header)
    for row in shown_rows(result):
        table.add_row(
            mark(result, row),
            row.label,
            "failed" if row.error is not None else percent(row, "val_accuracy"),
            "" if row.error is not None else f"{row.mean('val_loss'):.3f}",
            percent(row, "test_accuracy") if row.tested else "",
            *(column.cell(row) for column in measured),
            f"{row.module_params:,}",
            f"{row.flops / 1e6:,.0f}",
            style="bold" if row.selected else None,
        )
    return table


def recipes_table(result: SearchResult) -> Table:
    """Table of the recipe that validation chose for each row, and of the number of recipes tried."""
    table = plain_table(
        "recipes",
        "start: weights that the modules start from; rate: highest learning rate; tried: recipes tried by "
        "the first seed, among which validation chose",
    )
    add_text(table)
    table.add_column("method")
    add_text(table, "start")
    for header in ("epochs", "rate"):
        add_number(table, header)
    add_text(table, "augmentation")
    others = [field for field in OTHER_CHOICES if any(_chosen(row, field) for row in result.rows)]
    for field in others:
        add_text(table, OTHER_CHOICES[field])
    add_number(table, "tried")
    for row in shown_rows(result):
        if row.runs:
            tried = {str(run.recipe or run.lr) for run in row.runs if run.on == "train"}
            chosen = row.recipe
            table.add_row(
                mark(result, row),
                row.label,
                chosen.get("start", ""),
                f"{chosen['epochs']}",
                f"{chosen['lr']:g}",
                chosen.get("augmentation", ""),
                *(_chosen(row, field) for field in others),
                f"{len(tried)}",
                style="bold" if row.selected else None,
            )
    return table


OTHER_CHOICES = {
    "class_balance": "class\nbalance",
    "weight_decay": "weight\ndecay",
    "drop_path": "drop\npath",
    "module_dropout": "module\ndropout",
    "module_scale": "module\nscale",
}
"""Fields of a recipe whose columns are shown where a row has another value than the default."""


def _chosen(row: RowResult, field: str) -> str:
    """The value of a field of the row's recipe, where any of its trainings has another than the default."""
    default = {"class_balance": "none", "weight_decay": WEIGHT_DECAY, "module_scale": 1.0}.get(field, 0.0)
    values = {run.recipe.get(field, default) for run in row.runs if run.recipe}
    if row.method == "l2-sp" or not values - {default}:
        return ""
    value = row.recipe.get(field, default)
    return value if isinstance(value, str) else f"{value:g}"


def row_modules_tables(result: SearchResult, width: int) -> list[Table]:
    """Tables of the rows' modules, layer by layer; rows without modules are left out."""
    drawn = [
        Drawn(mark(result, row), (row.label,), Architecture.from_dict(row.architecture), row.selected)
        for row in shown_rows(result)
    ]
    return modules_tables(
        "modules by layer", ["method"], [of for of in drawn if of.architecture.kinds], width
    )


def certainty_table(result: SearchResult) -> Table | None:
    """Table of the exported row against each other row on the validation set; ``None`` without a decision."""
    decision = result.decision
    if decision is None or not decision.rivals:
        return None
    labels = {row.name: row.label for row in result.rows}
    losses = calibrated_losses(result)
    metric = decision.metric
    amount = "difference" if metric == "log-loss" else "points"
    of_pairs = "" if losses else ", exported minus other"
    table = plain_table(
        f"{result.decided.label} (exported) against the others on {decision.images:,} "
        f"{validation_images(decision)}",
        f"{amount}: difference in {label(metric)}; 90%: its interval over {decision.resamples:,} resamples "
        "of images and seeds; better: share of resamples in which the exported row is better; loss: after "
        f"temperature scaling on other images{of_pairs}{_decides(decision)}",
    )
    add_text(table)
    table.add_column("method")
    for header in (amount, "90%", "better", "loss"):
        add_number(table, header)
    add_text(table, "verdict")
    if losses:
        exported = f"{losses[result.decided.name]:.3f}"
        table.add_row("►", result.decided.label, "", "", "", exported, "exported", style="bold")
    for rival in decision.rivals:
        table.add_row(
            _MARKS.get(rival.verdict, ""),
            labels[rival.row] + _candidate(rival, labels),
            signed(metric, rival.difference),
            bounds(metric, rival.interval),
            f"{rival.better:.2f}",
            f"{losses[rival.row]:.3f}" if losses else f"{rival.loss_difference:+.3f}",
            rival.verdict,
        )
    return table


def _decides(decision: DecisionResult) -> str:
    """What the loss decides, or what has decided in its place."""
    if decision.robust:
        return "; all of this is about unchanged images, while the loss on shifted images decided"
    within = f"within {decision.fraction:g} standard errors in {label(decision.metric)}"
    return f", which decides where the others are {within}"


def calibrated_losses(result: SearchResult) -> dict[str, float]:
    """The validation losses after temperature scaling, which the rule compares, by the names of the rows.

    Empty without a decision, and for runs of earlier versions, which recorded differences alone.
    """
    decision = result.decision
    if decision is None or decision.loss is None:
        return {}
    rivals = {rival.row: decision.loss - rival.loss_difference for rival in decision.rivals}
    means = {
        row.name: row.averaging.calibrated_loss
        for row in result.rows
        if row.averaging is not None and row.averaging.calibrated_loss is not None
    }
    return {**means, result.decided.name: decision.loss, **rivals}


def shown_rows(result: SearchResult) -> list[RowResult]:
    """The rows that tables show; searched subnets that lost to another are left out."""
    return [row for row in result.rows if row.tested or row.error is not None or _dropped_single(row)]


def mark(result: SearchResult, row: RowResult) -> str:
    """The sign before a row: exported, a tie with the exported row, or better than that."""
    verdicts = {rival.row: rival.verdict for rival in result.decision.rivals} if result.decision else {}
    return "►" if row.selected else _MARKS.get(verdicts.get(row.name, "better"), "")


def percent(row: RowResult, metric: str) -> str:
    """Mean of an accuracy in per cent, with its standard deviation over seeds."""
    spread = row.std(metric)
    return f"{100 * row.mean(metric):.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def remarks(result: SearchResult) -> str:
    """Remarks below the table: duplicates in the data, failed rows, what decided and how sure that is."""
    lines = [f"failed: {row.label} ({row.name}): {row.error}" for row in result.rows if row.error is not None]
    labels = {row.name: row.label for row in result.rows}
    if result.decision is not None:
        lines += decision_sentences(result.decision, labels, result.decided.name)
        lines += [] if (last := last_step(result)) is None else [f"last step: {last}"]
    if result.paired is not None:
        lines.append(paired_sentence(result.paired, labels))
    return "\n".join([*data_remarks(result.dataset), *lines])


def _candidate(rival: RivalResult, labels: dict[str, str]) -> str:
    """The number of a searched subnet, where several have one label."""
    label = labels[rival.row]
    return f" ({rival.row})" if list(labels.values()).count(label) > 1 else ""


def _trained_on(result: SearchResult) -> str:
    """What the rows were trained on before they were scored on validation and test set."""
    train, test = (f"{result.dataset['counts'][part]:,} images" for part in ("train", "test"))
    if inherits(result):
        return (
            f"{result.selected.label}: weights of the supernet, which was trained on train ({train}); linear "
            f"probing: trained on train for val, on train+val for test; test: {test} read once"
        )
    return f"val: trained on train ({train}); test: trained on train+val, {test} read once"


def _chosen_by(result: SearchResult) -> str:
    return "chosen by its loss with inherited weights" if inherits(result) else "chosen by validation"


def _meaning_of_marks(result: SearchResult) -> str:
    if result.decision is None:
        return ""
    there = "on unchanged validation images" if result.decision.robust else "there"
    return f"; ≈ a tie with it {there}; ▲ better there"


def inherits(result: SearchResult) -> bool:
    """Whether the run ended without retraining: the exported subnet has weights of the supernet."""
    return bool(result.config.get("no_retrain"))


def _dropped_single(row: RowResult) -> bool:
    return row.group == "single" and row.dropped_after is not None and row.error is None
