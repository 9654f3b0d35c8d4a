"""A whole run of the main job on a small real data set, and what it leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import nas_peft
from nas_peft.data import ProtocolError
from nas_peft.main_job import plan, search
from nas_peft.protocol.cost_ledger import plan_against_fact
from nas_peft.protocol.results_table import recipes_table
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import OpeningRecord
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.search import open_record
from search_spaces import Architecture, BackboneShape, count_params
from supernet import evaluate, read_header


@pytest.fixture(scope="module")
def folder(finished_run: SearchResult) -> RunFolder:
    return RunFolder(Path(finished_run.run))


@pytest.fixture(scope="module")
def subnet(folder: RunFolder) -> nas_peft.Subnet:
    return nas_peft.load_subnet(folder.subnet)


def test_results_json_is_what_was_returned(finished_run: SearchResult, folder: RunFolder):
    assert SearchResult.model_validate_json(folder.results.read_text()) == finished_run


def test_the_rows_are_the_search_s_subnet_the_single_methods_and_the_baselines(finished_run: SearchResult):
    names = [row.name for row in finished_run.rows]
    assert names[0].startswith("candidate-")
    singles = ["prompt_tokens-11", "lora_rank-2", "adapter_dim-5", "ssf-4"]
    assert names[1:] == [*singles, "linear", "full"]
    assert [row.group for row in finished_run.rows] == ["searched"] + ["single"] * 4 + ["baseline"] * 2


def test_every_row_has_validation_and_test_accuracy(finished_run: SearchResult):
    val, test = finished_run.dataset["counts"]["val"], finished_run.dataset["counts"]["test"]
    for row in finished_run.rows:
        (seed,) = row.seeds
        assert seed.test_accuracy is not None
        assert 0 <= seed.val_accuracy <= 1
        assert seed.val_accuracy * val == pytest.approx(round(seed.val_accuracy * val), abs=1e-4)
        assert seed.test_accuracy * test == pytest.approx(round(seed.test_accuracy * test), abs=1e-4)
        assert (seed.image_passes > 0) == (row.name != "linear")  # which reads cached features
        assert len(seed.losses) == row.recipe["epochs"]


def test_parameters_bytes_and_operations_are_counted(finished_run: SearchResult):
    cheapest = min(row.flops for row in finished_run.rows)
    for row in finished_run.rows:
        modules = count_params(Architecture.from_dict(row.architecture), BackboneShape.vit(128, 8))
        if row.name == "full":
            modules = finished_run.backbone["params"]
        assert row.module_params == modules
        assert row.head_params == 128 * 3 + 3
        assert row.params == row.module_params + row.head_params
        assert row.bytes == 4 * row.params
        # prompts add what attends to them, adapters and LoRA their products; nothing is for free but the rest
        free = row.architecture.keys() <= {"depth", "ssf"}
        assert (row.flops == cheapest) == free
        if row.group != "baseline":
            assert row.module_params <= finished_run.budget["max_params"]
    assert finished_run.budget == {
        "max_params": int(0.0075 * finished_run.backbone["params"]),
        "count_head": False,
        "text": "0.75%",
    }


def test_the_selected_row_is_the_best_on_validation_data(finished_run: SearchResult, best_row):
    assert [row.selected for row in finished_run.rows].count(True) == 1
    eligible = [row for row in finished_run.rows if row.group != "baseline"]
    assert finished_run.selected == best_row(finished_run, eligible)


def test_how_sure_the_decision_is_is_told(finished_run: SearchResult):
    decision = finished_run.decision
    assert decision is not None
    names = {row.name for row in finished_run.rows if row.seeds}
    assert {rival.row for rival in decision.rivals} == names - {finished_run.selected.name}
    assert decision.images == finished_run.dataset["counts"]["val"]
    assert decision.roles["full"] == "full"
    assert decision.expected_regret >= 0
    for rival in decision.rivals:
        row = next(row for row in finished_run.rows if row.name == rival.row)
        expected = finished_run.selected.mean("val_accuracy") - row.mean("val_accuracy")
        assert rival.difference == pytest.approx(expected, abs=1e-6)
        assert rival.interval[0] <= rival.difference <= rival.interval[1]


def test_the_searched_subnet_is_compared_with_the_single_method_that_validation_prefers(
    finished_run: SearchResult,
    best_row,
):
    pair = finished_run.paired
    assert pair is not None
    singles = [row for row in finished_run.rows if row.group == "single"]
    best = best_row(finished_run, singles)
    searched = finished_run.rows[0]
    assert (pair.searched, pair.single) == (searched.name, best.name)
    expected = searched.mean("test_accuracy") - best.mean("test_accuracy")
    assert pair.difference == pytest.approx(expected)
    assert pair.images == finished_run.dataset["counts"]["test"]
    assert (pair.searched_only - pair.single_only) / pair.images == pytest.approx(expected, abs=1e-6)
    assert 0 < pair.p_value <= 1
    assert finished_run.test_opened.decision["paired"] == [searched.name, best.name]


def test_the_folder_is_complete(folder: RunFolder, tiny_config: SearchConfig):
    options = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert options.pop("device") == "cpu"
    assert SearchConfig.of(**options) == tiny_config
    names = {str(p.relative_to(folder.path)) for p in folder.path.rglob("*") if p.is_file()}
    stages = {f"stages/{name}.json" for name in ("inputs", "record", "probe", "supernet", "search", "test")}
    files = {"config.yaml", "study.journal", "supernet.safetensors", "results.json", "subnet.safetensors"}
    assert names >= files | stages
    generations = {f"generations/{number:03d}.safetensors" for number in range(2)}
    assert names >= generations
    trainings = names - files - stages - generations
    assert all(name.startswith("trainings/") for name in trainings)
    scores = {name for name in trainings if name.endswith(".val.safetensors")}
    finals = {name for name in trainings - scores if name.endswith(".safetensors")}
    # a record for each of 7 + 7, tensors of the final ones, scores of images of the others
    assert (len(trainings), len(finals), len(scores)) == (28, 7, 7)
    assert all(json.loads(p.read_text()) for p in folder.path.rglob("*.json"))


def test_stages_and_protocol_are_told(finished_run: SearchResult):
    stages = ["linear probe", "supernet", "search", "retraining", "final training", "test"]
    assert list(finished_run.stages) == stages
    assert all(finished_run.stages[name].seconds > 0 for name in stages)
    assert "every choice is made on the validation part" in finished_run.protocol
    assert "test part is read once" in finished_run.protocol


def test_the_test_part_was_opened_for_a_frozen_decision(finished_run: SearchResult, folder: RunFolder):
    opened = finished_run.test_opened
    assert folder.read_stage("test", OpeningRecord) == opened
    assert opened.decision["exported"] == finished_run.selected.name
    assert opened.decision["config"] == finished_run.config
    assert set(opened.decision["tested"]) == {row.name for row in finished_run.rows if row.tested}


def test_the_search_s_candidates_are_in_the_journal(finished_run: SearchResult, tiny_inputs: SearchInputs):
    record = open_record(Run(tiny_inputs, RunFolder(Path(finished_run.run)), "cpu", StageBars(quiet=True)))
    candidates = record.candidates()
    assert len(candidates) == finished_run.stages["search"].candidates == 12
    searched = finished_run.rows[0]
    number = int(searched.name.removeprefix("candidate-"))
    assert candidates[number].architecture.to_dict() == searched.architecture
    assert candidates[number].params == searched.module_params


def test_the_checkpoint_says_what_it_is(finished_run: SearchResult, folder: RunFolder, subnet):
    header, row = read_header(folder.subnet), finished_run.selected
    assert header["architecture"] == row.architecture
    assert header["classes"] == ["across", "down", "slanting"]
    assert header["metrics"]["test_accuracy"] == row.seeds[0].test_accuracy
    assert header["training"]["on"] == "train_val"
    assert header["training"]["dataset"] == finished_run.dataset
    assert finished_run.subnet["params"] == subnet.params == row.params
    assert finished_run.subnet["bytes"] == folder.subnet.stat().st_size < 200_000


def test_the_exported_subnet_has_the_test_accuracy_that_was_reported(
    finished_run: SearchResult, tiny_config: SearchConfig, subnet
):
    data = SearchInputs.load(tiny_config, StageBars(quiet=True)).dataset
    test = data.test.open("a test of the tests")
    found = evaluate(subnet.network, test.images, test.labels, preprocessing=subnet.preprocessing)
    assert found.accuracy == finished_run.selected.seeds[0].test_accuracy
    assert found.loss == pytest.approx(finished_run.selected.seeds[0].test_loss, rel=1e-6)
    with pytest.raises(ProtocolError, match="the test set is read once"):
        data.test.open("again")


IN_A_NEW_PROCESS = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
import nas_peft

file, config, out, saved, *images = sys.argv[1:]
logits = nas_peft.load_subnet(file).logits([Image.open(image) for image in images])
np.save(saved, logits.numpy())
assert not {"ray", "optuna"} & set(sys.modules)
result = nas_peft.search(nas_peft.SearchConfig(**json.loads(config)), Path(out))
assert "ray" not in sys.modules
print(result.model_dump_json())
"""


