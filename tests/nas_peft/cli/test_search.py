"""``nas-peft search``: each mistake is one line on standard error and exit status 2; the table of a run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep import sweep
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.cli.result_output import next_commands
from nas_peft.data import load_dataset
from nas_peft.planning.levels import LEVELS
from nas_peft.run.results import SearchResult
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import Speeds
from nas_peft.settings.search_config import SearchConfig
from supernet import Backbone, Preprocessing

pytestmark = pytest.mark.slow

FULL = Path("/dev/full")
STAGES = ("data: ", "linear probe: ", "supernet: ")
SUMMARY = ("data: ", "  ")
"""The table of the data that were read."""
UNPLANNED = "Nothing is planned, because "
"""What a search says that has options of its own and no time."""
Arguments = list[str]


def nas_peft(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def error_of(result: Result, *, after_stages: bool = False) -> str:
    """The one line that says what is wrong; ``after_stages`` allows the lines of stages that had ended."""
    assert result.exit_code == 2, (result.exit_code, result.stderr, result.exception)
    *before, last = result.stderr.splitlines()
    before = [line for line in before if not line.endswith("; loading PyTorch")]
    if not after_stages:
        assert before == []
    assert all(line.startswith((*STAGES, *SUMMARY, UNPLANNED)) for line in before), before
    assert last.startswith("error: ")
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return last.removeprefix("error: ")


@pytest.fixture
def tiny(tiny_values: dict[str, Any]) -> Arguments:
    """The options of the tiny configuration."""
    options = [(f"--{name.replace('_', '-')}", str(value)) for name, value in tiny_values.items()]
    return [word for option in options for word in option]


@pytest.fixture
def images(tmp_path: Path, write_striped_images: Callable[[Path], Path]) -> Path:
    """Class folders to damage."""
    return write_striped_images(tmp_path / "stripes")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--dataset", "digit", "unknown data set 'digit'; did you mean 'digits'?"),
        ("--dataset", "some/where", "no such folder 'some/where'; give a folder of class folders"),
        (
            "--backbone",
            "vit_micro_patch8_23",
            "unknown backbone 'vit_micro_patch8_23'; did you mean 'vit_micro_p",
        ),
        ("--backbone", "resnet18", "'resnet18' is a ResNet, which is not supported; supported: timm"),
        ("--backbone-weights", "no.safetensors", "no backbone weights at 'no.safetensors'"),
        (
            "--space",
            "noah-vtb",
            "unknown space 'noah-vtb'; did you mean 'noah-vtab'? There are: all, default, large",
        ),
        ("--space", "no.yaml", "cannot read the space file 'no.yaml'"),
        ("--budget", "plenty", "the budget is 'plenty'; give a number of parameters such as 12000, 500k"),
        ("--epochs", "0", "epochs is '0': give a whole number from 1 up, or several separated by"),
        ("--device", "tpu", "device is 'tpu'; give auto, cpu or cuda"),
        ("--searcher", "tpee", "unknown searcher 'tpee'; did you mean 'tpe'? There are: evolution, "),
        ("--searcher", "random", "'random' has no option 'parents', it has none; leave --parents out"),
        (
            "--searcher-options",
            "speed=3",
            "'evolution' has no option 'speed', it has: parents, mutation_prob",
        ),
        ("--searcher-options", "parents=3", "parents has an option of its own; give --parents 3"),
        ("--ray-address", "somewhere", "ray_address is 'somewhere'; give auto, HOST:PORT or ray://HOST:PORT"),
        ("--ray-address", "127.0.0.1:1", "ray_address is '127.0.0.1:1', and nothing answers there"),
        ("--cpus-per-trial", "0", "cpus_per_trial is 0; give a whole number from 1"),
        ("--gpus-per-trial", "2", "gpus_per_trial is 2; give more than 0 and up to 1"),
        ("--micro-batches", "17", "a batch of 16 images is too small for 17 parts"),
        ("--data-parallel", "17", "a batch of 16 images is too small for 17 parts"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    tiny: Arguments, out: Path, option: str, value: str, message: str
):
    result = nas_peft("search", *tiny, "--out", out, option, value)
    assert message in error_of(result)
    assert not out.exists()


def test_options_that_do_not_go_together(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--chooser", "one-path", "--groups", "3")
    assert "groups is 3, which only the chooser 'groups' reads, and the chooser is 'one-p" in error_of(result)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--early-stopping", "--lr-grid", "1,3"],
            "--no-retrain skips all separate trainings, and --lr-grid sets an option of theirs",
        ),
        (
            ["--cpus-per-trial", "1"],
            "with no_retrain and one worker nothing is done on Ray, and ray_address, cpus_per_trial or",
        ),
    ],
)
def test_options_of_separate_trainings_without_any(
    tiny: Arguments, out: Path, options: Arguments, message: str
):
    without = [*tiny, "--out", str(out), "--no-retrain", "--retrain", "3"]
    assert message in error_of(nas_peft("search", *without, *options))
    assert not out.exists()


def test_a_share_of_a_gpu_on_the_cpu(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--device", "cpu", "--gpus-per-trial", "0.5")
    assert "gpus_per_trial is given, and the device is cpu; leave it out" in error_of(result)
    assert not out.exists()


def test_a_name_that_is_no_choice_is_said_with_the_choices(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--chooser", "two-paths")
    assert result.exit_code == 2
    assert "Value error" not in result.stderr
    for choice in ("one-per-image", "one-path", "groups", "sandwich"):
        assert choice in result.stderr
    assert not out.exists()


def test_a_budget_below_the_smallest_subnet(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--budget", "100")
    message = error_of(result, after_stages=True)
    assert "smallest subnet of the space 'default' has 128; raise it to at least 128, or choose a" in message
    assert not out.exists()


def test_a_searcher_that_cannot_work_with_the_space(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--searcher", "noah")
    message = error_of(result, after_stages=True)
    assert "the searcher 'noah' mutates depths only" in message
    assert "give --space noah-vtab or noah-fewshot" in message
    assert not out.exists()


def test_an_empty_class(tiny: Arguments, out: Path, images: Path):
    (images / "empty").mkdir()
    message = error_of(nas_peft("search", *tiny, "--out", out, "--dataset", images))
    assert f"class '{images / 'empty'}' has 0 images" in message
    assert "add images of it or leave the class out" in message
    assert not out.exists()


def test_a_class_with_one_image(tiny: Arguments, out: Path, images: Path):
    (images / "single").mkdir()
    (images / "down" / "00.png").rename(images / "single" / "00.png")
    message = error_of(nas_peft("search", *tiny, "--out", out, "--dataset", images))
    assert "single' has 1 image, 3 are needed (one each for" in message
    assert not out.exists()


def test_a_corrupt_image_is_named_and_can_be_skipped(
    tiny: Arguments, out: Path, images: Path, backbone: Backbone
):
    corrupt = images / "down" / "07.png"
    corrupt.write_bytes(corrupt.read_bytes()[:200])
    message = error_of(nas_peft("search", *tiny, "--out", out, "--dataset", images))
    assert f"image '{corrupt}' cannot be decoded" in message
    assert "--skip-bad-images" in message
    assert not out.exists()

    to_tensor = Preprocessing.of(backbone.model).to_tensor
    data = load_dataset(str(images), to_tensor=to_tensor, skip_bad_images=True)
    assert data.record["skipped"] == [str(corrupt)]
    assert sum(data.record["counts"].values()) == 3 * 24 - 1  # type: ignore[attr-defined]


def test_an_invalid_space_file(tiny: Arguments, out: Path, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nkinds:\n  lora_rank: {sizes: [0, two]}\n")
    message = error_of(nas_peft("search", *tiny, "--out", out, "--space", file))
    assert "kinds.lora_rank.sizes[1] is 'two'; give a whole number from 0 up" in message


def test_a_run_folder_of_another_configuration(tiny: Arguments, out: Path, tiny_values: dict[str, Any]):
    RunFolder.open(out, SearchConfig.of(**tiny_values | {"seed": 3}))
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    message = error_of(nas_peft("search", *tiny, "--out", out), after_stages=True)
    assert "holds a run of another configuration: seed (3 there, 0 now)" in message
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


@pytest.mark.thorough
def test_an_out_that_cannot_be_used(tiny: Arguments, tmp_path: Path, images: Path):
    (tmp_path / "file").write_text("")
    message = error_of(nas_peft("search", *tiny, "--out", tmp_path / "file"), after_stages=True)
    assert "is a file; give another --out" in message
    message = error_of(nas_peft("search", *tiny, "--out", tmp_path / "file" / "run"), after_stages=True)
    assert "cannot be made: '" in message
    assert "/file' is a file; give another --out" in message
    message = error_of(nas_peft("search", *tiny, "--out", images), after_stages=True)
    assert "is not empty and holds no run; give another --out" in message
    assert sorted(p.name for p in images.iterdir()) == ["across", "down", "slanting"]


@pytest.mark.slow
def test_a_loss_that_is_not_finite(tiny: Arguments, out: Path):
    result = nas_peft("search", *tiny, "--out", out, "--supernet-lr", "1e30")
    message = error_of(result, after_stages=True)
    assert [line for line in result.stderr.splitlines() if line.startswith(UNPLANNED)]
    for part in ("the loss is ", "at step ", "learning rate 1e+30", "try a lower learning rate"):
        assert part in message
    assert not out.exists()  # the same command with a lower rate can use it


@pytest.mark.thorough
@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_several_processes(tiny: Arguments, out: Path):
    wild = ["--supernet-lr", "1e30", "--data-parallel", "2"]
    message = error_of(nas_peft("search", *tiny, "--out", out, *wild), after_stages=True)
    assert "learning rate 1e+30" in message
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("file", sweep(["config.yaml", "stages/inputs.json", "supernet.safetensors"]))
def test_a_full_disk(tiny: Arguments, out: Path, tiny_values: dict[str, Any], file: str):
    if file == "config.yaml":
        out.mkdir()
    else:
        RunFolder.open(out, SearchConfig.of(**tiny_values).on("cpu"))
    (out / f"{file}.partial").symlink_to(FULL)
    message = error_of(nas_peft("search", *tiny, "--out", out), after_stages=True)
    assert "no space left on the disk; free some, and start the same command again to go on" in message
    assert not (out / file).exists()
    assert list(out.rglob("*.partial")) == []


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_an_end_that_cannot_be_printed_says_that_the_run_is_kept(tiny: Arguments, finished_run: SearchResult):
    words = ["search", *map(str, tiny), "--out", str(finished_run.run)]
    command = [sys.executable, "-m", "nas_peft", *words]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "the run has ended and its results are kept" in message
    assert message.endswith(f"nas-peft show {finished_run.run}")
    assert "Exception ignored" not in done.stderr


def test_a_finished_run_prints_its_decision_and_what_to_do_next(
    tiny: Arguments, finished_run: SearchResult, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    result = nas_peft("search", *tiny, "--out", finished_run.run)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("chosen ")
    assert finished_run.selected.label in result.stdout
    assert len(result.stdout.splitlines()) <= 34
    assert f"subnet: {finished_run.run}/subnet.safetensors" in result.stdout
    _, last = result.stdout.split("next:")
    commands = [line.strip() for line in last.splitlines() if line.startswith("  ")]
    assert [command.split()[1] for command in commands] == ["predict", "evaluate", "export"]
    assert f"all tables: nas-peft show {finished_run.run}" in last
    changes = {"domains": True, "layout": "classes", "module_files": ["my kind.py"], "seed": 3}
    changed = next_commands(finished_run.model_copy(update={"config": finished_run.config | changes}))
    assert "subnet.safetensors PHOTOS/ --module-file 'my kind.py'" in changed
    (evaluation,) = (line for line in changed.splitlines() if "evaluate" in line)
    assert " --layout classes --domains --module-file 'my kind.py'" in evaluation
    (prediction,) = (line for line in next_commands(finished_run).splitlines() if "predict" in line)
    assert "--" not in prediction


def test_quiet_shows_the_end_alone_and_json_is_for_programs(tiny: Arguments, finished_run: SearchResult):
    words = ["search", *tiny, "--out", finished_run.run]
    quiet = nas_peft(*words, "--quiet")
    assert quiet.stdout.startswith("chosen ")
    assert quiet.stderr == ""
    told = nas_peft(*words, "--progress", "json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert (events[0]["event"], events[0]["text"]) == (
        "message",
        "found 72 images in 3 classes; loading PyTorch",
    )
    assert events[1]["event"] == "stage"
    assert events[-1]["event"] == "result"
    assert events[-1]["decision"]["exported"] == finished_run.selected.name
    assert told.stderr == ""
    message = error_of(nas_peft(*words, "--quiet", "--progress", "json"))
    assert "--quiet shows no progress, and --progress json does; give one of them" in message


def test_full_fine_tuning_that_is_better_comes_with_the_command_that_exports_it(finished_run: SearchResult):
    assert finished_run.decision is not None

    def shown(verdict: str) -> str:
        decision = finished_run.decision.model_copy(
            update={
                "roles": {"full": "full"},
                "rivals": [
                    finished_run.decision.rivals[0].model_copy(update={"row": "full", "verdict": verdict})
                ],
            }
        )
        return next_commands(finished_run.model_copy(update={"decision": decision}))

    assert "--row full --to merged" in shown("worse")
    assert "--row full" not in shown("tie")
    assert "--row full" not in next_commands(finished_run.model_copy(update={"decision": None}))


@pytest.mark.slow
def test_a_dry_run_prints_the_plan_and_leaves_nothing(image_folder: Path, tmp_path: Path, monkeypatch):
    fast = Speeds(forward=1e-4, supernet=4e-4, subnet=3e-4, full=4e-4, places=2)
    monkeypatch.setattr("nas_peft.planning.plan.measure", lambda *given: fast)  # its test measures
    monkeypatch.chdir(tmp_path)
    words = ["search", "--dataset", str(image_folder), "--time", "10h", "--dry-run", "--population", "12"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert f"plan for --time 10h: level {len(LEVELS)} of {len(LEVELS)}" in done.output
    for stage in ("linear probe", "supernet", "search", "final training", "whole command"):
        assert stage in done.output
    assert "speeds of this machine: " in done.output  # its bar
    assert "found 72 images in 3 classes; loading PyTorch" in done.output
    (notes,) = (line for line in done.output.splitlines() if line.startswith("sets --"))
    assert len(notes) > 80  # not as narrow as the table
    assert "--population" not in done.output
    assert not list(tmp_path.iterdir())


def test_a_dry_run_without_a_time_is_refused(image_folder: Path):
    done = CliRunner().invoke(app, ["search", "--dataset", str(image_folder), "--dry-run", "--epochs", "8"])
    assert done.exit_code == 2
    assert "give --time or --preset" in done.output
