"""Options of long commands that say how progress is shown."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces.errors import InputError

if TYPE_CHECKING:  # the command line imports this file to print its help
    from nas_peft.run.progress import StageBars
    from nas_peft.run.results import SearchResult


class Progress(str, Enum):
    """Ways to show progress."""

    auto = "auto"
    plain = "plain"
    json = "json"


ProgressStyle = Annotated[
    Progress,
    typer.Option(
        "--progress",
        help="How progress is shown: auto (bars on a terminal, plain lines elsewhere), plain, or json (one "
        "JSON object a line on standard output, the result among them).",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the end.")]


def stage_bars(progress: Progress, quiet: bool) -> StageBars:
    """The progress that these options ask for. Raises `InputError` if they contradict each other."""
    from nas_peft.run.progress import StageBars

    if quiet and progress is not Progress.auto:
        raise InputError(f"--quiet shows no progress, and --progress {progress.value} does; give one of them")
    return StageBars(quiet=quiet, style=progress.value)


def end_of_run(bars: StageBars, progress: Progress, result: SearchResult) -> None:
    """Print the decision of a run, or report it as the event ``result``."""
    from nas_peft.cli.result_output import print_result
    from nas_peft.protocol.sections import chosen_sections, section_values

    if progress is Progress.json:
        bars.tell("result", **section_values(result, chosen_sections(["decision", "rows"])))
    else:
        print_result(result)