def test_a_new_process_loads_the_subnet_and_repeats_nothing(
    finished_run: SearchResult,
    folder: RunFolder,
    tiny_config: SearchConfig,
    image_folder: Path,
    subnet,
    tmp_path,
    run_program: Callable[..., Any],
):
    images = sorted(image_folder.rglob("*.png"))[::5]
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    arguments = [
        folder.subnet,
        json.dumps(tiny_config.to_dict()),
        folder.path,
        tmp_path / "logits.npy",
        *images,
    ]
    done = run_program("-c", IN_A_NEW_PROCESS, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert SearchResult.model_validate_json(done.stdout) == finished_run
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before

    here = subnet.logits([Image.open(image) for image in images])
    assert torch.allclose(torch.from_numpy(np.load(tmp_path / "logits.npy")), here, rtol=0, atol=1e-6)


class Seen(StageBars):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.names: list[str] = []

    def stage(self, name: str) -> Any:
        self.names.append(name)
        return super().stage(name)


def test_a_finished_run_is_read_without_a_stage_of_work(
    finished_run: SearchResult, folder: RunFolder, tiny_config: SearchConfig
):
    bars = Seen()
    assert nas_peft.search(tiny_config, folder.path, bars=bars) == finished_run
    assert bars.names == ["data (images)"]


def test_only_what_may_be_exported_is_public():
    assert set(nas_peft.__all__) == {
        "BaselinesConfig", "InputError", "MultiTaskModel", "PeftSearchClassifier", "RayOptions",
        "SearchConfig", "SearchResult", "Subnet", "baselines",
        "export_model", "load_dataset", "load_subnet", "search", "subnet_of_run", "__version__",
    }  # fmt: skip
    named = set(nas_peft.__all__) - {"__version__"}
    for _ in range(2):  # a module of the same name, once imported, would take the name's place
        assert all(getattr(nas_peft, name).__name__ == name for name in named)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = nas_peft.serch


@pytest.mark.thorough
@pytest.mark.usefixtures("running_ray")
def test_searched_subnets_are_retrained_from_both_starts_and_validation_chooses(
    tiny_values: dict[str, Any], tmp_path: Path
):
    starts = {"start": "pretrained,inherited", "epochs": 4, "inherited_epochs": "1,2", "baselines": "linear"}
    config = SearchConfig.of(**tiny_values | starts | {"generations": 1})
    result = search(config, tmp_path / "run", device="cpu")
    searched, *others = [row for row in result.rows if row.group != "baseline"]
    tried = [(run.recipe["start"], run.recipe["epochs"]) for run in searched.runs if run.on == "train"]
    assert tried == [("pretrained", 4), ("inherited", 1), ("inherited", 2)]
    (best,) = (r for r in searched.runs if r.on == "train" and r.chosen)
    assert searched.recipe == best.recipe
    assert all(run.recipe["start"] == "pretrained" for row in others for run in row.runs)
    trainings = {file.name for file in (tmp_path / "run" / "trainings").glob("candidate-*.json")}
    assert len([name for name in trainings if ".train.inherited.e" in name]) == 2
    both = result.dataset["counts"]["train"] + result.dataset["counts"]["val"]
    epochs = config.supernet_recipes()[0].epochs
    assert result.stages["final supernet"].image_passes == epochs * both
    (tmp_path / "run" / "results.json").unlink()
    assert search(config, tmp_path / "run", device="cpu").rows == result.rows
    assert [str(column.header) for column in recipes_table(result).columns][2:4] == ["start", "epochs"]


@pytest.mark.thorough
@pytest.mark.usefixtures("ray_address")
def test_a_search_with_a_time_is_planned_once_and_says_plan_and_fact(
    tiny_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    level = {"supernet_epochs": (1,), "epochs": (1, 2), "lr_grid": (1.0, 3.0), "halving": True, "retrain": 1}
    monkeypatch.setattr("nas_peft.planning.levels.IMAGES", 1)  # no more epochs for few images
    monkeypatch.setattr("nas_peft.planning.plan.LEVELS", (level, level | {"epochs": (1, 3)}))
    given = {name: tiny_values[name] for name in ("dataset", "batch_size", "population", "linear_epochs")}
    given |= {"baselines": "linear,full", "singles": "lora_rank"}
    config = SearchConfig.of(**given, time="1h", generations=2, head_epochs=3)
    result = search(config, tmp_path / "run", device="cpu")
    assert result.plan is not None
    assert (result.plan.level, result.plan.levels) == (2, 2)
    assert result.config["epochs"] == [1, 3]  # planned
    assert result.config["generations"] == 2  # given
    assert list(result.plan.stages) == [name for name in result.stages if name in result.plan.stages]
    assert set(result.stages) == set(result.plan.stages)
    (full,) = (row for row in result.rows if row.method == "full")
    assert [run.recipe["epochs"] for run in full.runs if run.on == "train"] == [1, 1, 3, 3]
    assert "planned" in plan_against_fact(result)
    # resumed by the same command: the recorded plan holds, whatever a plan would be now
    (tmp_path / "run" / "results.json").unlink()
    monkeypatch.setattr("nas_peft.planning.plan.LEVELS", (level,))
    again = search(config, tmp_path / "run", device="cpu")
    assert (again.plan, again.rows) == (result.plan, result.rows)
    assert FinishedSearch.read(tmp_path / "run").config.epochs == (1, 3)
    # repeated in another folder by that plan, with the same numbers; what the configuration fixes wins
    repeated = search(config, tmp_path / "again", device="cpu", plan_of=tmp_path / "run")
    assert repeated.plan == result.plan
    assert [(row.name, row.recipe) for row in repeated.rows] == [
        (row.name, row.recipe) for row in result.rows
    ]
    losses = [[[run.losses for run in row.runs] for row in one.rows] for one in (repeated, result)]
    assert losses[0] == losses[1]
    other = SearchConfig.of(**given, time="1h", retrain=2)
    shown = plan(other, device="cpu", plan_of=tmp_path / "run")
    assert shown.set_options == {n: v for n, v in result.plan.set_options.items() if n != "retrain"}
