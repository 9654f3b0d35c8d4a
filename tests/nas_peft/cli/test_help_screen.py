"""The help of each command: one screen, readable at 80 columns, nothing heavy imported, no name cut."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nas_peft.cli.app import COMMANDS, app
from nas_peft.cli.config_options import fields_of
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.command_options import RunOptions, SearchOptions
from nas_peft.settings.panels import Panel, Screen, panel_of
from nas_peft.settings.search_config import SearchConfig

SCREEN = 45
SEARCH, BASELINES = (SearchConfig, SearchOptions), (BaselinesConfig, RunOptions)
LOADED: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown(*arguments: str, columns: int = 80) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})
    assert result.exit_code in (0, 2), result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_one_screen(command: str):
    lines = shown(command, "--help").splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_the_first_screen_names_options_that_exist(command: str):
    first = LOADED[command].first_screen or {}
    assert set(first) <= {param.name for param in LOADED[command].params}


@pytest.mark.parametrize("command", ["search", "baselines", "export"])
def test_all_options_are_there_on_request_and_none_is_cut(command: str):
    whole = shown(command, "--help-all")
    assert max(map(len, whole.splitlines())) <= 80
    for option in LOADED[command].params:
        for name in option.opts if option.param_type_name == "option" else ():
            assert re.search(rf"^  ({name}\b|-.*, {name}\b)", whole, re.MULTILINE), name
            assert f"{name[:-1]}\n" not in whole
    left = int(re.findall(r"--help-all shows (\d+) more options", shown(command, "--help"))[0])
    assert left == sum(row.startswith("  --") for row in whole.splitlines()) - sum(
        row.startswith("  --") for row in shown(command, "--help").splitlines()
    )


@pytest.mark.parametrize(("command", "models"), [("search", SEARCH), ("baselines", BASELINES)])
def test_every_field_has_a_panel_and_stands_under_it(command: str, models: tuple[Any, ...]):
    texts = dict(re.findall(r"^(\S[^\n]*):\n((?:  [^\n]*\n)+)", shown(command, "--help-all"), re.MULTILINE))
    for name, field in fields_of(models).items():
        panel = panel_of(field.metadata)
        assert panel in {p.value for p in Panel}, name
        (option,) = (p for p in LOADED[command].params if p.name == name)
        assert re.search(rf"^  {option.opts[0]}\b", texts[str(panel)], re.MULTILINE), name


def test_the_first_screen_has_the_dial_and_what_people_need():
    first = shown("search", "--help")
    for name in ("dataset", "backbone", "budget", "time", "preset", "dry-run", "config", "out"):
        assert f"  --{name} " in first
    for heading in Screen:
        assert f"\n{heading.value}:\n" in first
    assert "--mutation-probability" not in first


def test_a_clause_of_the_first_screen_is_whole():
    """The rest of a sentence is left out at a semicolon, and none in brackets is taken for its end."""
    first = shown("search", "--help", columns=200)
    assert "at most an hour." in first
    assert "it sets the options" not in first
    assert "it sets the options" in " ".join(shown("search", "--help-all").split())
    exports = shown("export", "--help", columns=200)
    assert exports.count("(") == exports.count(")")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], ("torch", "numpy", "rich", "pydantic", "yaml")),
        (["search", "--help"], ("torch", "numpy", "rich", "timm", "ray", "optuna")),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]):
    code = (
        "import sys\nfrom nas_peft.cli.app import app\n"
        f"try: app({arguments!r})\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_list_of_commands_is_the_commands():
    whole = shown("--help")
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.about)}$", whole, re.MULTILINE)
    assert "did you mean" in shown("serach").lower()
