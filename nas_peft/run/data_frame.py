"""A result as a dataframe of pandas."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.errors import InputError

if TYPE_CHECKING:
    import pandas

    from nas_peft.run.results import RowResult, SearchResult

ROW_COLUMNS = (
    *(
        "row",
        "label",
        "group",
        "method",
        "selected",
        "module_params",
        "head_params",
        "params",
        "bytes",
        "flops",
    ),
    *("epochs", "lr", "augmentation", "class_balance", "start", "seeds"),
    *("val_accuracy", "val_accuracy_std", "val_loss", "test_accuracy", "test_accuracy_std"),
    *("val_balanced_accuracy", "val_macro_f1", "test_balanced_accuracy", "test_macro_f1", "test_loss"),
    *("image_passes", "seconds", "error"),
)
"""Columns of the rows. Scores are means over the seeds, ``_std`` their deviations; costs are sums.

``params`` counts modules and head. A score is missing where the row has none, such as the test accuracy of a
searched subnet that lost on validation data.
"""

TRAINING_COLUMNS = (
    *("row", "label", "group", "method", "on", "seed", "chosen", "epochs", "lr", "augmentation"),
    *("class_balance", "weight_decay", "drop_path", "module_dropout", "module_scale", "label_smoothing"),
    "start",
    *("params", "val_accuracy", "val_loss", "test_accuracy", "test_loss", "image_passes", "seconds"),
    *("stopped_at", "error"),
)
"""Columns of the trainings, of which ``epochs`` to ``start`` are the recipe.

``on`` is ``train`` for those that validation data scored, else ``train_val``. ``params`` counts modules and
head.
"""

_RECIPE = (
    *("epochs", "lr", "augmentation", "class_balance", "weight_decay", "drop_path", "module_dropout"),
    *("module_scale", "label_smoothing", "start"),
)
_SCORES = (
    *("val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss"),
    *("test_accuracy", "test_balanced_accuracy", "test_macro_f1", "test_loss"),
)
_WITH_DEVIATION = ("val_accuracy", "test_accuracy")


def data_frame(result: SearchResult, of: Literal["rows", "trainings"]) -> pandas.DataFrame:
    """The ``ROW_COLUMNS`` of each row, or the ``TRAINING_COLUMNS`` of each training.

    Raises `InputError` for another ``of``, and if pandas is not installed.
    """
    if of not in ("rows", "trainings"):
        raise InputError(f"a dataframe of '{of}' is asked for; give rows or trainings")
    if find_spec("pandas") is None:
        raise InputError(
            "a dataframe needs pandas, which is not installed; install with: pip install 'nas-peft[pandas]'"
        )
    import pandas

    columns: tuple[str, ...]
    if of == "rows":
        lines, columns = [_row(row) for row in result.rows], ROW_COLUMNS
    else:
        lines, columns = [one for row in result.rows for one in _trainings(row)], TRAINING_COLUMNS
    frame = pandas.DataFrame(lines, columns=list(columns))
    scores = [name for name in columns if name.startswith(("val_", "test_"))]
    return frame.astype(dict.fromkeys(scores, float))  # a column without any score, too


def _row(row: RowResult) -> dict[str, Any]:
    found: dict[str, Any] = row.model_dump(include=set(ROW_COLUMNS) - {"seeds"})
    found |= {"row": row.name, "seeds": len(row.seeds), **_of_recipe(row.recipe)}
    for score in _SCORES:
        if row.seeds and all(getattr(seed, score) is not None for seed in row.seeds):
            found[score] = row.mean(score)
            if score in _WITH_DEVIATION:
                found[f"{score}_std"] = row.std(score)
    for cost in ("image_passes", "seconds"):
        found[cost] = sum(getattr(seed, cost) for seed in row.seeds)
    return found


def _trainings(row: RowResult) -> Iterator[dict[str, Any]]:
    for run in row.runs:
        recipe = _of_recipe(run.recipe or {}) | {"lr": run.lr}
        same = run.model_dump(include=set(TRAINING_COLUMNS))
        yield same | recipe | {"row": row.name} | row.model_dump(include={"label", "group", "method"})


def _of_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: recipe[name] for name in _RECIPE if name in recipe}
