"""NOAH as published, as a baseline: its supernet and its search, in a folder beside the run's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.settings.baselines import NOAH, parse_baselines
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.stages.search import open_record, search_supernet
from nas_peft.stages.supernet import train_supernets
from search_spaces import Architecture, InputError, count_params
from search_spaces.mixture import Sampler

SUPERNET_EPOCHS = 5
"""In those of a retraining: 500 and 100 in the paper."""

_OF_COMPARISONS = (
    "seeds", "baselines", "lr_grid", "early_stopping", "single_sizes", "soup", "full_lr", "bitfit_lr"
)  # fmt: skip


@dataclass(frozen=True)
class NoahInputs(SearchInputs):
    """What NOAH's search works on; its supernet is trained on uniform draws from the whole space."""

    @property
    def training_sampler(self) -> Sampler:
        """The space itself, whatever the budget."""
        return self.space

    @property
    def training_limit(self) -> int:
        """The parameters of the largest draw."""
        return count_params(self.space.largest(), self.backbone.shape)


def noah_config(config: TrainingConfig) -> SearchConfig:
    """NOAH's search (Zhang, Zhou, Liu 2022, arXiv 2206.04673) for the data and budget of a run.

    As published: its space for VTAB-1k, one uniform path in each step of the supernet, five times the epochs
    of a retraining, a population of 50, and 15 generations after a first one. Ours are the batches, the head
    that is trained briefly first, as for all, and the supernet's learning rate, which is that of subnets (the
    paper's is half of it).
    """
    shared = {
        name: getattr(config, name) for name in TrainingConfig.model_fields if name not in _OF_COMPARISONS
    }
    return SearchConfig.of(
        **shared,
        baselines="none",
        space="noah-vtab",
        searcher="noah",
        chooser="one-path",
        supernet_epochs=SUPERNET_EPOCHS * config.epochs,
        supernet_lr=config.lr,
        generations=16,
        population=50,
        racing=False,
    )


def noah_inputs(task: TaskInputs) -> NoahInputs | None:
    """What NOAH's search needs, where the configuration names that baseline.

    Raises `InputError` where no subnet of NOAH's space is within the budget.
    """
    if NOAH not in [baseline.name for baseline in parse_baselines(task.config.baselines)]:
        return None
    try:
        return NoahInputs.of_task(noah_config(task.config), task)
    except InputError as error:
        reason = str(error).partition(";")[0]  # the rest names options of a search
        raise InputError(
            f"the baseline '{NOAH}': {reason}; raise the budget, or leave {NOAH} out of --baselines"
        ) from error


def search_noah(
    noah: NoahInputs,
    features: Tensor,
    folder: RunFolder,
    bars: StageBars,
    device: str,
    stages: dict[str, Any],
) -> Architecture:
    """The subnet that NOAH's search finds, to be retrained as the others are.

    Its stages are resumed as those of a run are, and ``stages`` gets their records. ``folder`` is the run's.
    """
    own = RunFolder.open(folder.path / NOAH, noah.config)
    record = open_record(noah, own, bars, None, None)
    folds, stages["NOAH's supernet"] = train_supernets(noah, features, own, bars, device)
    scorer = LocalScorer(folds, noah.preprocessing, noah.config.precision)
    candidates, stages["NOAH's search"] = search_supernet(noah, scorer, own, bars, record)
    return next(c.architecture for c in noah.searcher().ranked(candidates) if noah.fits(c.architecture))
