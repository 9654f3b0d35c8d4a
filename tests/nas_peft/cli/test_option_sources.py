"""``--config``: options in a file, the command line before it, and mistakes that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.cli.option_sources import options_of, planned_run
from nas_peft.cli.search import with_time
from nas_peft.run.results import SearchResult
from nas_peft.run.run_folder import RunFolder
from nas_peft.settings.command_options import SearchOptions
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

KINDS = (SearchConfig, SearchOptions)


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def options(*arguments: str, file: str | dict[str, Any] | Path | None = None) -> tuple[SearchConfig, Any]:
    """What ``nas-peft search`` makes of the arguments and of a file with that content."""
    if isinstance(file, dict):
        file = yaml.safe_dump(file)
    if isinstance(file, str):
        Path("mine.yaml").write_text(file)
        file = Path("mine.yaml")
    command: Any = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
    context = command.make_context("search", list(arguments))
    return options_of(KINDS, context.params, context, file, completed=with_time)


def test_every_option_can_stand_in_a_file():
    file = {
        "dataset": "digits",
        "budget": 20000,  # YAML has numbers where the command line has text
        "image_size": 48,
        "epochs": [4, 8],
        "augmentation": "none,crop",
        "baselines": "none",
        "lr": "5e-3",
        "module_files": ["kinds.py"],
        "racing": False,
        "out": "there",
        "device": "cpu",
        "workers": 2,
        "storage": "sqlite:///studies.db",
        "study": "mine",
        "cpus_per_trial": 1,
        "dry_run": True,
    }
    config, others = options(file=file)
    assert config == SearchConfig.of(
        dataset="digits",
        budget="20000",
        image_size="48",
        epochs="4,8",
        augmentation="none,crop",
        baselines="none",
        lr=5e-3,
        module_files=["kinds.py"],
        racing=False,
    )
    assert (others.out, others.device, others.workers) == (Path("there"), "cpu", 2)
    assert (others.storage, others.study, others.dry_run) == ("sqlite:///studies.db", "mine", True)


def test_the_command_line_wins_over_the_file():
    file = {"dataset": "digits", "seed": 1, "epochs": 4, "device": "cpu", "racing": False}
    config, others = options("--seed", "2", "--device", "auto", "--racing", file=file)
    assert (config.seed, config.epochs, config.racing, others.device) == (2, (4,), True, "auto")
    assert options("--dataset", "other", file=file)[0].dataset == "other"


def test_a_time_on_the_command_line_replaces_a_preset_in_the_file():
    assert options("--time", "5m", file={"dataset": "digits", "preset": "fast"})[0].preset is None
    assert options("--preset", "fast", file={"dataset": "digits", "time": "1h"})[0].chosen_time == "3m"


def test_a_file_that_says_nothing_of_the_search_is_planned_as_such_a_command_is():
    assert options(file={"dataset": "digits", "device": "cpu"})[0].time == "auto"
    assert options(file={"dataset": "digits", "epochs": 4})[0].time is None


def test_the_configuration_of_a_run_is_the_run_and_a_change_is_another():
    planned = SearchConfig.of(dataset="digits", time="5m", seed=3)
    folder = RunFolder.open(Path("runs/one"), planned, options=SearchOptions(device="cpu", workers=2))
    file = folder.path / "config.yaml"
    config, others = options(file=file)
    assert config == planned
    assert (others.out, others.device, others.workers) == (folder.path, "cpu", 2)
    assert RunFolder.open(others.out, config).path == folder.path
    changed, others = options("--epochs", "4", file=file)
    assert (changed.fixed, others.out) == (("dataset", "epochs", "seed"), None)
    assert options("--out", "two", file=file)[1].out == Path("two")
    copy = Path("copy.yaml")
    copy.write_text(file.read_text())
    assert options(file=copy) == (planned, SearchOptions(device="cpu", workers=2))


def test_the_plan_of_a_run_is_repeated_unless_a_time_is_given():
    folder = RunFolder.open(Path("runs/one"), SearchConfig.of(dataset="digits", time="5m"))
    file = folder.path / "config.yaml"
    command: Any = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]

    def repeated(*arguments: str, of: Path | None = file) -> Path | None:
        return planned_run(command.make_context("search", list(arguments)), of)

    assert repeated() == repeated("--seed", "1", "--out", "two") == folder.path
    assert repeated("--time", "5m") is None
    assert repeated("--preset", "fast") is None
    assert repeated(of=None) is None
    copy = Path("config.yaml")
    copy.write_text(file.read_text())
    assert repeated(of=copy) is None


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("dataset: digits\nepoch: 4\n", "'mine.yaml': there is no option 'epoch'; did you mean 'epochs'?"),
        ("dataset: digits\nmodule-files: [a.py]\n", "did you mean 'module_files'?"),
        ("dataset: digits\nseeds: many\n", "'mine.yaml': seeds is 'many': input should be a valid integer"),
        ("dataset: digits\nworkers: many\n", "'mine.yaml': workers is 'many': input should be a valid int"),
        ("dataset: digits\nepochs: [4, 0]\n", "'mine.yaml': epochs is [4, 0]: give a whole number from 1 up"),
        ("dataset: digits\nchooser: two\n", "'mine.yaml': chooser is 'two': input should be 'one-per-image'"),
        ("dataset: digits\nseed: 1\nseed: 2\n", "'mine.yaml': line 3: 'seed' is given twice"),
        ("dataset: [", "'mine.yaml': line 1: "),
        ("- digits\n", "'mine.yaml' holds no options; write lines such as 'dataset: photos/' into it"),
        ("seed: 1\n", "no data set is given; give --dataset"),
        ("", "no data set is given; give --dataset"),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_field(file: str, message: str):
    with pytest.raises(InputError) as caught:
        options(file=file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_on_the_command_line_is_not_blamed_on_the_file():
    with pytest.raises(InputError, match=r"^seeds is 0: "):
        options("--seeds", "0", file={"dataset": "digits", "seeds": 3})


def test_a_file_that_is_not_there_is_one_line_and_status_2():
    result = CliRunner().invoke(app, ["search", "--config", "nosuch.yaml"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: cannot read the configuration 'nosuch.yaml': No such file or directory; give a YAML file to "
        "--config"
    ]


def test_the_file_of_a_search_is_not_one_of_baselines():
    Path("mine.yaml").write_text("dataset: digits\nepochs: 4\ngenerations: 3\n")
    result = CliRunner().invoke(app, ["baselines", "--config", "mine.yaml"])
    assert result.exit_code == 2
    assert "error: 'mine.yaml': 'generations' is an option of nas-peft search alone" in result.stderr


def test_a_finished_run_is_returned_by_its_own_configuration(finished_run: SearchResult):
    result = CliRunner().invoke(app, ["search", "--config", f"{finished_run.run}/config.yaml"])
    assert result.exit_code == 0, result.output
    assert f"nas-peft show {finished_run.run}" in result.stdout
