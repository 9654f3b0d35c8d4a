"""Every field of a configuration is an option of its command."""

from typing import Any

import pytest
import typer

from nas_peft.cli.app import app
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.command_options import RunOptions, SearchOptions
from nas_peft.settings.lists import comma_separated
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig

CONFIGS: dict[str, type[TrainingConfig]] = {"search": SearchConfig, "baselines": BaselinesConfig}


def options(command: str = "search") -> dict[str, Any]:
    group = typer.main.get_command(app)
    return {param.name: param for param in group.commands[command].params}  # type: ignore[attr-defined]


OPTIONS = [(c, name) for c in CONFIGS for name in CONFIGS[c].model_fields if name != "fixed"]


@pytest.mark.parametrize(("command", "field"), OPTIONS)
def test_every_field_is_an_option_with_its_description_and_default(command: str, field: str):
    option = options(command)[field]
    declared = CONFIGS[command].model_fields[field]
    flag = f"--{field.replace('_', '-')}"
    listed = comma_separated(declared.metadata)
    repeated = isinstance(declared.default, tuple) and listed is None
    assert (flag.removesuffix("s") if repeated else flag) in option.opts
    assert declared.description
    assert option.help == f"{declared.description}."
    assert not option.required  # a file may give it
    if not declared.is_required():
        default = tuple(option.default or ()) if option.multiple else option.default
        assert (listed.read(default) if listed else default) == declared.default
    if declared.annotation is bool and not field.startswith("no_"):
        assert f"--no-{field.replace('_', '-')}" in option.secondary_opts


def test_the_command_has_few_options_beyond_the_fields():
    of_the_command = {"config", "debug", "help_all"}
    own = {*SearchOptions.model_fields, *of_the_command}
    assert set(options()) - set(SearchConfig.model_fields) == own
    others = {*RunOptions.model_fields, *of_the_command}
    assert set(options("baselines")) - set(BaselinesConfig.model_fields) == others


def test_every_description_is_one_line():
    assert all("\n" not in str(f.description) for f in SearchConfig.model_fields.values())


@pytest.mark.parametrize("field", ["budget", "epochs"])
def test_the_help_does_not_call_a_default_what_a_plan_sets_otherwise(field: str):
    assert "by default the plan's (" in str(SearchConfig.model_fields[field].description).partition(";")[0]
    assert "plan" not in str(BaselinesConfig.model_fields[field].description)
    assert (options()[field].show_default, options("baselines")[field].show_default) == (False, True)
