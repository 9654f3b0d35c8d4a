"""The seconds that each stage of a search is expected to take, from measured speeds."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.planning.speeds import typical
from nas_peft.protocol.averaging_stage import LABELS
from nas_peft.protocol.halving import LATE_STAGE, LEAST_ROUNDS, Rounds
from nas_peft.protocol.mean_of_orders import JOINED_ON
from nas_peft.protocol.rows import Row, baseline_rows, single_rows
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PlanRecord, Speeds
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines import NOAH, PRUNED
from nas_peft.settings.method_recipes import first_half
from nas_peft.settings.methods import METHODS
from nas_peft.stages.final_supernet import FINAL_SUPERNET
from nas_peft.stages.latency import SECONDS as LATENCY
from nas_peft.stages.lora_pruning import FIRST_HALF, start_architecture
from nas_peft.stages.noah import noah_config
from nas_peft.stages.probe import tried_of
from nas_peft.stages.supernet_recipe import JUDGED
from nas_peft.training.wise_ft import ALPHAS
from search_spaces import Architecture, count_flops
from supernet import TRAINABLE_SETS, Recipe

RACED = 0.4
"""Share of the candidates' images that are scored where candidates race."""

HEAD_STEP = 1.2e-3
"""Seconds of a training step of a head on cached features."""

PER_TRAINING = 0.4
"""Seconds of a separate training beyond its passes: the network's making, records and files."""

START = 9.0
"""Seconds until Ray and its workers have started."""


FORWARD_OPERATIONS = 3.3e10
"""Floating point operations a second of forward passes that are assumed before anything is measured."""


