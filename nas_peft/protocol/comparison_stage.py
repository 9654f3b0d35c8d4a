"""The stage that trains what is compared, chooses, reads the test part once, and exports."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from nas_peft.machine.environment import environment
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.averaging_stage import Average, Averaging, choose_again
from nas_peft.protocol.compared_trainings import Choice, ComparedTrainings
from nas_peft.protocol.paired_comparison import compare_pair
from nas_peft.protocol.row_results import row_result
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row
from nas_peft.run.export import export_subnet
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run_folder import RunFolder, write_json
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.training.final_models import FinalModel, TrainedModel
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.trainings import TrainingInputs
from supernet import Evaluation, Recipe, Supernet, evaluate


@dataclass(frozen=True)
class Comparison:
    """Subnets, single methods and baselines by one protocol, from the trainings to ``results.json``."""

    inputs: TaskInputs
    folder: RunFolder
    bars: StageBars
    device: str
    probe: Recipe
    features: Tensor
    protocol: str
    ray_options: RayOptions
    module_files: Sequence[Any] = ()

    def run(self, rows: Sequence[Row], stages: dict[str, Any]) -> SearchResult:
        """Train the rows, choose by validation, train the final models, test, export.

        Raises `InputError` if no subnet could be trained.
        """
        data, config = self.inputs.dataset, self.inputs.config
        shared = TrainingInputs(
            self.inputs.backbone,
            self.inputs.preprocessing,
            len(data.classes),
            data.train,
            data.val,
            self.features,
        )
        seeds = [config.seed + i for i in range(config.seeds)]
        with RayTrainings(
            self.folder,
            shared,
            device=self.device,
            module_files=self.module_files,
            ray_options=self.ray_options,
            early_stopping=config.early_stopping,
        ) as runner:
            trainings = ComparedTrainings(self.inputs, runner, self.bars, self.probe, seeds, stages)
            runs = trainings.compare(rows)
            choice = trainings.finish(runs)
            models: dict[tuple[Row, int], FinalModel] = {
                (found.row, training.seed): TrainedModel(training, runner, shared)
                for found in runs
                if found.error is None and found.finals
                for training in trainings.final_models(found)
            }
            averaging = Averaging(trainings, shared, self.device)
            averages = averaging.run([found for found in runs if found.row.averaged and found.finals])
            for average in averages:
                models |= averaging.models(average)
            choice = choose_again(choice, runs, averages)
            opened, tests = self._test(choice, runs, averages, models, seeds, stages)
            exported = models[choice.exported, seeds[0]]
            network = exported.network("cpu")
        results = []
        for found in runs:
            selected = found.row is choice.exported
            results.append(row_result(self.inputs, self.probe, found, tests, selected=selected))
            results += [
                row_result(
                    self.inputs,
                    self.probe,
                    average.runs,
                    tests,
                    selected=average.row is choice.exported,
                    averaging=average.result(),
                )
                for average in averages
                if average.row.of is found.row
            ]
        pair = None
        if choice.searched is not None and choice.single is not None:
            pair = compare_pair(choice.searched, choice.single, seeds, tests)
        result = SearchResult(
            run=str(self.folder.path),
            protocol=self.protocol,
            config=config.to_dict(),
            dataset=data.record,
            backbone=self.inputs.backbone_record(),
            budget=asdict(self.inputs.budget),
            rows=results,
            paired=pair,
            stages=stages,
            test_opened=opened,
            subnet=self._export(network, exported, results, seeds[0]),
            environment=environment(self.device),
        )
        write_json(self.folder.results, result.model_dump(mode="json"))
        return result

    def _test(
        self,
        choice: Choice,
        runs: Sequence[RowRuns],
        averages: Sequence[Average],
        models: Mapping[tuple[Row, int], FinalModel],
        seeds: Sequence[int],
        stages: dict[str, Any],
    ) -> tuple[dict[str, Any], dict[tuple[Row, int], Evaluation]]:
        """Freeze the decision and open the test part: what was recorded, and what each final model scored."""
        decision = {
            "config": self.inputs.config.to_dict(),
            "exported": choice.exported.name,
            "paired": [row.name if row else None for row in (choice.searched, choice.single)],
            "tested": {row.name: row.architecture.to_dict() for row, _ in models},
            "learning_rates": {found.row.name: found.lr for found in runs if found.finals},
            "averages": {a.row.name: a.result().model_dump(mode="json") for a in averages},
            "seeds": list(seeds),
        }
        started, memory = time.perf_counter(), PeakMemory(self.device)
        opened = self.folder.freeze(decision)
        test = self.inputs.dataset.test.open(json.dumps(decision))
        tests: dict[tuple[Row, int], Evaluation] = {}
        with self.bars.stage("test (models)") as advance:
            for key, model in models.items():
                tests[key] = evaluate(
                    model.network(self.device),
                    test.images,
                    test.labels,
                    preprocessing=self.inputs.preprocessing,
                    precision=self.inputs.config.precision,
                )
                advance(len(tests), len(models))
        stages["test"] = {
            "seconds": time.perf_counter() - started,
            "image_passes_forward": len(models) * len(test),
            "peak_memory": memory.bytes,
        }
        return opened, tests

    def _export(
        self, network: Supernet, model: FinalModel, results: list[RowResult], seed: int
    ) -> dict[str, Any]:
        """Write the chosen subnet (the model of the first seed); what the result says of the file."""
        row = next(r for r in results if r.selected)
        of_seed = next(s for s in row.seeds if s.seed == seed)
        metrics = {"val_accuracy": of_seed.val_accuracy, "test_accuracy": of_seed.test_accuracy}
        file = export_subnet(
            network, self.inputs, self.folder.subnet, metrics=metrics, training=model.to_dict()
        )
        return file | {"seed": seed}
