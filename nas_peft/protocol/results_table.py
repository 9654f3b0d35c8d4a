"""The table printed at the end of a search."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from nas_peft.data.remarks import data_remarks
from nas_peft.protocol.confidence import decision_sentences
from nas_peft.protocol.metric_columns import metric_columns
from nas_peft.protocol.paired_comparison import paired_sentence
from nas_peft.run.results import RowResult, SearchResult

CHOSEN = {
    "start": "start",
    "epochs": "epochs",
    "lr": "learning rate",
    "augmentation": "augmentation",
    "class_balance": "class balance",
    "weight_decay": "weight decay",
}
"""Fields of a recipe that validation may choose, with the titles of their columns."""

_MARKS = {"tie": "≈", "worse": "▲"}


def results_table(result: SearchResult) -> Table:
    """Table of the tested and the failed rows, and of the single methods that halving dropped.

    It shows parameters, accuracies in per cent (mean ± standard deviation over seeds), the mean validation
    loss and, where several were tried, the chosen parts of the recipe. Rows that tie with the exported one
    on the validation set, or are better there, are marked.
    """
    budget = result.budget
    head = "head counted" if budget["count_head"] else "head not counted"
    seeds = max(len(row.seeds) for row in result.rows)
    measured = metric_columns(result)
    tried = [field for field in CHOSEN if any(_tried(row, field) > 1 for row in result.rows)]
    table = Table(
        title=f"{escape(result.dataset['spec'])} on {result.backbone['name']}, budget {budget['text']} = "
        f"{budget['max_params']:,} parameters ({head})",
        caption=f"validation: trained on train ({result.dataset['counts']['train']} images); "
        f"params: without the head's {result.rows[0].head_params:,}; MFLOPs: forward pass of one image; "
        f"loss: validation loss; "
        f"test: trained on train+val, {result.dataset['counts']['test']} images read once; "
        f"{''.join(f'{column.meaning}; ' for column in measured)}"
        f"{seeds} seed{'s' if seeds > 1 else ''}; ► chosen by validation and exported"
        f"{'; ≈ a tie with it there; ▲ better there' if result.decision else ''}"
        f"{'; no test: dropped after a round of recipes' if any(map(_dropped_single, result.rows)) else ''}",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, 1),  # every column fits into 80 characters
    )
    table.add_column("")
    table.add_column("method", no_wrap=True)
    table.add_column("modules by layer", overflow="fold", min_width=16)
    for field in tried:
        table.add_column(CHOSEN[field], justify="right")
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("MFLOPs", justify="right", no_wrap=True)
    table.add_column("val %", justify="right", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("test %", justify="right", no_wrap=True)
    for column in measured:
        table.add_column(column.title, justify="right", no_wrap=True)
    verdicts = {rival.row: rival.verdict for rival in result.decision.rivals} if result.decision else {}
    for row in result.rows:
        if row.tested or row.error is not None or _dropped_single(row):
            table.add_row(
                "►" if row.selected else _MARKS.get(verdicts.get(row.name, "better"), ""),
                row.label,
                row.description.replace(", ", "\n"),
                *(_chosen(row, field) for field in tried),
                f"{row.module_params:,}",
                f"{row.flops / 1e6:,.0f}",
                "failed" if row.error is not None else _percent(row, "val_accuracy"),
                "" if row.error is not None else f"{row.mean('val_loss'):.3f}",
                _percent(row, "test_accuracy") if row.tested else "",
                *(column.cell(row) for column in measured),
                style="bold" if row.selected else None,
            )
    return table


def _dropped_single(row: RowResult) -> bool:
    return row.group == "single" and row.dropped_after is not None and row.error is None


def _tried(row: RowResult, field: str) -> int:
    """Number of values of a field of the recipe that the row's trainings tried."""
    return len({run.lr if field == "lr" else (run.recipe or {}).get(field) for run in row.runs})


def _chosen(row: RowResult, field: str) -> str:
    if not row.seeds or row.seeds[0].lr is None:
        return ""
    value = row.recipe[field]
    return value if isinstance(value, str) else f"{value:g}"


def remarks(result: SearchResult) -> str:
    """Remarks below the table: duplicates in the data, failed rows, what decided and how sure that is."""
    lines = [f"failed: {row.label} ({row.name}): {row.error}" for row in result.rows if row.error is not None]
    labels = {row.name: row.label for row in result.rows}
    if result.decision is not None:
        lines += decision_sentences(result.decision, labels, result.selected.name)
    if result.paired is not None:
        lines.append(paired_sentence(result.paired, labels))
    return "\n".join([*data_remarks(result.dataset), *lines])


def _percent(row: RowResult, metric: str) -> str:
    spread = row.std(metric)
    return f"{100 * row.mean(metric):.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
