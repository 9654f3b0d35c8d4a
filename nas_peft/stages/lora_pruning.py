"""The first half of the baseline of pruned LoRA: a uniform LoRA above the budget is trained, and cut once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from nas_peft.machine.accelerator import release_memory, with_less_memory
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.run import Run
from nas_peft.run.stage_records import PruningRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines import BASELINES, PRUNED
from nas_peft.settings.method_recipes import first_half
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network
from search_spaces import Architecture, count_params
from supernet import (
    Constant,
    Curve,
    Execution,
    NonFiniteLoss,
    Supernet,
    checked_bytes,
    checked_tensors,
    train,
    write_atomically,
)
from supernet.rank_pruning import pruned

ABOVE = 2
"""Parameters of LoRA before it is cut, at most, as a multiple of the budget."""

FIRST_HALF = "LoRA before pruning"
"""Name of the stage in the table of costs."""


@dataclass(frozen=True)
class PrunedLora:
    """LoRA of different ranks in each layer and projection, and its weights.

    ``architecture`` is ``None`` if the baseline was not asked for; ``inherited`` are the tensors from which
    its row starts, by the row's name, and empty, too, if the training before the pruning failed.
    """

    architecture: Architecture | None = None
    inherited: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


def start_architecture(inputs: TaskInputs) -> Architecture:
    """LoRA before it is cut: the largest rank within twice the budget, the same on all projections.

    The rank is 1 at least, and at most what the update of a projection can have.
    """
    shape, depth = inputs.backbone.shape, inputs.backbone.depth

    def uniform(rank: int) -> Architecture:
        return Architecture.of(depth, {kind: [rank] * depth for kind in BASELINES[PRUNED].kinds})

    limit = ABOVE * inputs.budget.limit(inputs.head_params)
    most = min(shape.width, shape.attention_width, shape.hidden_width)
    return uniform(max(1, min(limit // count_params(uniform(1), shape), most)))


def pruned_lora(run: Run[TaskInputs], features: Tensor, *, save_every: float = 15.0) -> PrunedLora:
    """Train LoRA of one rank for half of the epochs, and keep what fits the budget; note the costs.

    All trainings of the row start from what is left, whatever their seed and whether they are final models,
    as searched subnets start from the supernet. So LoRA is trained once, on the training set, by the first
    seed and the first learning rate of the configuration. The training resumes from its state in the run
    folder, written every ``save_every`` seconds, and the cut weights are read from there once they are
    written. ``features (N, d)`` are the pretrained features of train, then val. Without the baseline nothing
    is done.
    """
    if PRUNED not in run.inputs.config.baselines:
        return PrunedLora()
    record, weights = run.folder.read_stage(PRUNED, PruningRecord), _weights(run)
    if record is None or (record.error is None and not weights.exists()):
        record = _prune(run, features, save_every)
        run.folder.write_stage(PRUNED, record)
        _state(run).unlink(missing_ok=True)
    run.costs.add(FIRST_HALF, record)
    tensors: dict[str, Mapping[str, Tensor]] = {}
    if record.error is None:
        tensors[PRUNED] = checked_tensors(weights)[0]
    return PrunedLora(Architecture.from_dict(record.architecture), tensors)


def _prune(run: Run[TaskInputs], features: Tensor, save_every: float) -> PruningRecord:
    """Train, cut, and write the weights that are left."""
    config, start = run.inputs.config, start_architecture(run.inputs)
    head = config.head_recipe()
    recipe = first_half(config)
    if head is not None:
        head = replace(head, class_balance=recipe.class_balance)
    training = Training(
        PRUNED, "subnet", start, recipe, head, config.seed, "train", config.execution("subnet")
    )
    memory = PeakMemory(run.device)
    left = Architecture.empty(start.depth)
    error: str | None = None
    curve, threshold = Curve(), math.inf
    with run.bars.counted(f"{FIRST_HALF} (epochs)", recipe.epochs) as bar:
        try:
            network, curve = with_less_memory(
                lambda execution: _trained(run, features, training, execution, bar.move_to, save_every),
                training.execution,
                recipe.batch_size,
                run.device,
            )
        except NonFiniteLoss as failure:
            error = str(failure)
        else:
            cut = pruned(network, run.inputs.budget.limit(run.inputs.head_params))
            left, threshold = cut.architecture, cut.threshold
            write_atomically(_weights(run), checked_bytes(cut.tensors))
            del network
    release_memory(run.device)
    return PruningRecord(
        seconds=curve.seconds,
        image_passes=curve.image_passes,
        peak_memory=memory.bytes,
        start_rank=max(start[start.kinds[0]]),
        architecture=left.to_dict(),
        threshold=threshold if math.isfinite(threshold) else None,
        losses=curve.losses,
        error=error,
    )


def _trained(
    run: Run[TaskInputs],
    features: Tensor,
    training: Training,
    execution: Execution,
    on_epoch: Callable[[int], None],
    save_every: float,
) -> tuple[Supernet, Curve]:
    inputs = run.inputs.for_trainings(features)
    network = starting_network(training, inputs, run.device)
    curve = train(
        network,
        inputs.train.images,
        inputs.train.labels,
        preprocessing=inputs.preprocessing,
        chooser=Constant(training.architecture),
        recipe=training.recipe,
        seed=training.seed,
        on_epoch=on_epoch,
        state_file=_state(run),
        save_every=save_every,
        execution=execution,
    )
    return network, curve


def _weights(run: Run[TaskInputs]) -> Path:
    return run.folder.path / "stages" / f"{PRUNED}.safetensors"


def _state(run: Run[TaskInputs]) -> Path:
    return run.folder.path / "stages" / f"{PRUNED}.state.pt"
