"""Inputs of a search: data, backbone, space and budget, loaded from the configuration and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from nas_peft.corruptions.choosing import ShiftedValidation, corrupted_for_choice
from nas_peft.data.folds import domain_folds
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.module_files import import_module_files, module_file_digest
from nas_peft.run.progress import StageBars
from nas_peft.run.single_methods import (
    ALWAYS_COMPARED,
    LORA_EVERYWHERE,
    halvings,
    largest_alone,
    lora_everywhere,
)
from nas_peft.run.stage_records import InputsRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.searching.candidate import Candidate, cost_of
from nas_peft.searching.robust_ranking import RobustRanking, by_loss
from nas_peft.searching.searchers import Searcher, SearchTask, build_searcher, parse_options
from nas_peft.settings.search_config import SearchConfig
from search_spaces import (
    KINDS,
    Architecture,
    Budget,
    BudgetSampler,
    InputError,
    LatencyTable,
    SearchSpace,
    count_params,
    load_space,
    sampler_around,
    sampler_over_range,
)
from search_spaces.mixture import MixtureSampler, Sampler
from supernet import Backbone, create_backbone

_Inputs = TypeVar("_Inputs", bound="SearchInputs")

_RANKS_EVERYWHERE = 2
"""Ranks of LoRA everywhere with which a search starts."""


@dataclass(frozen=True)
class SearchInputs(TaskInputs):
    """Inputs shared by the stages of a search, never changed.

    ``sampler`` draws around the budget; ``front_sampler`` draws half around the budget and half over the
    whole range of the front, which ends at ``front_limit`` parameters. ``latency`` is set once measured, in
    runs that need it.
    """

    config: SearchConfig
    space: SearchSpace
    sampler: BudgetSampler
    front_sampler: Sampler
    front_limit: int
    latency: LatencyTable | None = None

    @classmethod
    def load(cls, config: SearchConfig, bars: StageBars) -> SearchInputs:
        """Load and check all inputs. Raises `InputError` for any mistake in the configuration."""
        import_module_files(config.module_files)
        searcher_options(config)  # reports mistakes before anything is loaded
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        require_kinds(load_space(config.space, backbone.depth), backbone)  # likewise
        task = TaskInputs.of(config, backbone, bars)
        if config.awaits_plan and "budget" not in config.fixed:
            # the plan's own, so that nothing is refused for the default of a search without a plan
            config = config.model_copy(update={"budget": task.planned_budget})
            task = task.under(config)
        return cls.of_task(config, task)

    @classmethod
    def of_task(cls: type[_Inputs], config: SearchConfig, task: TaskInputs) -> _Inputs:
        """Inputs of a search by ``config`` on a loaded task.

        Raises `InputError` for anything in ``config`` that does not fit the task.
        """
        backbone = task.backbone
        space = load_space(config.space, backbone.depth)
        require_kinds(space, backbone)
        task.budget.require_feasible(space, backbone.shape, task.head_params)
        limit = task.budget.limit(task.head_params)
        sampler = sampler_around(space, backbone.shape, limit)
        front_limit = _front_limit(config, space, backbone, limit)
        whole = sampler_over_range(space, backbone.shape, front_limit)
        inputs = cls(
            config=config,
            backbone=backbone,
            preprocessing=task.preprocessing,
            budget=task.budget,
            dataset=task.dataset,
            space=space,
            sampler=sampler,
            front_sampler=MixtureSampler((sampler, whole)),
            front_limit=front_limit,
        )
        # reports options that it cannot work with
        build_searcher(config.searcher, inputs.search_task(), searcher_options(config))
        return inputs

    def with_config(self, config: SearchConfig) -> SearchInputs:
        """The same data and backbone with other options of search and trainings."""
        return SearchInputs.of_task(config, self.under(config))

    def single_methods(self) -> dict[str, Architecture]:
        """The single methods of every run, then the largest uniform member of each other kind of the space.

        All are within the budget. Sizes of the former are not limited to the space's: a method alone should
        use the whole budget. For the latter, half the size and so on means the next smaller size of the
        space. With ``singles`` only those that it names, of any size.
        """
        found = super().single_methods()
        if self.config.singles:
            return found
        for kind, fitting in self._fitting().items():
            if kind in ALWAYS_COMPARED:
                continue
            by_size = {architecture[kind][0]: architecture for architecture in fitting}
            for most in halvings(max(by_size), self.config.single_sizes):
                size = max((size for size in by_size if size <= most), default=0)
                if size:
                    found[f"{kind}-{size}"] = by_size[size]
        return found

    def largest_uniform(self) -> dict[str, Architecture]:
        """Each kind of the space alone in every layer, at the largest size of the space that fits."""
        return {kind: fitting[-1] for kind, fitting in self._fitting().items()}

    def _fitting(self) -> dict[str, list[Architecture]]:
        """Each kind of the space alone in every layer, at each size that fits; other kinds are left out."""
        of_kinds = {kind: self.space.uniform_architectures(kind) for kind, _ in self.space.kinds}
        fitting = {kind: [a for a in alone if self.fits(a)] for kind, alone in of_kinds.items()}
        return {kind: alone for kind, alone in fitting.items() if alone}

    def search_task(self) -> SearchTask:
        """The search task. Its references are subnets that are alike in all layers.

        These are LoRA everywhere at its two largest ranks that are members, then each kind alone at the
        largest size, then at smaller sizes. The smaller sizes are limited so that half of a generation is
        left to other architectures: in a space of many kinds the references alone would be more than one
        generation.
        """
        shape, limit = self.backbone.shape, self.budget.limit(self.head_params)
        ranks = range(largest_alone(LORA_EVERYWHERE, shape, limit), 0, -1)
        everywhere = [a for rank in ranks if (a := lora_everywhere(rank, shape)) in self.space]
        largest = [*everywhere[:_RANKS_EVERYWHERE], *self.largest_uniform().values()]
        uniform = [a for kind, _ in self.space.kinds for a in self.space.uniform_architectures(kind)]
        smaller = [a for a in uniform if self.fits(a) and a not in largest]
        room = max(0, self.config.population // 2 - len(largest))
        task = SearchTask(
            space=self.space,
            fits=self.fits,
            sampler=self.sampler,
            references=[*largest, *smaller[:room]],
            population=self.config.population,
            generations=self.config.generations,
            seed=self.config.seed,
            cost=self.cost,
            rank=RobustRanking(self.config.robust_margin) if self.config.robust else by_loss,
        )
        return replace(task, front=replace(task, fits=self.in_range, sampler=self.front_sampler))

    def in_range(self, architecture: Architecture) -> bool:
        """Whether the front may hold ``architecture``."""
        return count_params(architecture, self.backbone.shape) <= self.front_limit

    def cost(self, candidate: Candidate) -> float:
        """Cost of a candidate, which the front sets against the loss."""
        return cost_of(candidate, self.config.front_field)

    def ranked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates that may be retrained, best first: by the searcher, or for the robust objective.

        They are within the budget, and ranked among themselves: how good a larger one is must not decide
        for them.
        """
        fitting = [candidate for candidate in candidates if self.fits(candidate.architecture)]
        if self.config.robust:
            return RobustRanking(self.config.robust_margin)(fitting)
        return self.searcher().ranked(fitting)

    def left_out_domains(self) -> dict[str, Tensor]:
        """The training images of each domain, by `domain_folds`, if the objective asks for unseen domains."""
        data = self.dataset
        return domain_folds(data.train_domains, data.train.labels) if self.config.robust else {}

    def for_trainings(self, features: Tensor, inherited: InheritedStarts | None = None) -> TrainingInputs:
        """See `TaskInputs.for_trainings`.

        With the robust objective trainings are scored on copies, too, and on domains that they leave out.
        """
        found = super().for_trainings(features, inherited)
        if not self.config.robust:
            return found
        copies = corrupted_for_choice(self.dataset.val, self.config.seed)
        shifted = ShiftedValidation(copies, self.config.robust_margin)
        return replace(found, shifted=shifted, domains=self.left_out_domains())

    @property
    def races(self) -> bool:
        """Whether candidates may be eliminated on the first images of the validation set."""
        return self.config.racing and not self.config.robust and not self.searcher().compares_accuracies

    @property
    def training_sampler(self) -> Sampler:
        """Sampler for training the supernet: half around the budget, half uniform over the space.

        Most uniform draws have many times the budget, so every unit has a gradient in most steps. A supernet
        trained for few epochs then ranks subnets well, small ones too, which sparse draws alone do not yet
        achieve (docs/log/few_epoch_supernet.md). If the front ends before the space does, that half are
        sparse draws over the front's range instead, as larger architectures are never scored.
        """
        if self.front_limit < count_params(self.space.largest(), self.backbone.shape):
            return self.front_sampler
        return MixtureSampler((self.sampler, self.space))

    @property
    def training_limit(self) -> int:
        """The most parameters of a draw of `training_sampler`."""
        return self.front_limit

    def searcher(self) -> Searcher:
        """The searcher that the configuration names."""
        return build_searcher(self.config.searcher, self.search_task(), searcher_options(self.config))

    @property
    def module_files(self) -> tuple[Path, ...]:
        """Python files that register the user's own module kinds."""
        return self.config.module_files

    def record(self) -> InputsRecord:
        """Data, backbone, space and module files, which a resumed run must find unchanged."""
        return (
            super()
            .record()
            .model_copy(
                update={
                    "space": json.loads(json.dumps(self.space.to_dict())),
                    "module_files": {str(f): module_file_digest(f) for f in self.config.module_files},
                }
            )
        )


def require_kinds(space: SearchSpace, backbone: Backbone) -> None:
    """Raise `InputError` for a space with a kind that ``backbone`` cannot have."""
    for kind, _ in space.kinds:
        KINDS[kind].require_backbone(backbone.shape)


def searcher_options(config: SearchConfig) -> dict[str, Any]:
    """The given options of the searcher. Raises `InputError` for an option that the searcher lacks."""
    flags = {"parents": config.parents, "mutation_probability": config.mutation_probability}
    return parse_options(config.searcher, config.searcher_options, flags)


def _front_limit(config: SearchConfig, space: SearchSpace, backbone: Backbone, within: int) -> int:
    largest = count_params(space.largest(), backbone.shape)
    if config.front_budget is None:
        return largest
    limit = Budget.parse(config.front_budget, backbone_params=backbone.params).max_params
    if limit < within:
        raise InputError(
            f"front_budget {config.front_budget!r} is {limit:,} parameters, and the budget leaves {within:,} "
            "for modules; give a front_budget of at least as many, or leave it out"
        )
    return min(limit, largest)
