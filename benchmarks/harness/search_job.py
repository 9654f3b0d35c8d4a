"""A search as ``nas-peft search`` does it, without a run folder: several searchers on one supernet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from safetensors.torch import save

from benchmarks.harness.bench import Bench, Line
from benchmarks.harness.judged_architectures import architectures
from benchmarks.harness.keys import digest, task_name
from benchmarks.harness.recipes import HEAD, LR
from benchmarks.harness.search_plan import Range, SearchPlan, Way
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.racing import Losses
from nas_peft.searching.searchers import Evolution, Noah, RandomSearch, Searcher, SearchTask
from nas_peft.stages.supernet_recipe import judge, judged_subnets
from nas_peft.training.training import Training
from nas_peft.training.trainings import probe_head
from search_spaces import Architecture, load_space
from search_spaces.streams import stream_seed
from supernet import Curve, Groups, OnePath, Recipe, Supernet, train

KEPT = 3
"""Number of subnets of each searcher that are kept with inherited weights, and retrained."""
NEXT = 8
"""Number of subnets listed after the kept ones: more than there are single methods among the best."""
ANY_DEPTH = 12
"""Depth at which the contents of a space enter a key; any would do, since a store has one backbone."""


@dataclass(frozen=True)
class SearchJob:
    """Search by several searchers on one supernet; inherited weights of the best subnets are kept."""

    task: str
    plan: SearchPlan
    seed: int
    kind: str = "search"

    @property
    def key(self) -> str:
        """Digest of task, plan, seed and contents of the space, since a preset may change under its name."""
        kinds = load_space(self.plan.space, ANY_DEPTH).to_dict()["kinds"]
        return digest(["search", task_name(self.task), self.plan.to_dict(), kinds, self.seed])

    def inherited_key(self, architecture: Architecture) -> str:
        """Key of the model of a subnet with inherited weights."""
        return digest([self.key, architecture.to_dict()])

    def inherited(self, architecture: Architecture) -> tuple[str, Training]:
        """Key and training of a subnet with inherited weights, as `TestJob` takes them."""
        nothing = Recipe(epochs=1, lr=LR)
        training = Training("inherited", "subnet", architecture, nothing, None, self.seed, "train")
        return self.inherited_key(architecture), training

    def run(self, bench: Bench) -> Line:
        """Train the supernet, search, and score the architectures of the table that the space contains."""
        data, inputs = bench.task(self.task)
        where = Range.of(self.plan, bench.backbone.shape, bench.backbone.params)
        scorer, cost = self._supernet(bench, where)
        supernet = scorer.folds[0].supernet
        found: dict[str, Any] = {}
        for way in self.plan.ways:
            found[way] = self._searched(way, where, scorer, inputs.classes, found.get("evolution"))
        for a in {Architecture.from_dict(c["architecture"]) for f in found.values() for c in f["best"]}:
            tensors = supernet.extract(a).module_tensors(a)
            bench.save_model(
                self.inherited_key(a), save({name: t.cpu().contiguous() for name, t in tensors.items()})
            )
        scored = [e.architecture for e in architectures(bench.backbone.shape)]
        scored = [a for a in scored if a in where.space]
        scores = scorer.score(0, np.arange(len(data.val)), scored) if scored else None
        return {
            "task": task_name(self.task),
            "plan": self.plan.to_dict(),
            "seed": self.seed,
            "supernet": cost,
            "found": found,
            "scored": [digest(a.to_dict()) for a in scored],
            "scored_losses": scores.losses.mean(axis=1).tolist() if scores else [],
            "scored_accuracies": scores.hits.mean(axis=1).tolist() if scores else [],
        }

    def _supernet(self, bench: Bench, where: Range) -> tuple[LocalScorer, dict[str, Any]]:
        """Scorer and cost of the supernet; of several lengths validation data choose one."""
        epochs = self.plan.supernet_epochs
        each = (epochs,) if isinstance(epochs, int) else epochs
        trained = [self._trained(bench, where, of) for of in each]
        cost = {
            "image_passes": sum(curve.image_passes for _, curve in trained),
            "seconds": round(sum(curve.seconds for _, curve in trained), 2),
        }
        if len(each) == 1:
            return trained[0][0], cost
        judged = judged_subnets(where.around.sample, self.seed)
        found = [judge(scorer, judged) for scorer, _ in trained]
        losses = [judgement.loss for judgement in found]
        best = losses.index(min(losses))
        return trained[best][0], cost | {
            "image_passes_forward": sum(judgement.image_passes for judgement in found),
            "epochs": each[best],
            "judged_losses": dict(zip(map(str, each), losses, strict=True)),
        }

    def _trained(self, bench: Bench, where: Range, epochs: int) -> tuple[LocalScorer, Curve]:
        data, inputs = bench.task(self.task)
        seed = stream_seed(self.seed, "supernet")
        capacity = where.space.largest()
        network = Supernet(bench.backbone.model, capacity, inputs.classes, seed=seed)
        labels, features = data.train.labels, inputs.features[: len(data.train)]
        probe_head(network, labels, features, bench.preprocessing, HEAD, self.seed)
        if self.plan.chooser == "one-path":
            chooser: OnePath | Groups = OnePath(where.trained.sample)
        else:
            chooser = Groups(where.trained.sample, capacity.kinds, 8)
        curve = train(
            network,
            data.train.images,
            labels,
            preprocessing=bench.preprocessing,
            chooser=chooser,
            recipe=Recipe(epochs, self.plan.supernet_lr),
            seed=seed,
        )
        return LocalScorer([Fold(network.eval(), data.val)], bench.preprocessing), curve

    def _searched(
        self, way: Way, where: Range, scorer: LocalScorer, classes: int, rival: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Run one searcher and list its best subnets within the budget.

        ``random`` continues until it has used as many image passes as ``rival``, the find of ``evolution``.
        """
        task = where.task(self.plan, self.seed)
        by_way: dict[str, Callable[[SearchTask], Searcher]] = {"noah": Noah, "random": RandomSearch}
        searcher = by_way.get(way, Evolution)(task)
        evaluator = InheritedEvaluator(
            scorer, where.shape, classes, racing=way in ("evolution", "random"), seed=self.seed
        )
        started = time.perf_counter()
        history: list[Candidate] = []
        losses: list[Losses] = []
        passes, images, generation = 0.0, 0, 0
        least = rival["image_passes"] if way == "random" and rival else 0.0
        while generation < self.plan.generations or passes < least:
            front = pareto_front(history, lambda c: float(c.params))
            scored = evaluator.evaluate(
                searcher.ask(generation, history),
                generation=generation,
                first_number=len(history),
                incumbents=[(c, losses[c.number]) for c in front],
            )
            history += scored.candidates
            losses += list(scored.losses)
            passes += scored.image_passes
            images += sum(c.images for c in scored.candidates)
            generation += 1
        within = [c for c in searcher.ranked(history) if where.fits(c.architecture)]
        return {
            "candidates": len(history),
            "generations": generation,
            "images": images,
            "image_passes": passes,
            "seconds": round(time.perf_counter() - started, 2),
            "best": [c.to_dict() for c in within[:KEPT]],
            "next": [c.to_dict() for c in within[KEPT : KEPT + NEXT]],
        }


def subnet_training(
    architecture: Architecture,
    recipe: Recipe,
    seed: int,
    on: Literal["train", "train_val"],
) -> Training:
    """Training of a subnet from scratch, named by its architecture so that studies share it."""
    name = f"subnet-{digest(architecture.to_dict())}"
    return Training(name, "subnet", architecture, recipe, HEAD, seed, on, keep=True)


def best_of(found: dict[str, Any]) -> list[Architecture]:
    """Best subnets that a searcher found, best first."""
    return _listed(found["best"])


def mixed_of(found: dict[str, Any]) -> list[Architecture]:
    """Best subnets with several kinds or several sizes, best first.

    A single method of one size is left out, as in ``nas-peft search``: it competes as a baseline anyway.
    """
    subnets = _listed(found["best"] + found["next"])
    return [a for a in subnets if len(a.kinds) > 1 or len(set(a[a.kinds[0]])) > 1][:KEPT]


def _listed(candidates: list[dict[str, Any]]) -> list[Architecture]:
    return [Architecture.from_dict(c["architecture"]) for c in candidates]
