"""The stage that probes the pretrained features linearly and chooses the probe's learning rate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from nas_peft.machine.accelerator import return_freed_memory
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.protocol.decision import Contestant, decide
from nas_peft.run.run import Run
from nas_peft.run.stage_records import ProbeRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.stages.pretrained_features import pretrained_features
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.trainings import probe_head
from search_spaces import Architecture
from supernet import Recipe, Supernet

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@dataclass(frozen=True)
class Probe:
    """The recipe of linear probes on a run's data, the pretrained features ``(N, d)``, and the cost.

    The features are those of train, then val, on the CPU.
    """

    recipe: Recipe
    features: Tensor
    record: ProbeRecord


def tried_of(config: TrainingConfig) -> tuple[list[str], list[float]]:
    """The class balances and the learning rates of the linear probes, each with each, by a configuration."""
    # where nothing but the head is trained, it draws every class equally from the start
    balances = list(dict.fromkeys("sampled" if b == "head-retrained" else b for b in config.class_balance))
    return balances, [config.linear_lr] if config.linear_lr else list(LEARNING_RATES)


def probe(run: Run[TaskInputs]) -> Probe:
    """Compute the pretrained features, and choose the learning rate of linear probes.

    `decision.decide` chooses on the validation set among the learning rates (`LEARNING_RATES`, unless the
    configuration gives one) and the configuration's class balances: how strongly a linear probe should fit
    depends on the data, and on cached features the choice costs seconds.
    """
    inputs, config, data = run.inputs, run.inputs.config, run.inputs.dataset
    started, memory = time.perf_counter(), PeakMemory(run.device)
    balances, rates = tried_of(config)
    count = len(rates) * len(balances)
    with run.bars.counted("linear probe (learning rates)", count) as bar:
        network = Supernet(
            inputs.backbone.model.to(run.device), Architecture.empty(inputs.backbone.depth), len(data.classes)
        )
        both = data.train_val
        features = pretrained_features(
            network, both, inputs.backbone, inputs.preprocessing, config.chosen_precision
        )
        of_train, of_val = features[: len(data.train)], features[len(data.train) :]
        record = run.folder.read_stage("probe", ProbeRecord)
        if record is None:
            tried: dict[tuple[str, float], ImageScores] = {}
            for balance, lr in product(balances, rates):
                network.reset(config.seed)
                probe_head(
                    network,
                    data.train.labels,
                    of_train,
                    inputs.preprocessing,
                    config.linear_recipe(lr, balance),
                    config.seed,
                    execution=config.execution("linear"),
                )
                logits = network.head(of_val).detach().cpu()
                tried[balance, lr] = ImageScores.of(logits, data.val.labels)
                bar()
            losses = {key: float(scores.losses.mean()) for key, scores in tried.items()}
            several = len(balances) > 1
            names = {f"{balance} {lr:g}" if several else f"{lr:g}": (balance, lr) for balance, lr in tried}
            rivals = [
                Contestant.of(name, 0, [0.0], [losses[key]], [tried[key]], config.metric)
                for name, key in names.items()
            ]
            balance, lr = names[decide(rivals).name]
            by_balance = {name: [losses[name, lr] for lr in rates] for name in balances}
            record = ProbeRecord(
                lrs=rates,
                val_losses=by_balance[balance],
                lr=lr,
                class_balance=balance,
                losses_balanced=by_balance if set(by_balance) != {"none"} else None,
                seconds=time.perf_counter() - started,
                image_passes_forward=len(features),
                peak_memory=memory.bytes,
            )
            run.folder.write_stage("probe", record)
        else:
            bar.find(count)
    return_freed_memory()
    return Probe(config.linear_recipe(record.lr, record.class_balance), features.cpu(), record)
