"""``nas-peft show``: the tables of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.completion import run_folders
from nas_peft.cli.user_errors import user_errors


def show(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder of a finished nas-peft search or nas-peft baselines.", autocompletion=run_folders
        ),
    ],
    section: Annotated[
        list[str],
        typer.Option(
            help="Section to show: decision, rows, certainty, modules, recipes, costs or data; can be given "
            "several times. By default all are shown."
        ),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show what a finished run decided, and its tables: scores, certainty, modules, recipes, costs, data.

    Only the run folder is read: neither data nor backbone are needed, and nothing is computed again.
    """
    with user_errors(debug):
        import json

        from nas_peft.protocol.sections import chosen_sections, section_values
        from nas_peft.run.results import SearchResult
        from nas_peft.run.text_console import TextConsole
        from nas_peft.run.wrapped_text import wrapped

        sections = chosen_sections(section)
        result = SearchResult.of_run(run)
        if as_json:
            print(json.dumps(section_values(result, sections), indent=1))
            return
        if result.config.get("module_files"):  # kinds of the user's own have their names there
            from nas_peft.run.module_files import import_unchanged

            files = [Path(file) for file in result.config["module_files"]]
            import_unchanged(files, result.inputs().module_files or {}, run)
        console = TextConsole()
        for number, shown in enumerate(sections.values()):
            for text in shown.printed(result, console.width):
                if number:
                    console.print()
                if isinstance(text, str):
                    text = wrapped(text, console.width)
                console.print(text, soft_wrap=isinstance(text, str))
