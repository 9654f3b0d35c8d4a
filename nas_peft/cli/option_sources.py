"""Options of a command from its two sources: the command line, and before it the file of ``--config``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from nas_peft.cli.config_options import fields_of, given
from nas_peft.settings.command_options import RunOptions, SearchOptions
from nas_peft.settings.option_file import read_option_file
from nas_peft.settings.panels import Panel
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.settings.validation import validated
from search_spaces.errors import InputError

_Config = TypeVar("_Config", bound=TrainingConfig)
_Options = TypeVar("_Options", bound=RunOptions)
_Values = dict[str, Any]

ConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file of options, such as the config.yaml of a run folder, which repeats the run; options "
        "of the command line win.",
        rich_help_panel=Panel.OUTPUT.value,
    ),
]
ALTERNATIVES = ("time", "preset")
"""Options that mean the same: one on the command line replaces the other in the file."""


def options_of(
    kinds: tuple[type[_Config], type[_Options]],
    fields: Mapping[str, Any],
    context: typer.Context,
    file: Path | None,
    *,
    completed: Callable[[_Values], _Values] = dict,
) -> tuple[_Config, _Options]:
    """The configuration of a command, and its other options.

    ``fields`` are the values of the command line, of which `given` takes those that stand there, and
    ``completed`` adds to what the user gave. Without an ``out``, the configuration of a run folder means that
    folder, unless the command line changes the configuration. Raises `InputError` for any mistake, with the
    file where it is there.
    """
    config_kind, options_kind = kinds
    named = given(fields, context)
    read: _Values = {}
    if file is not None:
        of_search = {name: "search" for kind in (SearchConfig, SearchOptions) for name in kind.model_fields}
        read = read_option_file(file, {*fields_of(kinds), *config_kind.model_fields}, of_search)
        if set(ALTERNATIVES) & set(named):
            read = {name: value for name, value in read.items() if name not in ALTERNATIVES}
        if read.get("fixed"):  # what the command line adds is given, too
            added = set(named) & set(config_kind.model_fields) - set(ALTERNATIVES)
            read["fixed"] = sorted({*read["fixed"], *added})
    values = read | named
    of_config = {name: value for name, value in values.items() if name in config_kind.model_fields}
    others = {name: value for name, value in values.items() if name not in of_config}
    if "out" not in others and file is not None and _of_a_run(file):
        changed = set(named) & set(config_kind.model_fields)
        others |= {} if changed else {"out": file.parent}
    if of_config.get("dataset") is None:
        raise InputError(
            "no data set is given; give --dataset with a folder or a name (nas-peft datasets lists them), or "
            "a --config file that has it"
        )
    files = {} if file is None else {name: file for name in read if name not in named}
    return (
        validated(config_kind, completed(of_config), files, named),
        validated(options_kind, others, files, named),
    )


def planned_run(context: typer.Context, file: Path | None) -> Path | None:
    """The run folder whose plan is repeated: that of the ``file``, if it is a run's configuration.

    ``None`` if the command line has a time of its own.
    """
    if file is None or not _of_a_run(file) or given(dict.fromkeys(ALTERNATIVES), context):
        return None
    return file.parent


def _of_a_run(file: Path) -> bool:
    return file.name == "config.yaml" and (file.parent / "stages").is_dir()
