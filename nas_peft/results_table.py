"""The table that a search ends with."""

from __future__ import annotations

from rich.table import Table

from nas_peft.results import RowResult, SearchResult


def results_table(result: SearchResult) -> Table:
    """The tested rows: parameters, and accuracies in per cent (mean ± standard deviation over seeds)."""
    budget = result.budget
    head = "head counted" if budget["count_head"] else "head not counted"
    seeds = len(result.rows[0].seeds)
    table = Table(
        title=f"{result.dataset['spec']} on {result.backbone['name']}, budget {budget['text']} = "
        f"{budget['max_params']:,} parameters ({head})",
        caption=f"validation: trained on train ({result.dataset['counts']['train']} images); "
        f"params: without the head's {result.rows[0].head_params:,}; MFLOPs: forward pass of one image; "
        f"test: trained on train+val, {result.dataset['counts']['test']} images read once; "
        f"{seeds} seed{'s' if seeds > 1 else ''}; ► chosen by validation and exported",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    table.add_column("method", no_wrap=True)
    table.add_column("modules by layer", overflow="fold", min_width=16)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("MFLOPs", justify="right", no_wrap=True)
    table.add_column("val %", justify="right", no_wrap=True)
    table.add_column("test %", justify="right", no_wrap=True)
    for row in result.rows:
        if row.tested:
            table.add_row(
                "►" if row.selected else "",
                row.label,
                row.description.replace(", ", "\n"),
                f"{row.module_params:,}",
                f"{row.flops / 1e6:,.0f}",
                _percent(row, "val_accuracy"),
                _percent(row, "test_accuracy"),
                style="bold" if row.selected else None,
            )
    return table


def _percent(row: RowResult, metric: str) -> str:
    spread = row.std(metric)
    return f"{100 * row.mean(metric):.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
