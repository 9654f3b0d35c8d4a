"""Progress and end of a long command, as its options ask for them."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from nas_peft.cli.lost_output import write_nowhere
from nas_peft.settings.command_options import Progress, RunOptions, require_one_way
from search_spaces.errors import InputError

if TYPE_CHECKING:  # the command line imports this file to print its help
    from nas_peft.run.progress import StageBars
    from nas_peft.run.results import SearchResult


ProgressStyle: TypeAlias = Annotated[
    Progress,
    typer.Option(
        "--progress",
        help="How progress is shown: auto (bars on a terminal, plain lines elsewhere), plain, or json (one "
        "JSON object a line on standard output).",
    ),
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Show no progress, only the end.")]


def bars_of(progress: Progress, quiet: bool) -> StageBars:
    """The progress of a command without `RunOptions`. Raises `InputError` for options that contradict."""
    from nas_peft.run.progress import StageBars

    require_one_way(progress, quiet)
    return StageBars(quiet=quiet, style=progress)


def stage_bars(options: RunOptions) -> StageBars:
    """The progress that the options ask for, also told to trackers.

    Raises `InputError` for a tracker whose library is missing.
    """
    from nas_peft.deployment.extra import require_extra
    from nas_peft.run.progress import StageBars

    names = options.tracker or ()
    for name in names:
        require_extra(name, f"--tracker {name}")
    if not names:
        return StageBars(quiet=options.quiet, style=options.progress)
    from nas_peft.tracking.tracked_progress import TrackedProgress
    from nas_peft.tracking.tracker import TRACKERS

    tracked = TrackedProgress({name: TRACKERS[name] for name in names})
    return StageBars(quiet=options.quiet, style=options.progress, also=[tracked])


def end_of_run(bars: StageBars, options: RunOptions, result: SearchResult) -> None:
    """Print the decision of a run, or report it as the event ``result``.

    Raises `InputError` if it cannot be printed, for want of room for example: the run is whole by then.
    """
    from nas_peft.cli.result_output import print_result
    from nas_peft.protocol.sections import chosen_sections, section_values

    try:
        if options.progress == "json":
            bars.tell("result", **section_values(result, chosen_sections(["decision", "rows"])))
        else:
            print_result(result)
        sys.stdout.flush()
    except OSError as error:
        write_nowhere(sys.stdout.fileno())
        raise InputError(
            f"the run has ended and its results are kept, but they cannot be printed ({error.strerror}); "
            f"see them with: nas-peft show {shlex.quote(str(result.run))}"
        ) from error
