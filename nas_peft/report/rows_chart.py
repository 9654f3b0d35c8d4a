"""The compared models in one plot: validation score against trained parameters."""

from __future__ import annotations

from nas_peft.protocol.metric_words import label
from nas_peft.report.chart import Chart, chart, drawing, legend_below, logarithmic
from nas_peft.report.data_table import data_table
from nas_peft.report.mark_names import name_marks
from nas_peft.report.palette import GROUPS, light
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.rows_table import GROUPS as NAMES
from nas_peft.run.results import RowResult
from nas_peft.settings.metric import SEED_FIELDS, SHORT

_MARKERS = {"searched": "o", "single": "D", "baseline": "s"}


def rows_chart(run: ReportedRun) -> Chart:
    """Validation score of each row by the run's metric against its parameters, head included."""
    metric = run.metric
    field = f"val_{SEED_FIELDS[metric]}"
    factor, unit = (1, "") if metric == "log-loss" else (100, "%")
    rows = [
        row for row in run.result.rows if row.seeds and all(getattr(s, field) is not None for s in row.seeds)
    ]

    def height(row: RowResult) -> float:
        return factor * row.mean(field)

    def text(row: RowResult) -> str:
        return f"{height(row):.3f}" if metric == "log-loss" else f"{height(row):.1f}"

    with drawing() as (figure, axes):
        for group, marker in _MARKERS.items():
            of_it = [row for row in rows if row.group == group and not row.selected]
            if of_it:
                x = [row.params for row in of_it]
                y = [height(row) for row in of_it]
                axes.scatter(x, y, s=45, marker=marker, color=light(GROUPS[group]), label=NAMES[group])
        chosen = run.selected
        place = ([chosen.params], [height(chosen)])
        axes.scatter(*place, s=190, marker="*", color=light("chosen"), label="exported", zorder=4)
        logarithmic(axes)
        axes.margins(x=0.2, y=0.2)
        axes.set_xlabel("trained parameters, head included")
        axes.set_ylabel(f"validation {label(metric)}{', %' if unit else ''}")
        legend_below(axes)
        marks = [(float(row.params), height(row), _name(row)) for row in rows]
        name_marks(axes, marks)
        table = data_table(
            f"Parameters and validation {label(metric)}",
            ("method", "group", "parameters", f"validation {SHORT[metric]}"),
            ((run.labels[row.name], NAMES[row.group], f"{row.params:,}", text(row)) for row in rows),
            texts=2,
            marked=[place for place, row in enumerate(rows) if row.selected],
        )
        sign = -1 if metric == "log-loss" else 1
        best = max(rows, key=lambda row: sign * height(row))
        said = f"The exported row has {text(chosen)}{unit} with {chosen.params:,} parameters"
        end = "lowest" if metric == "log-loss" else "highest"
        if sign * height(best) > sign * height(chosen):
            said += f"; the {end} is {run.labels[best.name]}, {text(best)}{unit} with {best.params:,}"
        else:
            said += f", and no row has a {'lower' if metric == 'log-loss' else 'higher'} {label(metric)}"
        said += f". Scores are on {run.result.dataset['counts']['val']:,} validation images."
        return chart(figure, f"{label(metric).capitalize()} against parameters", said, table)


def _name(row: RowResult) -> str:
    """A name short enough to stand beside a mark: searched subnets are told apart by their numbers."""
    return row.name if row.group == "searched" else row.label
