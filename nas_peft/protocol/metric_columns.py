"""Columns of the results table for the metric that decides, and for classes of unequal size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_peft.data.summary import uneven
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.settings.metric import Metric


@dataclass(frozen=True)
class MetricColumn:
    """A column: its title, the field of `SeedResult` that it shows, and what the caption says of it."""

    title: str
    field: str
    meaning: str

    def cell(self, row: RowResult) -> str:
        """The mean over seeds, with the standard deviation; empty for a row without these scores."""
        if not row.seeds or any(getattr(seed, self.field) is None for seed in row.seeds):
            return ""
        factor, digits = (1, 3) if self.field in _LOSSES else (100, 1)
        spread = row.std(self.field)
        return f"{factor * row.mean(self.field):.{digits}f}" + (
            "" if spread is None else f" ± {factor * spread:.{digits}f}"
        )


_LOSSES = ("test_loss", "val_shifted_loss")
_SHIFTED = MetricColumn(
    "shifted\nloss",
    "val_shifted_loss",
    "shifted loss: on corrupted copies of the validation images, and on left-out domains",
)
_BALANCED = "mean over classes of the share of their images that is right"
_F1 = "macro F1, the mean over classes of F1"
_VAL: dict[Metric, MetricColumn] = {
    "balanced-accuracy": MetricColumn(
        "val bal %", "val_balanced_accuracy", f"val bal %: {_BALANCED}, on validation data"
    ),
    "macro-f1": MetricColumn("val F1 %", "val_macro_f1", f"val F1 %: {_F1}, on validation data"),
}
_TEST: dict[Metric, MetricColumn] = {
    "balanced-accuracy": MetricColumn(
        "bal %", "test_balanced_accuracy", f"bal %: {_BALANCED}, on the test set"
    ),
    "macro-f1": MetricColumn("F1 %", "test_macro_f1", f"F1 %: {_F1}, on the test set"),
    "log-loss": MetricColumn("test loss", "test_loss", "test loss: log loss on the test set"),
}


def metric_columns(result: SearchResult) -> Sequence[MetricColumn]:
    """The columns beside accuracy and validation loss, in order; none for accuracy and similar classes.

    Those of the metric that decides come first, on validation and test set. Where the largest class has
    more than ten times the images of the smallest, the balanced accuracy on the test set is shown as well,
    and with the objective ``robust`` the loss on shifted images. Columns that no row has, as in results of
    earlier versions, are left out.
    """
    metric: Metric = result.config.get("metric", "accuracy")
    found = [of[metric] for of in (_VAL, _TEST) if metric in of]
    if _TEST["balanced-accuracy"] not in found and uneven(result.dataset["class_counts"]):
        found.append(_TEST["balanced-accuracy"])
    if result.config.get("objective") == "robust":
        found.append(_SHIFTED)
    return [column for column in found if any(column.cell(row) for row in result.rows)]
