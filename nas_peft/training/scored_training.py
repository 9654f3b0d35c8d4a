"""The report of a separate training that has ended, to those who watch a run."""

from __future__ import annotations

from nas_peft.data.count_words import count_words
from nas_peft.run.progress import ScoredModel
from nas_peft.settings.metric import Metric
from nas_peft.training.metrics import mean_score
from nas_peft.training.training_record import TrainingRecord

_OF_RECIPE = (
    *("epochs", "lr", "augmentation", "class_balance", "weight_decay", "drop_path", "module_dropout"),
    *("module_scale", "label_smoothing", "start"),
)
"""Fields of the recipe that the event of a training has."""


def scored_training(
    record: TrainingRecord, label: str, *, eligible: bool, found: bool, metric: Metric = "accuracy"
) -> ScoredModel:
    """The outcome of a training of the row ``label``, for `StageBars.scored`.

    ``eligible`` says whether the row may be exported, ``found`` whether an earlier start of the run did the
    training; ``metric`` is that of the run.
    """
    training, recipe, val = record.training, record.training.recipe, record.val
    variants = "".join(f", {name}" for name in recipe.variants)
    return ScoredModel(
        kind="training",
        name=training.name,
        label=label,
        accuracy=None if val is None else val.accuracy,
        loss=None if val is None else val.loss,
        recipe=f"{count_words(recipe.epochs, 'epochs')}, rate {recipe.lr:g}{variants}",
        eligible=eligible and val is not None and record.failure is None,
        found=found,
        fields={
            "key": training.key,
            "on": training.on,
            "seed": training.seed,
            **{name: getattr(recipe, name) for name in _OF_RECIPE},
            "train_losses": record.curve.losses if record.curve else [],
            "error": record.failure,
        },
        metric=metric,
        score=None if metric == "accuracy" or record.images is None else mean_score(metric, [record.images]),
    )
