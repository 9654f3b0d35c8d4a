"""The JSON schema takes what the commands take, and refuses what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from nas_peft.run.run_folder import RunFolder
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.command_options import RunOptions, SearchOptions
from nas_peft.settings.json_schema import file_schema
from nas_peft.settings.search_config import SearchConfig

SCHEMA = file_schema("nas-peft search", (SearchConfig, SearchOptions))
FULL = {
    "dataset": "digits",
    "time": "5m",
    "lr_grid": "0.3,1,3",
    "singles": "lora_rank,adapter_dim",
    "inherited_epochs": "2,4",
    "start": "inherited",
    "augmentation": "none,crop",
    "backbone_weights": Path("a.pth"),
}


def errors(options: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(options)]


def test_it_is_a_schema_with_every_option_and_its_help():
    Draft202012Validator.check_schema(SCHEMA)
    fields = SearchConfig.model_fields | SearchOptions.model_fields
    assert list(SCHEMA["properties"]) == list(fields)
    assert {name: p["description"] for name, p in SCHEMA["properties"].items()} == {
        name: field.description for name, field in fields.items()
    }
    assert "$ref" not in str(SCHEMA)


@pytest.mark.parametrize("values", [{"dataset": "digits"}, FULL])
def test_the_configuration_that_a_run_leaves_is_valid(tmp_path: Path, values: dict[str, Any]):
    options = SearchOptions(device="cpu", workers=2, storage="a.journal", gpus_per_trial=0.5)
    folder = RunFolder.open(tmp_path / "run", SearchConfig.of(**values), options=options)
    read = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert read["workers"] == 2
    assert errors(read) == []


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 4},
        {"epochs": "4,8"},
        {"epochs": [4, 8]},
        {"budget": 12000},
        {"time": "5m"},
        {"shots": None},
        {},
    ],
)
def test_the_forms_that_the_command_takes_are_valid(options: dict[str, Any]):
    assert errors(options) == []


@pytest.mark.parametrize(
    "options",
    [
        {"epoch": 4},
        {"seeds": "many"},
        {"seeds": 0},
        {"preset": "slow"},
        {"racing": "perhaps"},
        {"epochs": None},
    ],
)
def test_what_the_command_refuses_is_not_valid(options: dict[str, Any]):
    assert errors(options)


def test_baselines_have_the_options_of_their_command():
    schema = file_schema("nas-peft baselines", (BaselinesConfig, RunOptions))
    assert list(schema["properties"]) == [*BaselinesConfig.model_fields, *RunOptions.model_fields]