@dataclass(frozen=True)
class StageTimes:
    """Estimates the stages of a search, or of a comparison without one, by ``inputs`` at ``speeds``."""

    inputs: TaskInputs
    speeds: Speeds

    @property
    def rounds(self) -> int:
        """The number of rounds of recipes; with halving they may end after the first `LEAST_ROUNDS`."""
        return self._all_rounds(self._rows()).count

    def all(self, rounds: int | None = None, *, late: bool = False) -> dict[str, float]:
        """Seconds of each stage, by the name that it has in ``results.json``, in their order.

        ``rounds`` is the number of rounds of recipes; by default all of them are run. With ``late`` the late
        choices are tried after them, if they have not joined by then.
        """
        found = {"linear probe": self._probe()}
        if isinstance(self.inputs, SearchInputs):
            if self.inputs.config.front_cost == "latency":
                found["latency"] = LATENCY
            found |= {"supernet": self._supernet(self.inputs), "search": self._search(self.inputs)}
            if self.inputs.config.no_retrain:
                return found | {"test": 2 * len(self.inputs.dataset.test) * self.speeds.forward}
            if "inherited" in self.inputs.config.start:
                found[FINAL_SUPERNET] = self._final_supernet(self.inputs)
        if NOAH in self.inputs.config.baselines:
            found |= self._noah()
        if PRUNED in self.inputs.config.baselines:
            found[FIRST_HALF] = self._first_half()
        return found | self._trainings(rounds, late)

    def courses(self) -> list[dict[str, float]]:
        """The stages for each course that the rounds of recipes may take, the shortest first.

        Each number of rounds is one, and where late choices have not joined by then, so is that with them.
        """
        most = self.rounds
        found = []
        for count in range(min(LEAST_ROUNDS, most), most + 1):
            found.append(self.all(count))
            if count < most and LATE_STAGE in (with_late := self.all(count, late=True)):
                found.append(with_late)
        return found

    def separate(self, trainings: Sequence[tuple[Row, Recipe]]) -> float:
        """Seconds from the start of Ray until trainings of rows on the training set have ended."""
        images = len(self.inputs.dataset.train)
        return START + self._makespan([self._training(row, recipe, images) for row, recipe in trainings])

    def scores(self, candidates: int) -> float:
        """Seconds of scoring so many candidates with inherited weights, all of them on all images."""
        data = self.inputs.dataset
        folded = isinstance(self.inputs, SearchInputs) and self.inputs.config.folds > 1
        return candidates * len(data.train if folded else data.val) * self.speeds.forward

    def _probe(self) -> float:
        config, images = self.inputs.config, len(self.inputs.dataset.train) + len(self.inputs.dataset.val)
        balances, rates = tried_of(config)
        heads = len(balances) * len(rates)
        return images * self.speeds.forward + heads * self._head(config.linear_epochs)

    def _head(self, epochs: int) -> float:
        return epochs * ceil(len(self.inputs.dataset.train) / self.inputs.config.batch_size) * HEAD_STEP

    def _supernet(self, inputs: SearchInputs) -> float:
        recipes, data = inputs.config.supernet_recipes(), inputs.dataset
        passes = sum(recipe.epochs for recipe in recipes) * len(data.train)
        if self._left_out_domains():
            # supernets without a domain, together as many passes as one with all
            passes += max(recipe.epochs for recipe in recipes) * len(data.train)
        judged = JUDGED * len(data.val) * len(recipes) if len(recipes) > 1 else 0
        return passes * self.speeds.supernet + judged * self.speeds.forward

    def _final_supernet(self, inputs: SearchInputs) -> float:
        """Seconds of training the supernet again on training and validation set, by its longest recipe."""
        config, images = inputs.config, len(inputs.dataset.train) + len(inputs.dataset.val)
        longest = max(recipe.epochs for recipe in config.supernet_recipes())
        return longest / max(1, config.folds - 1) * images * self.speeds.supernet

    def _search(self, inputs: SearchInputs) -> float:
        config, data = inputs.config, inputs.dataset
        scored = len(data.train) if config.folds > 1 else len(data.val)
        share = RACED if inputs.races else 1.0
        if config.robust:  # each validation image has its copies
            share = 1.0 + len(corruptions_for("choice"))
        return config.generations * config.population * scored * share * self.speeds.forward

    def _noah(self) -> dict[str, float]:
        """NOAH's own supernet and search, which are as long as published."""
        config, data = noah_config(self.inputs.config), self.inputs.dataset
        passes = sum(recipe.epochs for recipe in config.supernet_recipes()) * len(data.train)
        scored = config.generations * config.population * len(data.val)
        return {
            "NOAH's supernet": passes * self.speeds.supernet,
            "NOAH's search": scored * self.speeds.forward,
        }

    def _first_half(self) -> float:
        """The training of LoRA before it is pruned."""
        lora = Row(PRUNED, "baseline", "subnet", start_architecture(self.inputs))
        images = len(self.inputs.dataset.train)
        return self._training(lora, first_half(self.inputs.config), images, scored=False)

    def _all_rounds(self, rows: Sequence[Row]) -> Rounds:
        return Rounds.of(rows, self.inputs.config, self.inputs.config.linear_recipe(1.0))

    def _trainings(self, most: int | None, late: bool) -> dict[str, float]:
        """The stages of separate trainings, with at most so many rounds of recipes, and late choices."""
        config = self.inputs.config
        alive = self._rows()
        rounds = self._all_rounds(alive)
        last = rounds.count if most is None else min(most, rounds.count)
        found: dict[str, float] = {}
        tried: dict[Row, Sequence[Recipe]] = {}
        longest: dict[Row, Recipe] = {}
        for number in range(last):
            seeds = 1 if rounds.several else config.seeds
            tried = {
                row: rounds.recipes(row, number, tried.get(row, ()), tried.get(row, ())) for row in alive
            }
            costs = self._costs(tried)
            found[rounds.stage(number)] = self._makespan(costs * seeds) + (START if not number else 0.0)
            longest |= {row: max(rs, key=lambda r: r.epochs) for row, rs in tried.items() if rs}
            if number + 1 < last:
                alive = _better_half(alive)
        if late:
            leading = [row for row in alive if row.group != "baseline"][:1]
            leading += [row for row in alive if row.group == "baseline"]
            of_row = {row: rounds.late(row, last - 1, longest[row]) for row in leading}
            if costs := self._costs(of_row):
                found[LATE_STAGE] = self._makespan(costs)
        if rounds.several and config.seeds > 1:
            costs = self._costs({row: [longest[row]] for row in alive})
            found["retraining"] = self._makespan(costs * (config.seeds - 1))
        tested = _tested(alive)
        both = len(self.inputs.dataset.train) + len(self.inputs.dataset.val)
        finals = [self._training(row, longest[row], both, scored=False) for row in tested]
        found["final training"] = self._makespan(finals * config.seeds)
        averaged = [row for row in tested if row.averaged] if config.soup else []
        if averaged:
            found |= self._averaging(averaged, longest)
        if config.average:
            mean = self._mean_of_orders(tested[0], longest[tested[0]])
            found |= {name: found.get(name, 0.0) + seconds for name, seconds in mean.items()}
        models = (len(tested) + len(LABELS) * len(averaged) + (config.average > 0)) * config.seeds
        found["test"] = models * len(self.inputs.dataset.test) * self.speeds.forward
        return found

    def _mean_of_orders(self, row: Row, recipe: Recipe) -> dict[str, float]:
        """The stages of the mean of trainings of a row; no domain is left out of these."""
        config, data = self.inputs.config, self.inputs.dataset
        others = (config.average - 1) * config.seeds
        further = self._training(row, recipe, len(data.train))
        final = self._training(row, recipe, len(data.train_val), scored=False)
        joined = config.seeds * (config.average + 1) * min(JOINED_ON, len(data.train_val))
        return {
            "mean of orders": self._makespan([further] * others),
            "averaging": config.seeds * len(data.val) * self.speeds.forward,
            "final mean": self._makespan([final] * others),
            "final averaging": joined * self.speeds.forward,
        }

    def _averaging(self, rows: Sequence[Row], longest: Mapping[Row, Recipe]) -> dict[str, float]:
        """The stages of soups and WiSE-FT, whose first ingredient is the row's own training."""
        config, data = self.inputs.config, self.inputs.dataset
        others = (config.soup - 1) * config.seeds
        costs = self._costs({row: [longest[row]] for row in rows})
        finals = [self._training(row, longest[row], len(data.train_val), scored=False) for row in rows]
        scored = (config.soup + 1 + len(ALPHAS)) * config.seeds * len(rows) * len(data.val)
        return {
            "soups": self._makespan(costs * others),
            "averaging": scored * self.speeds.forward,
            "final soups": self._makespan(finals * others),
        }

    def _rows(self) -> list[Row]:
        config, depth = self.inputs.config, self.inputs.backbone.depth
        retrained = self.inputs.config.retrain if isinstance(self.inputs, SearchInputs) else 0
        searched = [Row(f"candidate-{n}", "searched", "subnet", typical(depth)) for n in range(retrained)]
        baselines = baseline_rows(config, depth, typical(depth), typical(depth))
        return [*searched, *single_rows(self.inputs.single_methods()), *baselines]

    def _costs(self, tried: Mapping[Row, Sequence[Recipe]]) -> list[float]:
        """Seconds of each training on the training set, those that leave out a domain among them."""
        images, domains = len(self.inputs.dataset.train), self._left_out_domains()
        seen = [images, *(images * (domains - 1) // domains for _ in range(domains))]
        return [
            self._training(row, recipe, count)
            for row, recipes in tried.items()
            for recipe in recipes
            for count in seen
        ]

    def _left_out_domains(self) -> int:
        """The number of domains that supernets and trainings leave out in turn, for the robust objective."""
        if not (isinstance(self.inputs, SearchInputs) and self.inputs.config.robust):
            return 0
        domains = len(set(self.inputs.dataset.train_domains) - {None})
        return domains if domains > 1 else 0

    def _training(self, row: Row, recipe: Recipe, images: int, *, scored: bool = True) -> float:
        trains = TRAINABLE_SETS[METHODS[row.method].trains]
        if row.method == "linear":
            return self._head(recipe.epochs)
        step = self.speeds.full if trains.changes_backbone else self.speeds.subnet * self._size(row)
        val = self._scored_by_trainings() * self.speeds.subnet / 2 if scored else 0.0
        head = self._head(self.inputs.config.head_epochs)
        return PER_TRAINING + head + recipe.epochs * images * step + val

    def _scored_by_trainings(self) -> int:
        """The images that each training is scored on; with the robust objective their copies, too."""
        images = len(self.inputs.dataset.val)
        robust = isinstance(self.inputs, SearchInputs) and self.inputs.config.robust
        return images * (1 + len(corruptions_for("choice"))) if robust else images

    def _size(self, row: Row) -> float:
        """The operations of a row's subnet as a multiple of those of the subnet that was timed."""
        shape, classes = self.inputs.backbone.shape, len(self.inputs.dataset.classes)

        def flops(architecture: Architecture) -> float:
            return float(count_flops(architecture, shape, classes))

        return flops(row.architecture) / flops(typical(self.inputs.backbone.depth))

    def _makespan(self, costs: Sequence[float]) -> float:
        """Seconds until all trainings have ended, the longest first, on as many places as there are."""
        ends = [0.0] * self.speeds.places
        for cost in sorted(costs, reverse=True):
            heapq.heappush(ends, heapq.heappop(ends) + cost)
        return max(ends)


def expected_courses(inputs: TaskInputs, plan: PlanRecord | None) -> list[dict[str, float]]:
    """The expected seconds of each stage, for each course that the run may take, the shortest first.

    With a plan these are the seconds on this machine. Without one, speeds are assumed whose ratios are those
    of small Vision Transformers: only the ratios of the stages mean something.
    """
    if plan is not None:
        return [plan.stages, *plan.lengthened]
    return stage_times(inputs, None).courses()


def stage_times(inputs: TaskInputs, plan: PlanRecord | None) -> StageTimes:
    """Times at the speeds that a plan measured; without a plan only their ratios mean something."""
    if plan is not None:
        return StageTimes(inputs, plan.speeds)
    nothing = Architecture.empty(inputs.backbone.depth)
    forward = count_flops(nothing, inputs.backbone.shape, len(inputs.dataset.classes)) / FORWARD_OPERATIONS
    speeds = Speeds(forward=forward, supernet=7 * forward, subnet=4 * forward, full=5 * forward, places=2)
    return StageTimes(inputs, speeds)


def _better_half(rows: Sequence[Row]) -> list[Row]:
    """As many rows of each group as halving keeps."""
    kept: list[Row] = []
    for group in ("searched", "single", "baseline"):
        of_group = [row for row in rows if row.group == group]
        kept += of_group if group == "baseline" else of_group[: (len(of_group) + 1) // 2]
    return kept


def _tested(rows: Sequence[Row]) -> list[Row]:
    """The rows that have final models: one searched subnet, each single method at one size, all baselines."""
    searched = [row for row in rows if row.group == "searched"][:1]
    singles = {row.architecture.kinds: row for row in rows if row.group == "single"}
    return [*searched, *singles.values(), *(row for row in rows if row.group == "baseline")]
