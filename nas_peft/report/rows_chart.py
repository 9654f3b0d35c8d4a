"""The compared models in one plot: validation accuracy against trained parameters."""

from __future__ import annotations

from nas_peft.report.chart import Chart, chart, drawing, legend_below, logarithmic
from nas_peft.report.data_table import data_table
from nas_peft.report.mark_names import name_marks
from nas_peft.report.number_texts import percent
from nas_peft.report.palette import GROUPS, light
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.rows_table import GROUPS as NAMES
from nas_peft.run.results import RowResult

_MARKERS = {"searched": "o", "single": "D", "baseline": "s"}


def rows_chart(run: ReportedRun) -> Chart:
    """Validation accuracy of each row with scores against its parameters, head included."""
    rows = [row for row in run.result.rows if row.seeds]
    with drawing() as (figure, axes):
        for group, marker in _MARKERS.items():
            of_it = [row for row in rows if row.group == group and not row.selected]
            if of_it:
                x = [row.params for row in of_it]
                y = [100 * row.mean("val_accuracy") for row in of_it]
                axes.scatter(x, y, s=45, marker=marker, color=light(GROUPS[group]), label=NAMES[group])
        chosen = run.selected
        place = ([chosen.params], [100 * chosen.mean("val_accuracy")])
        axes.scatter(*place, s=190, marker="*", color=light("chosen"), label="exported", zorder=4)
        logarithmic(axes)
        axes.margins(x=0.2, y=0.2)
        axes.set_xlabel("trained parameters, head included")
        axes.set_ylabel("validation accuracy, %")
        legend_below(axes)
        marks = [(float(row.params), 100 * row.mean("val_accuracy"), _name(row)) for row in rows]
        name_marks(axes, marks)
        table = data_table(
            "Parameters and validation accuracy",
            ("method", "group", "parameters", "validation %"),
            (
                (run.labels[row.name], NAMES[row.group], f"{row.params:,}", percent(row.mean("val_accuracy")))
                for row in rows
            ),
            texts=2,
            marked=[place for place, row in enumerate(rows) if row.selected],
        )
        best = max(rows, key=lambda row: row.mean("val_accuracy"))
        said = (
            f"The exported row has {percent(chosen.mean('val_accuracy'))}% with {chosen.params:,} parameters"
        )
        if best.mean("val_accuracy") > chosen.mean("val_accuracy"):
            highest = percent(best.mean("val_accuracy"))
            said += f"; the highest is {run.labels[best.name]}, {highest}% with {best.params:,}"
        else:
            said += ", and no row has a higher accuracy"
        said += f". Accuracies are on {run.result.dataset['counts']['val']:,} validation images."
        return chart(figure, "Accuracy against parameters", said, table)


def _name(row: RowResult) -> str:
    """A name short enough to stand beside a mark: searched subnets are told apart by their numbers."""
    return row.name if row.group == "searched" else row.label
