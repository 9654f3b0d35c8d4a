"""The stage that ends a search without retraining: the best subnet as it stands in the supernet."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from safetensors.torch import load
from torch import Tensor

from nas_peft.data import Part
from nas_peft.machine.environment import environment
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.protocol.row_results import NOTHING, row_result
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row
from nas_peft.run.export import export_subnet
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run_folder import RunFolder, write_json
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.inherited_network import inherited_network
from nas_peft.scoring.scorer import Fold
from nas_peft.searching.candidate import Candidate
from nas_peft.training.trainings import TrainingInputs, run_training, trained_network
from search_spaces import Architecture
from supernet import Evaluation, Recipe, Supernet, evaluate

PROTOCOL = (
    "The supernet is trained on the training part, and the subnet is chosen by its loss with inherited "
    "weights{where}. It is tested with these weights, without any training of its own. Linear probing is "
    "trained on training and validation part. The test part is read once, by both."
)
WHERE = {
    False: " on the validation part",
    True: " on the images that each supernet was not trained on; its weights are the mean of the supernets'",
}


def finish_without_retraining(
    inputs: SearchInputs,
    folder: RunFolder,
    bars: StageBars,
    device: str,
    probe: Recipe,
    features: Tensor,
    folds: Sequence[Fold],
    ranked: Sequence[Candidate],
    stages: dict[str, Any],
) -> SearchResult:
    """Test the first of the candidates with inherited weights beside linear probing, once; and export it.

    A search space contains the single methods, so the first candidate may be one of them.
    """
    data, config = inputs.dataset, inputs.config
    best = ranked[0]
    alone = (*inputs.single_methods().values(), *inputs.largest_uniform().values())
    single = best.architecture in alone
    name = f"candidate-{best.number}"
    chosen = Row(name, "single" if single else "searched", "subnet", best.architecture)
    linear = Row("linear", "baseline", "linear", Architecture.empty(inputs.space.depth))
    shared = TrainingInputs(
        inputs.backbone, inputs.preprocessing, len(data.classes), data.train, data.val, features
    )
    network = inherited_network(folds, best.architecture)

    def scored(network: Supernet, part: Part) -> Evaluation:
        return evaluate(
            network,
            part.images,
            part.labels,
            preprocessing=inputs.preprocessing,
            precision=config.precision,
        )

    val = scored(network, data.val)
    inherited = {
        "seed": config.seed,
        "recipe": None,
        "val": {"accuracy": val.accuracy, "loss": val.loss},
        "curve": NOTHING,
    }
    (on_train,) = linear.trainings(config, probe, [config.seed], "train")
    (on_both,) = linear.trainings(config, probe, [config.seed], "train_val")
    compared, _ = run_training(on_train, shared, device)
    final, tensors = run_training(on_both, shared, device)
    probed = trained_network(on_both, load(tensors), shared, device)
    decision = {
        "config": config.to_dict(),
        "exported": name,
        "tested": {name: best.architecture.to_dict(), "linear": linear.architecture.to_dict()},
        "seeds": [config.seed],
    }
    started, memory = time.perf_counter(), PeakMemory(device)
    opened = folder.freeze(decision)
    test = data.test.open(json.dumps(decision))
    with bars.stage("test (models)") as advance:
        tests = {
            (row, config.seed): scored(model, test) for row, model in ((chosen, network), (linear, probed))
        }
        advance(2, 2)
    stages["test"] = {
        "seconds": time.perf_counter() - started,
        "image_passes_forward": 2 * len(test),
        "peak_memory": memory.bytes,
    }
    rows = [
        row_result(inputs, probe, RowRuns(chosen, chosen=[inherited]), tests, selected=True),
        row_result(inputs, probe, RowRuns(linear, [compared], [compared], [final]), tests, selected=False),
    ]
    metrics = {"val_accuracy": val.accuracy, "test_accuracy": tests[chosen, config.seed].accuracy}
    training = {"weights": "inherited", "candidate": best.to_dict()}
    file = export_subnet(network.cpu(), inputs, folder.subnet, metrics=metrics, training=training)
    result = SearchResult(
        run=str(folder.path),
        protocol=PROTOCOL.format(where=WHERE[config.folds > 1]),
        config=config.to_dict(),
        dataset=data.record,
        backbone=inputs.backbone_record(),
        budget=asdict(inputs.budget),
        rows=rows,
        paired=None,
        stages=stages,
        test_opened=opened,
        subnet=file | {"seed": config.seed},
        environment=environment(device),
    )
    write_json(folder.results, result.model_dump(mode="json"))
    return result
