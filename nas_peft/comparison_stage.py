"""The stage that retrains, chooses, trains the final models, reads the test part once, and exports."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from nas_peft.candidate import Candidate
from nas_peft.comparison import Row, Scores, baseline_rows, best_searched, choose
from nas_peft.environment import environment
from nas_peft.export import export_subnet
from nas_peft.progress import StageBars
from nas_peft.ray_session import RayOptions
from nas_peft.ray_trainings import RayTrainings
from nas_peft.results import RowResult, SearchResult
from nas_peft.row_results import row_result
from nas_peft.run_folder import RunFolder, write_json
from nas_peft.run_inputs import RunInputs
from nas_peft.trainings import TrainingInputs, trained_network
from supernet import Evaluation, Recipe, Supernet, evaluate

PROTOCOL = (
    "The supernet and the compared models are trained on the training part; every choice is made on the "
    "validation part. The chosen searched subnet, the single methods and the baselines are then trained "
    "again on both, to the last epoch, and the test part is read once, by all of them."
)


@dataclass(frozen=True)
class Comparison:
    """The best candidates of a search beside the single methods and the baselines."""

    inputs: RunInputs
    folder: RunFolder
    bars: StageBars
    device: str
    probe: Recipe
    features: Tensor
    ray_options: RayOptions

    def run(self, ranked: Sequence[Candidate], stages: dict[str, Any]) -> SearchResult:
        """Retrain the first of the candidates, choose by validation, train the final models, test, export."""
        data, config = self.inputs.dataset, self.inputs.config
        backbone, preprocessing = self.inputs.backbone, self.inputs.preprocessing
        shared = TrainingInputs(
            backbone, preprocessing, len(data.classes), data.train, data.val, self.features
        )
        singles = self.inputs.single_methods()
        best = [c for c in ranked if c.architecture not in singles.values()]
        rows = [
            *(
                Row(f"candidate-{c.number}", "searched", "subnet", c.architecture)
                for c in best[: config.retrain]
            ),
            *(Row(name, "single", "subnet", a) for name, a in singles.items()),
            *baseline_rows(self.inputs.space.depth),
        ]
        seeds = [config.seed + i for i in range(config.seeds)]
        with RayTrainings(
            self.folder,
            shared,
            device=self.device,
            module_files=config.module_files,
            ray_options=self.ray_options,
            early_stopping=config.early_stopping,
        ) as runner:
            compared, stages["retraining"] = self._train_rows(runner, rows, seeds, "train")
            scores = {row: Scores.of(records) for row, records in compared.items()}
            searched, chosen = best_searched(scores), choose(scores)
            finalists = [row for row in rows if row.group != "searched" or row is searched]
            finals, stages["final training"] = self._train_rows(runner, finalists, seeds, "train_val")
            decision = {
                "config": config.to_dict(),
                "exported": chosen.name,
                "tested": {row.name: row.architecture.to_dict() for row in finalists},
                "seeds": seeds,
            }
            final_models = {
                (row, t.seed): t
                for row in finalists
                for t in row.trainings(config, self.probe, seeds, "train_val")
            }
            started = time.perf_counter()
            opened = self.folder.freeze(decision)
            test = data.test.open(json.dumps(decision))
            tests: dict[tuple[Row, int], Evaluation] = {}
            with self.bars.stage("test (models)") as advance:
                for key, training in final_models.items():
                    network = trained_network(training, runner.tensors(training), shared, self.device)
                    tests[key] = evaluate(
                        network,
                        test.images,
                        test.labels,
                        preprocessing=preprocessing,
                        precision=config.precision,
                    )
                    advance(len(tests), len(final_models))
            stages["test"] = {
                "seconds": time.perf_counter() - started,
                "image_passes_forward": len(final_models) * len(test),
            }
            exported = final_models[chosen, seeds[0]]
            network = trained_network(exported, runner.tensors(exported), shared, "cpu")
        results = [
            row_result(
                self.inputs, self.probe, row, compared[row], finals.get(row), tests, selected=row is chosen
            )
            for row in rows
        ]
        result = SearchResult(
            run=str(self.folder.path),
            protocol=PROTOCOL,
            config=config.to_dict(),
            dataset=data.record,
            backbone=self.inputs.backbone_record(),
            budget=asdict(self.inputs.budget),
            rows=results,
            stages=stages,
            test_opened=opened,
            subnet=self._export(network, chosen, results, seeds[0]),
            environment=environment(self.device),
        )
        write_json(self.folder.results, result.model_dump(mode="json"))
        return result

    def _train_rows(
        self, runner: RayTrainings, rows: list[Row], seeds: list[int], on: Literal["train", "train_val"]
    ) -> tuple[dict[Row, list[dict[str, Any]]], dict[str, Any]]:
        """The records of each row, by seed, and the stage's own record."""
        trainings = {row: row.trainings(self.inputs.config, self.probe, seeds, on) for row in rows}
        flat = [t for of_row in trainings.values() for t in of_row]
        name = "retraining" if on == "train" else "final training"
        started, done = time.perf_counter(), 0
        with self.bars.stage(f"{name} (models)") as advance:
            advance(0, len(flat))

            def count() -> None:
                nonlocal done
                done += 1
                advance(done, len(flat))

            records = dict(zip((t.key for t in flat), runner.run(flat, count), strict=True))
        passes = sum(r["curve"]["image_passes"] for r in records.values())
        stage = {"seconds": time.perf_counter() - started, "trainings": len(flat), "image_passes": passes}
        return {row: [records[t.key] for t in trainings[row]] for row in rows}, stage

    def _export(self, network: Supernet, row: Row, results: list[RowResult], seed: int) -> dict[str, Any]:
        """Write the chosen subnet (the model of the first seed); what the result says of the file."""
        of_row = next(r for r in results if r.name == row.name)
        of_seed = next(s for s in of_row.seeds if s.seed == seed)
        metrics = {"val_accuracy": of_seed.val_accuracy, "test_accuracy": of_seed.test_accuracy}
        training = row.trainings(self.inputs.config, self.probe, [seed], "train_val")[0].to_dict()
        file = export_subnet(network, self.inputs, self.folder.subnet, metrics=metrics, training=training)
        return file | {"seed": seed}
