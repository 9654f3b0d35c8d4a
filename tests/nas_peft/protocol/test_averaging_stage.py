"""Soups and WiSE-FT in a whole comparison: what is chosen, that it is frozen, exported and resumable."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas_peft.deployment.run_subnet import RunSubnets
from nas_peft.protocol import averaging_stage
from nas_peft.protocol.averaging_stage import Average, AveragedRow, Way, choose_again
from nas_peft.protocol.compared_trainings import Choice
from nas_peft.protocol.comparison_stage import compare_rows
from nas_peft.protocol.decision import Decision
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row, baseline_rows
from nas_peft.run.config_file import read_config
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SearchStageRecord
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.probe import probe
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.val_score import ValScore
from nas_peft.training.wise_ft import ALPHAS
from search_spaces import Architecture
from supernet import Curve, Recipe, evaluate, load_subnet, read_header

pytestmark = pytest.mark.usefixtures("ray_address")

MIXED = Architecture.of(8, {"lora_rank": [2, 0, 0, 0, 0, 0, 0, 1], "adapter_dim": [0, 0, 4] + [0] * 5})
SEARCHED = Row("candidate-7", "searched", "subnet", MIXED)
QUIET = StageBars(quiet=True)


@pytest.fixture(scope="module")
def compare(tiny_values: dict[str, Any]) -> Callable[..., SearchResult]:
    """A comparison of a subnet with full fine-tuning, as after a search."""

    def compared(folder: Path, **changes: Any) -> SearchResult:
        values = tiny_values | {"soup": 3, "baselines": "full", "linear_lr": 1e-2} | changes
        config = SearchConfig.of(**values)
        inputs = SearchInputs.load(config, QUIET)
        opened = RunFolder.open(folder, config)
        run = Run(inputs, opened, "cpu", QUIET)
        found = probe(run)
        run.costs.add("linear probe", found.record)
        rows = [SEARCHED, *baseline_rows(config, 8)]
        return compare_rows(run, rows, probe=found.recipe, features=found.features, protocol="of a test")

    return compared


@pytest.fixture(scope="module")
def result(compare: Callable[..., SearchResult], tmp_path_factory) -> SearchResult:
    """With two seeds."""
    return compare(tmp_path_factory.mktemp("runs") / "soup", seeds=2)


def row(result: SearchResult, name: str) -> RowResult:
    return next(r for r in result.rows if r.name == name)


@pytest.mark.thorough
def test_averages_are_rows_below_the_row_that_they_are_of(result: SearchResult):
    assert [r.label for r in result.rows] == [
        "searched subnet",
        "searched subnet, uniform soup",
        "searched subnet, greedy soup",
        "searched subnet, WiSE-FT",
        "full fine-tuning",
        "full fine-tuning, uniform soup",
        "full fine-tuning, greedy soup",
        "full fine-tuning, WiSE-FT",
    ]
    for found in result.rows:
        of = row(result, found.averaging.of) if found.averaging else found
        assert found.tested
        assert found.group == of.group
        assert (found.params, found.bytes, found.flops) == (of.params, of.bytes, of.flops)
        assert [s.seed for s in found.seeds] == [0, 1]
        assert {s.lr for s in found.seeds} == {s.lr for s in of.seeds}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["candidate-7", "full"])
def test_ingredients_share_their_start_and_differ_in_order_and_learning_rate(result: SearchResult, name: str):
    lr = row(result, name).seeds[0].lr
    assert lr is not None
    soup = row(result, f"{name}-uniform-soup").averaging
    assert soup is not None
    for seed, ingredients in soup.ingredients.items():
        assert [i.order_seed for i in ingredients] == [seed, seed + 2, seed + 4]  # two seeds a step
        assert [i.lr for i in ingredients] == pytest.approx([lr, lr / 2, 2 * lr])
        greedy = row(result, f"{name}-greedy-soup").averaging
        assert greedy is not None
        assert all(member in ingredients for member in greedy.ingredients[seed])
        line = row(result, f"{name}-wise-ft").averaging
        assert line is not None
        assert line.ingredients[seed] == ingredients[:1]
        assert line.alpha in ALPHAS
    files = {file.name for file in (Path(result.run) / "trainings").glob(f"{name}.train.*.json")}
    assert f"{name}.train.lr{lr:g}.seed0.json" in files  # its own training is the first ingredient
    assert f"{name}.train.lr{2 * lr:g}.seed4.init0.json" in files
    assert len(files) == 6


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["candidate-7", "full"])
def test_what_validation_chose_is_not_worse_there_than_what_it_chose_from(result: SearchResult, name: str):
    def keys(of: str) -> list[tuple[float, float]]:
        return [(-s.val_accuracy, s.val_loss) for s in row(result, of).seeds]

    own = keys(name)
    assert all(soup <= plain for soup, plain in zip(keys(f"{name}-greedy-soup"), own, strict=True))
    line, plain = row(result, f"{name}-wise-ft"), row(result, name)
    assert line.mean("val_accuracy") >= plain.mean("val_accuracy")
    if line.mean("val_accuracy") == plain.mean("val_accuracy"):
        assert line.mean("val_loss") <= plain.mean("val_loss")


@pytest.mark.thorough
def test_the_best_subnet_on_validation_data_is_exported_and_full_fine_tuning_never(result: SearchResult):
    subnets = [r for r in result.rows if r.group != "baseline"]
    best = result.selected
    assert best in subnets
    assert result.decision is not None
    rivals = {rival.row: rival for rival in result.decision.rivals}
    assert set(rivals) == {r.name for r in result.rows} - {best.name}
    for other in (rivals[r.name] for r in subnets if r is not best):
        assert other.difference > 0 or other.loss_difference < 0 or other.difference == other.loss_difference
    header = read_header(Path(result.run) / "subnet.safetensors")
    assert header["metrics"]["test_accuracy"] == best.seeds[0].test_accuracy
    assert best.averaging is not None  # on these data an average is the best
    assert header["temperature"] == best.averaging.temperatures[best.seeds[0].seed]
    assert {"mean_of", "alpha"} & header["training"].keys()


@pytest.mark.thorough
def test_the_exported_average_is_one_checkpoint_and_does_what_was_tested(
    result: SearchResult, tiny_config: SearchConfig
):
    subnet = load_subnet(Path(result.run) / "subnet.safetensors")
    assert subnet.params == row(result, "candidate-7").params
    test = SearchInputs.load(tiny_config, QUIET).dataset.test.open("a test of the file")
    found = evaluate(subnet.network, test.images, test.labels, preprocessing=subnet.preprocessing)
    assert found.accuracy == result.selected.seeds[0].test_accuracy
    assert found.loss == pytest.approx(result.selected.seeds[0].test_loss, rel=1e-4)


@pytest.mark.thorough
def test_what_is_averaged_is_frozen_before_the_test_part_is_opened(result: SearchResult):
    decision = result.test_opened.decision
    assert decision["exported"] == result.selected.name
    averages = {
        r.name: r.averaging.model_dump(mode="json", exclude={"temperatures"})
        for r in result.rows
        if r.averaging
    }
    assert decision["averages"] == averages
    assert set(decision["tested"]) == {r.name for r in result.rows}


@pytest.mark.thorough
def test_costs_are_told_and_the_rows_own_trainings_are_not_trained_again(result: SearchResult):
    assert result.stages["retraining"].trainings == 4
    assert result.stages["soups"].trainings == 8
    assert result.stages["averaging"].image_passes_forward > 0
    own, soup = (sum(s.image_passes for s in row(result, f"full{of}").seeds) for of in ("", "-uniform-soup"))
    assert soup == 3 * own
    assert sum(s.image_passes for s in row(result, "full-wise-ft").seeds) == own


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        measured = ("seconds", "peak_memory", "run", "opened_at")
        return {k: without_seconds(v) for k, v in value.items() if k not in measured}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


@pytest.mark.thorough
@pytest.mark.thorough
def test_a_run_that_was_stopped_goes_on_and_ends_alike(
    compare: Callable[..., SearchResult], result: SearchResult, tmp_path: Path
):
    """Stopped while the ingredients were trained: those of the second seed and the final ones are gone."""
    stopped = tmp_path / "stopped"
    shutil.copytree(result.run, stopped)
    for name in ("results.json", "subnet.safetensors", "stages/test.json"):
        (stopped / name).unlink()
    for pattern in ("*train_val*init*", "*init1*"):
        for file in (stopped / "trainings").glob(pattern):
            file.unlink()
    assert not list((stopped / "trainings").glob("*init1*"))
    kept = {file: file.stat().st_mtime_ns for file in (stopped / "trainings").iterdir()}
    again = compare(stopped, seeds=2)
    assert without_seconds(again.model_dump(mode="json")) == without_seconds(result.model_dump(mode="json"))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    files = [Path(run) / "subnet.safetensors" for run in (stopped, result.run)]
    assert read_header(files[0]) == read_header(files[1])
    tensors, expected = (load_file(file) for file in files)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


@pytest.mark.thorough
def test_an_ingredient_that_failed_is_left_out_and_a_soup_of_one_is_itself(
    compare: Callable[..., SearchResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(averaging_stage, "FACTORS", (1.0, 1e33))
    result = compare(tmp_path / "failing", soup=2)
    for name in ("candidate-7", "full"):
        plain = row(result, name)
        for way in ("uniform-soup", "greedy-soup"):
            soup = row(result, f"{name}-{way}")
            assert soup.error is None
            assert soup.averaging is not None
            assert [len(of) for of in soup.averaging.ingredients.values()] == [1]
            assert soup.mean("val_loss") == pytest.approx(plain.mean("val_loss"), rel=1e-5)
            assert soup.seeds[0].test_accuracy == plain.seeds[0].test_accuracy
            assert soup.seeds[0].test_loss == plain.seeds[0].test_loss


@pytest.mark.thorough
@pytest.mark.thorough
def test_every_average_can_be_made_again_from_the_run_folder(result: SearchResult):
    """As it was tested: soups from their members, WiSE-FT from the data, too."""
    folder = RunFolder(Path(result.run))
    config = SearchConfig.of(**read_config(folder.path / "config.yaml"))
    inputs = SearchInputs.load(config, QUIET)
    inputs.require_recorded(folder)
    recorded = SearchStageRecord.model_construct()  # a comparison alone has no search
    runs = RunSubnets(config, folder, FinishedSearch(config, folder, (), recorded))
    test = inputs.dataset.test.open("the averages of this test")
    for found in result.rows:
        subnet = runs.row(found)
        accuracy = evaluate(
            subnet.network, test.images, test.labels, preprocessing=subnet.preprocessing
        ).accuracy
        assert accuracy == found.seeds[0].test_accuracy, found.name
        assert subnet.metrics["test_accuracy"] == found.seeds[0].test_accuracy
        assert subnet.temperature is not None
        if found.averaging is not None:
            assert subnet.temperature == found.averaging.temperatures[config.seed]
        frozen = subnet.network.backbone is subnet.backbone.model
        assert frozen == (found.method == "subnet")


@pytest.mark.thorough
def test_with_the_robust_objective_averages_are_chosen_for_shifted_images(
    compare: Callable[..., SearchResult], tmp_path: Path
):
    result = compare(tmp_path / "run", objective="robust", robust_margin=9.0, lr=0.05)

    def shifted(name: str) -> float:
        (seed,) = row(result, name).seeds
        assert seed.val_shifted_loss is not None
        return seed.val_shifted_loss

    def accuracy(name: str) -> float:
        return row(result, name).mean("val_accuracy")

    for name in ("candidate-7", "full"):
        assert shifted(f"{name}-greedy-soup") <= shifted(name)
        assert shifted(f"{name}-wise-ft") <= shifted(name)  # within so wide a margin
    # which accuracy would not have chosen
    assert accuracy("candidate-7-greedy-soup") < accuracy("candidate-7-uniform-soup")
    best = max((r.name for r in result.rows if r.group != "baseline"), key=accuracy)
    assert shifted(result.selected.name) <= shifted(best)


def test_without_soup_nothing_is_averaged_or_kept(compare: Callable[..., SearchResult], tmp_path: Path):
    result = compare(tmp_path / "plain", soup=0)
    assert [r.name for r in result.rows] == ["candidate-7", "full"]
    assert all(r.averaging is None for r in result.rows)
    assert "soups" not in result.stages
    left = {file.name for file in (Path(result.run) / "trainings").glob("*.train.*.safetensors")}
    assert {name for name in left if not name.endswith(".val.safetensors")} == set()


def runs_of(found: Row, accuracy: float, loss: float) -> RowRuns:
    training = Training(found.name, found.method, found.architecture, Recipe(1, 0.1), None, 0, "train")
    return RowRuns(found, chosen=[TrainingRecord(training, Curve(), ValScore(accuracy, loss))])


def average_of(found: Row, way: Way, accuracy: float, loss: float, error: str | None = None) -> Average:
    averaged = AveragedRow(f"{found.name}-{way}", found.group, found.method, found.architecture, found, way)
    runs = runs_of(averaged, accuracy, loss)
    runs.error = error
    return Average(averaged, runs, {}, None)


@pytest.mark.parametrize(
    ("averages", "exported"),
    [
        ([("candidate-7", 0.9, 0.3, None)], "candidate-7-greedy-soup"),
        ([("candidate-7", 0.8, 0.4, None)], "candidate-7"),  # level: the plain network
        ([("candidate-7", 0.8, 0.3, None)], "candidate-7-greedy-soup"),
        ([("candidate-7", 0.9, 0.3, "a final model failed")], "candidate-7"),
        ([("full", 0.99, 0.01, None)], "candidate-7"),
    ],
)
def test_the_choice(averages: list[tuple[str, float, float, str | None]], exported: str):
    full = Row("full", "baseline", "full", Architecture.empty(8))
    plain = [runs_of(SEARCHED, 0.8, 0.4), runs_of(full, 0.95, 0.1)]
    rows = {found.row.name: found.row for found in plain}
    before = Choice(SEARCHED, SEARCHED, None, Decision(SEARCHED.name, "alone"))
    made = [average_of(rows[n], "greedy-soup", a, loss, error) for n, a, loss, error in averages]
    assert choose_again(before, plain, made, lambda row: 1).exported.name == exported
