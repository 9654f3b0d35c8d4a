"""Options of trainings that others leave nothing to do, or contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.methods import METHODS, RATES

if TYPE_CHECKING:
    from nas_peft.settings.training_config import TrainingConfig


def require_used(config: TrainingConfig) -> None:
    """Raise ``ValueError`` for an option that has no effect beside the others, naming both and the remedy.

    Where a plan is still to set the others, only what it leaves alone is checked; the planned configuration
    is checked as a whole.
    """
    if config.early_stopping and config.pack not in (None, 1):
        raise ValueError(
            f"early_stopping ends single trainings, and pack is {config.pack}; leave one of them out"
        )
    if config.micro_batches > config.batch_size:
        raise ValueError(
            f"a batch of {config.batch_size} images is too small for {config.micro_batches} parts "
            "(micro_batches); give a larger batch_size or fewer parts"
        )
    if not config.awaits_plan:
        _require_used_by_plan(config)


def _require_used_by_plan(config: TrainingConfig) -> None:
    """The options that read what a plan may set: baselines, factors of the rate, and epochs."""
    rates = {METHODS[BASELINES[name].method].rate for name in config.baselines}
    for name, of in (("full_lr", "full, lp-ft and l2-sp"), ("bitfit_lr", "bitfit")):
        if getattr(config, name) != RATES[name] and name not in rates:
            raise ValueError(
                f"{name} is {getattr(config, name)}, which only {of} read, and the baselines are "
                f"'{','.join(config.baselines)}'; leave {name} out, or add one of them"
            )
    if config.early_stopping and len(config.lr_grid) == 1:
        raise ValueError(
            "early_stopping ends trainings of a row that differ in their learning rate, and lr_grid has "
            "one factor; give several, such as --lr-grid 0.3,1,3, or leave early_stopping out"
        )
    if config.halving and not config.several_lengths:
        raise ValueError(
            "halving starts with the fewest epochs, and each row has one number of epochs; give several, "
            "such as --epochs 2,8, or leave halving out"
        )
    if config.allow_full and "full" not in config.baselines:
        raise ValueError(
            f"allow_full is given, and full is not among the baselines '{','.join(config.baselines)}'; add "
            "it, or leave allow_full out"
        )
