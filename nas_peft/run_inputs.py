"""What a run works on: data, backbone, space and budget, loaded from the configuration and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from nas_peft.candidate import Candidate
from nas_peft.config import SearchConfig
from nas_peft.data import ImageDataset, load_dataset
from nas_peft.module_files import import_module_files, module_file_digest
from nas_peft.progress import StageBars
from nas_peft.searchers import Searcher, SearchTask, build_searcher, parse_options, searches_front
from search_spaces import (
    Architecture,
    BackboneShape,
    Budget,
    BudgetSampler,
    InputError,
    LatencyTable,
    SearchSpace,
    count_params,
    head_params,
    load_space,
    range_around,
)
from search_spaces.mixture import MixtureSampler, Sampler
from supernet import Backbone, Preprocessing, create_backbone


@dataclass(frozen=True)
class RunInputs:
    """Everything that the stages of a run share and none of them changes.

    ``sampler`` draws around the budget, ``front_sampler`` half around it and half over the whole range of
    the front, which ends at ``front_limit`` parameters. ``latency`` is there once it has been measured, in
    runs that need it.
    """

    config: SearchConfig
    backbone: Backbone
    preprocessing: Preprocessing
    space: SearchSpace
    budget: Budget
    sampler: BudgetSampler
    front_sampler: Sampler
    front_limit: int
    dataset: ImageDataset
    latency: LatencyTable | None = None

    @classmethod
    def load(cls, config: SearchConfig, bars: StageBars) -> RunInputs:
        """Load and check everything. Raises `InputError` for whatever is wrong with the configuration."""
        import_module_files(config.module_files)
        options = searcher_options(config)
        backbone = create_backbone(config.backbone, config.backbone_weights, config.pixels())
        preprocessing = Preprocessing.of(backbone.model)
        space = load_space(config.space, backbone.depth)
        budget = Budget.parse(config.budget, backbone_params=backbone.params, count_head=config.count_head)
        with bars.stage("data (images)") as advance:
            dataset = load_dataset(
                config.dataset,
                to_tensor=preprocessing.to_tensor,
                seed=config.seed,
                shots=config.shots,
                skip_bad_images=config.skip_bad_images,
                root=config.data_root,
                on_progress=advance,
            )
        head = head_params(backbone.width, len(dataset.classes))
        budget.require_feasible(space, backbone.shape, head)
        limit = budget.limit(head)
        sampler = sampler_around(space, backbone.shape, limit)
        front_limit = _front_limit(config, space, backbone, limit)
        whole = sampler_over_range(space, backbone.shape, front_limit)
        mixture = MixtureSampler((sampler, whole))
        inputs = cls(config, backbone, preprocessing, space, budget, sampler, mixture, front_limit, dataset)
        build_searcher(config.searcher, inputs.search_task(), options)  # says what it cannot work with
        return inputs

    @property
    def head_params(self) -> int:
        """Elements of the classifier."""
        return head_params(self.backbone.width, len(self.dataset.classes))

    def fits(self, architecture: Architecture) -> bool:
        """Whether it is within the budget."""
        return self.budget.allows(architecture, self.backbone.shape, self.head_params)

    def single_methods(self) -> dict[str, Architecture]:
        """For each kind alone the largest uniform size within the budget, by a name: ``lora_rank-2``."""
        found = {}
        for kind, _ in self.space.kinds:
            fitting = [a for a in self.space.uniform_architectures(kind) if self.fits(a)]
            if fitting:
                found[f"{kind}-{fitting[-1][kind][0]}"] = fitting[-1]
        return found

    def search_task(self) -> SearchTask:
        """What is searched. The references are the single methods, and smaller ones of one kind.

        Of the latter there are as many as leave half of a generation to other architectures: in a space of
        many kinds they alone would be more than one.
        """
        singles = list(self.single_methods().values())
        uniform = [a for kind, _ in self.space.kinds for a in self.space.uniform_architectures(kind)]
        smaller = [a for a in uniform if self.fits(a) and a not in singles]
        room = max(0, self.config.population // 2 - len(singles))
        task = SearchTask(
            space=self.space,
            fits=self.fits,
            sampler=self.sampler,
            references=[*singles, *smaller[:room]],
            population=self.config.population,
            generations=self.config.generations,
            seed=self.config.seed,
            cost=self.cost,
        )
        return replace(task, front=replace(task, fits=self.in_range, sampler=self.front_sampler))

    def in_range(self, architecture: Architecture) -> bool:
        """Whether the front may hold it."""
        return count_params(architecture, self.backbone.shape) <= self.front_limit

    def cost(self, candidate: Candidate) -> float:
        """What the front sets against the loss."""
        return float(getattr(candidate, self.config.front_cost))

    @property
    def training_sampler(self) -> Sampler:
        """What the supernet is trained on: what the searcher will look at."""
        return self.front_sampler if searches_front(self.config.searcher) else self.sampler

    @property
    def training_limit(self) -> int:
        """The most parameters of what `training_sampler` draws."""
        if searches_front(self.config.searcher):
            return self.front_limit
        return self.budget.limit(self.head_params)

    def searcher(self) -> Searcher:
        """What the configuration says is to search."""
        return build_searcher(self.config.searcher, self.search_task(), searcher_options(self.config))

    def to_dict(self) -> dict[str, Any]:
        """What a resumed run must find unchanged; JSON-able."""
        return {
            "dataset": self.dataset.record,
            "fingerprint": self.dataset.fingerprint,
            "classes": list(self.dataset.classes),
            "backbone": self.backbone_record(),
            "space": self.space.to_dict(),
            "module_files": {str(f): module_file_digest(f) for f in self.config.module_files},
        }

    def backbone_record(self) -> dict[str, Any]:
        """Name, source, digest and size of the backbone."""
        b = self.backbone
        return {"name": b.name, "weights": b.weights, "digest": b.digest, "params": b.params}

    def require_unchanged(self, recorded: dict[str, Any]) -> None:
        """Raise `InputError` if a run was started with other data, another backbone or space."""
        now = json.loads(json.dumps(self.to_dict()))
        changed = [key for key in now if now[key] != recorded.get(key)]
        if changed:
            raise InputError(
                f"the run was started with another {', '.join(changed)} (the files have changed since); "
                "give another --out to start anew"
            )


def searcher_options(config: SearchConfig) -> dict[str, Any]:
    """The options of the searcher that were given. Raises `InputError` for one that it does not have."""
    flags = {"parents": config.parents, "mutation_probability": config.mutation_probability}
    return parse_options(config.searcher, config.searcher_options, flags)


def sampler_around(space: SearchSpace, shape: BackboneShape, limit: int) -> BudgetSampler:
    """Draws architectures around a budget of ``limit`` parameters, see `search_spaces.range_around`."""
    return BudgetSampler(space, shape, *range_around(space, shape, limit))


def sampler_over_range(space: SearchSpace, shape: BackboneShape, limit: int) -> BudgetSampler:
    """Draws from the smallest member with a module up to ``limit`` parameters, flat over log size."""
    return BudgetSampler(space, shape, min(count_params(a, shape) for a in space.smallest_nonempty()), limit)


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
