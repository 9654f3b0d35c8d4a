"""Comparisons without a search: the grid of learning rates, all baselines, failures, the sealed test set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import nas_peft
from nas_peft.baselines_job import compare_baselines
from nas_peft.cli.app import app
from nas_peft.data import ProtocolError
from nas_peft.deployment.run_subnet import subnet_of_run
from nas_peft.protocol.compared_trainings import ComparedTrainings
from nas_peft.protocol.halving import LATE_STAGE
from nas_peft.protocol.results_table import recipes_table, remarks, results_table
from nas_peft.protocol.rows import single_rows
from nas_peft.report.decision_section import decision_section
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.rows_table import recipe_text, rows_table
from nas_peft.report.run_page import run_page
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.training.ray_trainings import RayTrainings
from search_spaces import Architecture, InputError
from supernet import Recipe, evaluate, read_header

pytestmark = pytest.mark.usefixtures("ray_address")

FIELDS = ("dataset", "budget", "batch_size", "epochs", "head_epochs", "linear_epochs")


@pytest.fixture(scope="module")
def values(tiny_values: dict[str, Any]) -> dict[str, Any]:
    return {name: tiny_values[name] for name in FIELDS} | {"budget": "2100"}


@pytest.fixture(scope="module")
def with_grid(values: dict[str, Any], tmp_path_factory) -> SearchResult:
    """Two learning rates and two seeds; the second rate is far beyond what trains."""
    options = {**values, "baselines": ["linear", "full"], "lr_grid": (1, 1e30), "seeds": 2}
    return nas_peft.baselines(**options, out=tmp_path_factory.mktemp("runs") / "grid", device="cpu")


@pytest.fixture(scope="module")
def with_all(values: dict[str, Any], tmp_path_factory) -> SearchResult:
    """Every baseline; L2-SP and its kin fail, their learning rate being far beyond what trains."""
    config = BaselinesConfig.of(**values | {"budget": "1100"}, full_lr=1e30)
    return compare_baselines(config, tmp_path_factory.mktemp("runs") / "all", device="cpu")


def row(result: SearchResult, name: str) -> RowResult:
    return next(r for r in result.rows if r.name == name)


def test_single_methods_and_baselines_are_trained_and_nothing_is_searched(with_grid: SearchResult):
    names = [r.name for r in with_grid.rows]
    assert names == ["prompt_tokens-2", "ssf-1", "linear", "full"]
    assert list(with_grid.stages) == [
        "linear probe", "recipes", "retraining", "final training", "test"
    ]  # fmt: skip
    assert with_grid.stages["recipes"].trainings == 7  # two for each but the probe
    assert with_grid.stages["retraining"].trainings == 4
    assert with_grid.stages["final training"].trainings == 8
    assert with_grid.paired is None
    files = {p.name for p in Path(with_grid.run).iterdir()}
    assert files == {"config.yaml", "stages", "trainings", "results.json", "subnet.safetensors"}
    assert SearchResult.model_validate_json((Path(with_grid.run) / "results.json").read_text()) == with_grid


@pytest.mark.thorough
def test_the_report_has_several_seeds_and_says_that_nothing_was_searched(with_grid: SearchResult):
    run = ReportedRun.read(Path(with_grid.run))
    found = run_page(run, dataset=None, device="cpu", bars=StageBars(quiet=True))
    missing = {part.what: part.why for part in found.missing}
    assert set(missing) == {"Search", "Training of the supernet"}
    assert "without a search" in missing["Search"]
    exported = with_grid.selected
    spread = exported.std("val_accuracy")
    assert spread is not None
    assert f"{100 * exported.mean('val_accuracy'):.1f} ± {100 * spread:.1f}" in found.html
    assert "Mean ± standard deviation over 2 seeds." in found.html


@pytest.mark.thorough
def test_the_report_names_rows_that_failed(with_all: SearchResult):
    run = ReportedRun.read(Path(with_all.run))
    table = rows_table(run)
    first = table.columns.index("validation loss")
    scores = {line[0]: line[first : first + 3] for line in table.rows}
    failed = [row for row in with_all.rows if row.error is not None]
    assert failed
    assert {scores[run.labels[row.name]] for row in failed} == {("failed", "–", "–")}
    remarks = decision_section(run).remarks
    assert [f"{run.labels[row.name]} failed: {row.error}." for row in failed] == list(remarks[-len(failed) :])


@pytest.mark.thorough
def test_halving_gives_the_better_half_more_epochs(values: dict[str, Any], tmp_path: Path):
    lists = {"epochs": "1,2", "augmentation": "none,crop", "lr_grid": "1,2"}
    config = BaselinesConfig.of(**values | lists, baselines="linear,full", halving=True, allow_full=True)
    result = compare_baselines(config, tmp_path / "run", device="cpu")
    assert list(result.stages) == ["linear probe", "recipes 1", "recipes 2", "final training", "test"]
    tried = {row.name: [r.recipe for r in row.runs if r.on == "train"] for row in result.rows}
    singles = [row for row in result.rows if row.group == "single"]
    assert (len(tried["linear"]), len(tried["full"])) == (1, 5)
    assert sorted(len(tried[row.name]) for row in singles) == [2, 5]
    assert [recipe["epochs"] for recipe in tried["full"]] == [1, 1, 2, 2, 2]
    assert [recipe["augmentation"] for recipe in tried["full"]] == [*["none"] * 4, "crop"]
    assert len({recipe["lr"] for recipe in tried["full"]}) == 3  # the best of two is at an end
    assert [row.dropped_after for row in singles] == [1 if len(tried[r.name]) == 2 else None for r in singles]
    assert [row.tested for row in singles] == [row.dropped_after is None for row in singles]
    assert result.selected.name == "full"  # ahead of the subnets, and allowed
    assert read_header(Path(result.run) / "subnet.safetensors")["backbone"]["in_file"]
    assert subnet_of_run(result.run).changed_backbone
    assert len(results_table(result).rows) == len(result.rows)
    require_weights_of_losers(result)


@pytest.mark.thorough
def test_choices_that_have_not_joined_are_tried_when_the_rounds_end(values: dict[str, Any], tmp_path: Path):
    lists = {"epochs": "1,2,3,4", "augmentation": "none,crop"}
    config = BaselinesConfig.of(**values | lists, baselines="linear,full", halving=True)
    result = compare_baselines(config, tmp_path / "run", device="cpu")
    assert list(result.stages)[1:4] == ["recipes 1", "recipes 2", LATE_STAGE]
    trained = {row.name: [r.recipe for r in row.runs if r.on == "train"] for row in result.rows}
    cropped = {
        name: [recipe["epochs"] for recipe in recipes if recipe["augmentation"] == "crop"]
        for name, recipes in trained.items()
    }
    leader = result.selected.name
    assert {name: epochs for name, epochs in cropped.items() if epochs} == {"full": [3], leader: [3]}
    assert result.stages[LATE_STAGE].trainings == 2


@pytest.mark.thorough
def test_each_row_has_the_recipe_that_is_best_on_validation_data(values: dict[str, Any], tmp_path: Path):
    lists = {"epochs": "1,2", "augmentation": "none,crop"}
    config = BaselinesConfig.of(**values | lists, baselines="linear,full", label_smoothing=0.1)
    result = compare_baselines(config, tmp_path / "run", device="cpu")
    assert result.config["epochs"] == [1, 2]
    assert list(result.stages) == ["linear probe", "recipes", "final training", "test"]
    for found in result.rows:
        tried = [r for r in found.runs if r.on == "train"]
        if found.name == "linear":
            assert len(tried) == 1
            assert (found.recipe["epochs"], found.recipe["augmentation"]) == (config.linear_epochs, "none")
            continue
        assert [(r.recipe["epochs"], r.recipe["augmentation"]) for r in tried] == [
            (1, "none"), (1, "crop"), (2, "none"), (2, "crop")
        ]  # fmt: skip
        assert [len(r.losses) for r in tried] == [1, 1, 2, 2]
        assert len({r.val_loss for r in tried}) == 4
        (best,) = (r for r in tried if r.chosen)
        assert not any(r.val_accuracy > best.val_accuracy and r.val_loss < best.val_loss for r in tried)
        (final,) = (r for r in found.runs if r.on == "train_val")
        assert final.recipe == found.recipe == best.recipe
        assert found.recipe["label_smoothing"] == 0.1
        assert found.seeds[0].val_loss == best.val_loss
    assert result.test_opened.decision["recipes"] == {r.name: r.recipe for r in result.rows}
    files = {p.name for p in (tmp_path / "run" / "trainings").glob("full.train.*.json")}
    rate = f"lr{config.full_lr:g}.seed0.json"
    assert files == {f"full.train.{part}.{rate}" for part in ("e1", "e1.crop", "e2", "e2.crop")}
    # a table that tells which; and the same run when it is read again
    headers = [str(column.header) for column in recipes_table(result).columns]
    assert {"epochs", "rate", "augmentation"} <= set(headers)
    for file in (tmp_path / "run" / "results.json", *(tmp_path / "run" / "trainings").glob("full.*e2.crop*")):
        file.unlink()
    again = compare_baselines(config, tmp_path / "run", device="cpu")
    assert [(r.name, r.recipe, r.mean("val_loss"), r.mean("test_loss")) for r in again.rows] == [
        (r.name, r.recipe, r.mean("val_loss"), r.mean("test_loss")) for r in result.rows
    ]


@pytest.mark.thorough
def test_validation_data_choose_the_size_of_a_single_method(values: dict[str, Any], tmp_path: Path, best_row):
    config = BaselinesConfig.of(**values, baselines="none", single_sizes=2)
    result = compare_baselines(config, tmp_path / "run", device="cpu")
    rows = {r.name: r for r in result.rows}
    assert list(rows) == ["prompt_tokens-2", "prompt_tokens-1", "ssf-1"]  # half of ssf-1 would be nothing
    prompts = [rows["prompt_tokens-2"], rows["prompt_tokens-1"]]
    better = best_row(result, prompts)
    assert [r for r in prompts if r.tested] == [better]
    assert rows["ssf-1"].tested
    assert result.stages["final training"].trainings == 2
    assert set(result.test_opened.decision["tested"]) == {better.name, "ssf-1"}
    require_weights_of_losers(result)


def require_weights_of_losers(result: SearchResult) -> None:
    """One training of each row without a final model has its weights in the run folder, that of its score."""
    folder = Path(result.run) / "trainings"
    losers = [r for r in result.rows if not r.tested]
    assert losers
    kept = [f.name for f in folder.glob("*.train.*.safetensors") if not f.name.endswith(".val.safetensors")]
    assert sorted(name.partition(".")[0] for name in kept) == sorted(r.name for r in losers)
    config = BaselinesConfig.of(**result.config)
    val = TaskInputs.of_single_methods(config, StageBars(quiet=True)).dataset.val
    for found in losers:
        subnet = nas_peft.subnet_of_run(result.run, row=found.name)
        again = evaluate(subnet.network, val.images, val.labels, preprocessing=subnet.preprocessing)
        assert again.accuracy == found.seeds[0].val_accuracy == subnet.metrics["val_accuracy"]
        assert again.loss == pytest.approx(found.seeds[0].val_loss, rel=1e-4)
        assert subnet.training["on"] == "train"
        assert subnet.metrics["test_accuracy"] is None
        assert "lost to another of its kind" in subnet.metrics["protocol"]


def test_every_run_is_told_those_of_unused_rates_among_them(with_grid: SearchResult):
    for found in with_grid.rows:
        assert found.error is None
        own = found.seeds[0].lr
        train = [(r.seed, r.lr, r.chosen) for r in found.runs if r.on == "train"]
        unused = [(0, pytest.approx(1e30 * (own or 0)), False)] if found.name != "linear" else []
        assert train == [(0, own, True), *unused, (1, own, True)]
        assert [(r.seed, r.lr, r.chosen) for r in found.runs if r.on == "train_val"] == [
            (0, own, True),
            (1, own, True),
        ]
        assert {s.lr for s in found.seeds} == {own} == {found.recipe["lr"]}
        assert [s.seed for s in found.seeds] == [0, 1]
        assert {r.params for r in found.runs} == {found.params}
        for run in found.runs:
            if run.lr != own:
                assert run.error is not None
                assert "learning rate" in run.error
                assert (run.losses, run.val_accuracy) == ([], None)
            else:
                assert len(run.losses) == found.recipe["epochs"]
                assert (
                    (run.val_accuracy is None) == (run.on == "train_val") == (run.test_accuracy is not None)
                )
        seeds, finals = found.seeds, [r for r in found.runs if r.on == "train_val"]
        assert [s.test_accuracy for s in seeds] == [r.test_accuracy for r in finals]


def test_the_best_single_method_on_validation_data_is_exported(with_grid: SearchResult, best_row):
    singles = [r for r in with_grid.rows if r.group == "single"]
    best = best_row(with_grid, singles)
    assert with_grid.selected == best
    assert with_grid.decision is not None
    assert with_grid.decision.roles["full"] == "full"
    assert "searched" not in with_grid.decision.roles
    header = read_header(Path(with_grid.run) / "subnet.safetensors")
    assert header["architecture"] == best.architecture
    assert header["training"]["recipe"]["lr"] == best.seeds[0].lr
    subnet = nas_peft.load_subnet(Path(with_grid.run) / "subnet.safetensors")
    assert subnet.params == best.params


def test_the_decision_names_the_recipes_and_came_before_the_test(with_grid: SearchResult):
    decision = with_grid.test_opened.decision
    assert decision["recipes"] == {r.name: r.recipe for r in with_grid.rows}
    assert decision["exported"] == with_grid.selected.name


@pytest.mark.thorough
def test_a_run_that_was_stopped_gives_the_same_and_a_finished_one_is_read(
    with_grid: SearchResult, values: dict[str, Any]
):
    out = Path(with_grid.run)
    config = BaselinesConfig.of(**values, baselines="linear,full", lr_grid="1,1e30", seeds=2)
    assert compare_baselines(config, out, device="cpu") == with_grid
    (out / "results.json").unlink()
    for file in list((out / "trainings").glob("full.*")):
        file.unlink()
    again = compare_baselines(config, out, device="cpu")

    def numbers(result: SearchResult) -> Any:
        return [
            (r.name, [(s.val_loss, s.test_loss) for s in r.seeds], [u.losses for u in r.runs])
            for r in result.rows
        ]

    assert numbers(again) == numbers(with_grid)
    frozen = read_json(out / "stages" / "test.json")
    assert frozen is not None
    (out / "results.json").unlink()
    frozen["decision"]["recipes"]["full"]["lr"] = 1.0
    write_json(out / "stages" / "test.json", frozen)
    with pytest.raises(RuntimeError, match=r"was opened at .* for another decision"):
        compare_baselines(config, out, device="cpu")
    (out / "results.json").write_text(with_grid.model_dump_json())


@pytest.mark.thorough
def test_all_baselines_are_trained_whatever_the_budget(with_all: SearchResult):
    names = [name for name in BASELINES if name != "noah"]
    assert [r.name for r in with_all.rows] == ["prompt_tokens-1", *names]
    backbone = with_all.backbone["params"]
    trained = {r.name: r.module_params for r in with_all.rows}
    assert trained["full"] == trained["lp-ft"] == trained["l2-sp"] == backbone
    assert trained["lora"] == 8 * 8 * 4 * 128
    assert trained["vpt-shallow"] == 50 * 128
    assert trained["linear"] == 0
    model = nas_peft.load_subnet(Path(with_all.run) / "subnet.safetensors").network.backbone
    assert trained["bitfit"] == sum(p.numel() for n, p in model.named_parameters() if n.endswith("bias"))
    assert row(with_all, "bitfit").description == "all biases"
    assert 0 < trained["lora-pruned"] <= 1100
    lora = next(run for run in row(with_all, "lora").runs if run.on == "train")
    assert with_all.stages["LoRA before pruning"].image_passes == lora.image_passes  # of one epoch
    assert "from pruned weights" in recipe_text(row(with_all, "lora-pruned"))
    assert "from" not in recipe_text(row(with_all, "lora"))
    pruned = subnet_of_run(with_all.run, row="lora-pruned")
    assert sum(p.numel() for p in pruned.network.layers.parameters()) == trained["lora-pruned"]
    assert all(r.bytes == 4 * r.params for r in with_all.rows)


@pytest.mark.thorough
def test_rows_that_fail_say_why_and_the_others_go_on(with_all: SearchResult):
    failed = {r.name for r in with_all.rows if r.error is not None}
    assert failed == {"full", "lp-ft", "l2-sp"}
    for found in with_all.rows:
        assert found.tested != (found.name in failed)
        if found.name in failed:
            assert found.seeds == []
            assert "seed 0, learning rate 1e+30: the loss is" in str(found.error)
    assert set(with_all.test_opened.decision["tested"]).isdisjoint(failed)
    text = remarks(with_all)
    assert "failed: full fine-tuning (full): seed 0, learning rate 1e+30" in text
    assert [line.split(":")[0] for line in text.splitlines()] == ["failed"] * 3 + ["exported"]
    assert not ({p.name.split(".")[0] for p in (Path(with_all.run) / "trainings").iterdir()} & failed)


@pytest.mark.thorough
def test_where_no_subnet_can_be_trained_nothing_is_tested(values: dict[str, Any], tmp_path: Path):
    config = BaselinesConfig.of(**values | {"budget": "1100"}, lr=1e30, baselines="none")
    with pytest.raises(
        InputError, match=r"no subnet could be trained: prompt_tokens-1: seed 0.* the loss is"
    ):
        compare_baselines(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "stages" / "test.json").exists()


@pytest.mark.thorough
def test_it_is_no_search_to_go_on_from(with_all: SearchResult):
    with pytest.raises(InputError, match="is a run of nas-peft baselines, which searches nothing; give a"):
        FinishedSearch.read(Path(with_all.run))


def test_a_budget_below_every_single_method_is_refused(values: dict[str, Any], tmp_path: Path):
    config = BaselinesConfig.of(**values | {"budget": "1000"})
    with pytest.raises(InputError, match="the smallest single method needs 1,024; raise the budget"):
        compare_baselines(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def trainings(values: dict[str, Any], tmp_path: Path) -> Callable[[], tuple[ComparedTrainings, RayTrainings]]:
    """The trainings of a comparison with linear probing only, on data of its own."""

    def make() -> tuple[ComparedTrainings, RayTrainings]:
        config = BaselinesConfig.of(**values, baselines="linear")
        bars = StageBars(quiet=True)
        inputs = TaskInputs.of_single_methods(config, bars)
        features = torch.zeros(len(inputs.dataset.train) + len(inputs.dataset.val), 128)
        run = Run(inputs, RunFolder.open(tmp_path / "run", config), "cpu", bars)
        runner = RayTrainings.of_run(run, inputs.for_trainings(features))
        return ComparedTrainings(run, runner, Recipe(1, 0.1)), runner

    return make


def test_after_the_test_part_was_opened_nothing_is_trained_or_chosen_and_it_is_not_opened_again(
    trainings: Callable[[], tuple[ComparedTrainings, RayTrainings]], tmp_path: Path
):
    compared, runner = trainings()
    with runner:
        rows = single_rows({"prompt_tokens-1": Architecture.uniform(8, "prompt_tokens", 1)})
        runs = compared.compare(rows)
        assert runs[0].error is None
        compared.run.inputs.dataset.test.open("everything is chosen")
        for call in (lambda: compared.compare(rows), lambda: compared.finish(runs)):
            with pytest.raises(ProtocolError, match="nothing can be trained or chosen any more"):
                call()
        assert runs[0].finals == []
        with pytest.raises(ProtocolError, match="the test set is read once"):
            compared.run.inputs.dataset.test.open("again")


def test_the_command_prints_the_decision_and_show_the_tables(values: dict[str, Any], with_grid: SearchResult):
    options = values | {"baselines": "linear,full", "lr-grid": "1,1e30", "seeds": 2}
    words = [w for name, value in options.items() for w in (f"--{name.replace('_', '-')}", str(value))]
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["baselines", *words, "--out", with_grid.run])
    assert done.exit_code == 0, done.output
    for text in ("chosen ", "full fine-tuning", "subnet.safetensors", f"nas-peft show {with_grid.run}"):
        assert text in done.output
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["show", with_grid.run])
    for text in ("VPT alone", "SSF alone", "rate", "full fine-tuning"):
        assert text in shown.output
