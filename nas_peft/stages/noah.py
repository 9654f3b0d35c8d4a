"""NOAH as published, as a baseline: its supernet and its search, in a folder beside the run's own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SearchStageRecord, SupernetsRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.settings.baselines import NOAH
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.stages.search import open_record, search_supernet
from nas_peft.stages.supernet import train_supernets
from search_spaces import Architecture, InputError, count_params
from search_spaces.mixture import Sampler

SUPERNET_EPOCHS = 5
"""Epochs of the supernet as a multiple of a retraining's: 500 and 100 in the paper."""

POPULATION, GENERATIONS = 50, 16
"""Candidates of a generation, and generations, the first included."""

_OF_COMPARISONS = (
    "seeds", "baselines", "epochs", "augmentation", "class_balance", "weight_decay", "drop_path",
    "module_dropout", "module_scale", "lr_grid",
    "early_stopping", "halving", "single_sizes", "soup", "average", "allow_full", "full_lr", "bitfit_lr",
)  # fmt: skip


@dataclass(frozen=True)
class NoahInputs(SearchInputs):
    """Inputs of NOAH's search, whose supernet is trained on uniform draws from the whole space."""

    @property
    def training_sampler(self) -> Sampler:
        """The space itself, whatever the budget."""
        return self.space

    @property
    def training_limit(self) -> int:
        """Number of parameters of the largest draw."""
        return count_params(self.space.largest(), self.backbone.shape)


def noah_config(config: TrainingConfig) -> SearchConfig:
    """NOAH's search (Zhang, Zhou, Liu 2022, arXiv 2206.04673) for the data and budget of a run.

    As published: NOAH's space for VTAB-1k, one uniform path in each step of the supernet, five times the
    epochs of a retraining, a population of 50, and 15 generations after the first. Different here: the
    batches, the brief training of the head, which all methods get, and the supernet's learning rate, which is
    that of subnets (half of that in the paper).
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
        epochs=config.epochs[0],
        **{name: values[0] for name, values in config.choices.items()},
        supernet_epochs=SUPERNET_EPOCHS * config.epochs[0],
        supernet_lr=config.lr,
        generations=GENERATIONS,
        population=POPULATION,
        racing=False,
    )


def noah_inputs(task: TaskInputs) -> NoahInputs | None:
    """Inputs of NOAH's search, or ``None`` if NOAH is not among the configured baselines.

    Raises `InputError` if no subnet of NOAH's space is within the budget.
    """
    if NOAH not in task.config.baselines:
        return None
    try:
        return NoahInputs.of_task(noah_config(task.config), task)
    except InputError as error:
        reason = str(error).partition(";")[0]  # the rest names options of a search
        raise InputError(
            f"the baseline '{NOAH}': {reason}; raise the budget, or leave {NOAH} out of --baselines"
        ) from error


@dataclass(frozen=True)
class NoahFound:
    """The subnet found by NOAH's search, and the costs of supernet and search."""

    architecture: Architecture
    supernets: SupernetsRecord
    search: SearchStageRecord


def search_noah(run: Run[TaskInputs], noah: NoahInputs, features: Tensor) -> NoahFound:
    """Train and search NOAH's supernet, in a folder within the run folder.

    The stages resume like those of a run. ``features (N, d)`` are the pretrained features of train, then val.
    """
    folder = RunFolder.open(run.folder.path / NOAH, noah.config)
    own = Run(noah, folder, run.device, run.bars, run.ray, run.workers)
    record = open_record(own)
    with run.bars.within("NOAH's"):
        supernets = train_supernets(own, features)
        scorer = LocalScorer(supernets.folds, noah.preprocessing, noah.config.chosen_precision)
        found = search_supernet(own, scorer, record)
    ranked = noah.searcher().ranked(found.candidates)
    best = next(c.architecture for c in ranked if noah.fits(c.architecture))
    return NoahFound(best, supernets.record, found.record)


def noah_architecture(run: Run[TaskInputs], features: Tensor) -> Architecture | None:
    """The subnet found by NOAH's search, with its costs noted; ``None`` without that baseline."""
    noah = noah_inputs(run.inputs)
    if noah is None:
        return None
    found = search_noah(run, noah, features)
    run.costs.add("NOAH's supernet", found.supernets)
    run.costs.add("NOAH's search", found.search)
    return found.architecture
