"""``nas-peft schema``: the JSON schema of configuration files."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from nas_peft.cli.subnet_options import Debug
from nas_peft.cli.user_errors import user_errors


def schema(
    command: Annotated[
        Literal["search", "baselines"],
        typer.Argument(metavar="search|baselines", help="Command whose configuration files are described."),
    ] = "search",
    debug: Debug = False,
) -> None:
    """Print the JSON schema of configuration files, for editors that complete and check YAML.

    In an editor with the YAML language server, write nas-peft schema > schema.json, and begin the file with
    the line: # yaml-language-server: $schema=schema.json
    """
    with user_errors(debug):
        import json

        from nas_peft.settings.baselines_config import BaselinesConfig
        from nas_peft.settings.command_options import RunOptions, SearchOptions
        from nas_peft.settings.json_schema import file_schema
        from nas_peft.settings.search_config import SearchConfig

        models = (SearchConfig, SearchOptions) if command == "search" else (BaselinesConfig, RunOptions)
        print(json.dumps(file_schema(f"nas-peft {command}", models), indent=2))
