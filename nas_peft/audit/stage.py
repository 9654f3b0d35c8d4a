"""The stage that retrains a sample of subnets and compares the outcome with their inherited scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import numpy as np

from nas_peft.audit.result import PROTOCOL, SAME, Audit, AuditedSubnet, ranking, regret, verdict
from nas_peft.audit.sample import audit_sample, require_enough
from nas_peft.machine.environment import environment
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.estimate import stage_times
from nas_peft.protocol.rows import Row
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PLAN, PlanRecord
from nas_peft.scoring.balanced import scorer_for
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.settings.metric import BALANCED, LABELS, Metric
from nas_peft.stages.probe import Probe, probe
from nas_peft.stages.supernet import read_supernets
from nas_peft.training.metrics import mean_score
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.scored_training import scored_training
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from search_spaces import KINDS, Architecture, InputError
from supernet import Recipe

SCORES, AUDIT = "inherited scores", "audit"
"""Stages of an audit, as progress names them."""


def audit(
    search: FinishedSearch,
    *,
    subnets: int,
    seeds: int,
    device: str,
    bars: StageBars,
    ray_options: RayOptions | None = None,
    worker_device: str = "",
) -> Audit:
    """Retrain ``subnets`` sampled subnets and the search's choice, and compare with their inherited scores.

    Each subnet is trained ``seeds`` times, and the findings go to ``audit.json`` in the run folder. Finished
    trainings are kept under names made from their architectures, so a stopped audit resumes, and an audit
    with more subnets or seeds repeats no training. The test set stays sealed.

    Raises `InputError` for too few subnets, for no seeds, for data or a backbone that have changed since the
    run, and if a training failed: without its subnet the sample would no longer be random.
    """
    if seeds < 1:
        raise InputError(f"seeds is {seeds}; give 1 or more (at least 2 for the ceiling)")
    require_enough(subnets)  # before the data are read
    inputs = search.inputs(bars)
    sample = audit_sample(inputs, subnets)
    choice = search.pick()
    architectures = [*(s.architecture for s in sample), choice.architecture]
    run = Run(inputs, search.folder, device, bars, ray_options or RayOptions(), worker_device=worker_device)
    numbers = [inputs.config.seed + i for i in range(seeds)]
    plan = search.folder.read_stage(PLAN, PlanRecord)
    probed = probe(run)
    expected = _expected(run, architectures, numbers, probed.recipe, plan)
    bars.expect([expected], measured=plan is not None)
    inherited = _inherited(run, architectures)
    retrained = _retrained(run, architectures, numbers, probed)
    metric = inputs.config.metric
    alike: Metric = "balanced-accuracy" if metric in BALANCED else "accuracy"
    audited = [
        AuditedSubnet(
            group=group,
            architecture=a.to_dict(),
            description=a.describe(),
            params=candidate.params,
            flops=candidate.flops,
            inherited_loss=candidate.loss if math.isfinite(candidate.loss) else None,
            inherited_accuracy=candidate.accuracy,
            val_accuracy=[_retrained_score(alike, record) for record in records],
            val_loss=[record.val_score().loss for record in records],
            val_score=[_retrained_score(metric, record) for record in records],
        )
        for a, group, candidate, records in zip(
            architectures, [*(s.group for s in sample), "choice"], inherited, retrained, strict=True
        )
    ]
    rows, chosen = audited[:-1], audited[-1]
    over_all = ranking(rows, inputs.config.seed)
    equal = ranking([row for row in rows if row.group == "equal size"], inputs.config.seed)
    found, error = regret(rows, chosen, metric)
    difference = [row.inherited_accuracy - np.mean(row.val_accuracy) for row in rows]
    result = Audit(
        run=str(search.folder.path),
        protocol=PROTOCOL.format(same=SAME[inputs.config.folds == 1], metric=LABELS[metric]),
        seeds=numbers,
        sample=rows,
        choice=chosen,
        all_sizes=over_all,
        equal_size=equal,
        regret=found,
        regret_error=error,
        inherited_minus_retrained=100 * float(np.mean(difference)),
        verdict=verdict(over_all, equal),
        environment=environment(device),
        metric=metric,
    )
    write_json(search.folder.path / "audit.json", result.model_dump(mode="json"))
    return result


def _retrained_score(metric: Metric, record: TrainingRecord) -> float:
    """The validation score of a training by a metric, higher is better."""
    if metric == "accuracy":
        return record.val_score().accuracy
    if record.images is None:
        raise ValueError(f"the metric '{metric}' needs the scores of images")
    return mean_score(metric, [record.images])


def _row(architecture: Architecture) -> Row:
    digest = hashlib.sha256(json.dumps(architecture.to_dict(), sort_keys=True).encode()).hexdigest()[:12]
    return Row(f"audit-{digest}", "searched", "subnet", architecture)


def _expected(
    run: Run[SearchInputs],
    architectures: Sequence[Architecture],
    seeds: Sequence[int],
    recipe: Recipe,
    plan: PlanRecord | None,
) -> dict[str, float]:
    """Expected seconds of each stage of an audit."""
    times, rows = stage_times(run.inputs, plan), [_row(a) for a in architectures]
    trainings = [
        (row, training.recipe)
        for row in rows
        for training in row.trainings(run.inputs.config, recipe, seeds, "train")
    ]
    return {SCORES: times.scores(len(rows)), AUDIT: times.separate(trainings)}


def _inherited(run: Run[SearchInputs], architectures: Sequence[Architecture]) -> list[Candidate]:
    inputs = run.inputs
    folds = read_supernets(inputs, run.folder, run.device)
    evaluator = InheritedEvaluator(
        scorer_for(
            inputs.config.metric,
            LocalScorer(folds, inputs.preprocessing, inputs.config.chosen_precision),
            [fold.part.labels for fold in folds],
        ),
        inputs.backbone.shape,
        len(inputs.dataset.classes),
        racing=False,
        seed=inputs.config.seed,
    )
    proposals = [Proposal(a, "audit") for a in architectures]
    with run.bars.counted(f"{SCORES} (subnets)", len(proposals)) as bar:
        return evaluator.evaluate(proposals, generation=0, first_number=0, on_candidate=bar).candidates


def _retrained(
    run: Run[SearchInputs], architectures: Sequence[Architecture], seeds: Sequence[int], probed: Probe
) -> list[list[TrainingRecord]]:
    """Records of each architecture's trainings, one for each seed, by the method's own recipe.

    Raises `InputError` if a training failed.
    """
    config = run.inputs.config
    trainings: list[Training] = []
    for a in architectures:
        trainings += _row(a).trainings(config, probed.recipe, seeds, "train")
    with (
        run.bars.counted(f"{AUDIT} (trainings)", len(trainings)) as bar,
        RayTrainings.of_run(run, run.inputs.for_trainings(probed.features)) as runner,
    ):

        def report(record: TrainingRecord, found: bool) -> None:
            if found:
                run.bars.find(1)
            label = ", ".join(KINDS[kind].label for kind in record.training.architecture.kinds)
            told = scored_training(record, label, eligible=True, found=found, metric=config.metric)
            run.bars.scored(told)

        records = runner.run(trainings, bar, report)
    if failed := next((record.failure for record in records if record.failure), None):
        raise InputError(f"a subnet of the audit could not be trained ({failed})")
    return [records[i : i + len(seeds)] for i in range(0, len(records), len(seeds))]
