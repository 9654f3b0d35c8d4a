"""Options of the commands that load subnet files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

BackboneWeights: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Weights file of the backbone, if the subnet was trained with --backbone-weights."),
]
ModuleFiles: TypeAlias = Annotated[
    list[Path],
    typer.Option(help="Python file that registers module kinds of the subnet; can be given several times."),
]
FolderLayout: TypeAlias = Annotated[
    Literal["auto", "parts", "classes"],
    typer.Option(
        help="Meaning of the folders in --dataset: parts (train, val, test) or classes; auto decides by "
        "their names."
    ),
]
Domains: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--domains/--no-domains",
        help="Read the folders above the images as DOMAIN/CLASS and pool the domains.",
    ),
]
DataRoot: TypeAlias = Annotated[Path | None, typer.Option(help="Folder of timm data sets.")]
SkipBadImages: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--skip-bad-images/--no-skip-bad-images",
        help="Leave out unreadable images, before the parts are split off.",
    ),
]
OneDevice: TypeAlias = Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")]
MaxPixels: TypeAlias = Annotated[int, typer.Option(min=1, help="Largest image to decode, in pixels.")]
MAX_PIXELS = 89_478_485
"""Default of `MaxPixels` in every command; `nas_peft.data.decoding` has the same."""
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def require_outputs(*outputs: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Raise `InputError` for an output that cannot be written, or that would replace a file that is needed.

    These are folders, files in missing folders, files of a run, ``inputs`` of the command, and two outputs of
    one name.
    """
    from nas_peft.run.outputs import require_no_input, require_no_run_file
    from search_spaces.errors import InputError

    given = [output for output in outputs if output is not None]
    read = tuple(inputs)
    for output in given:
        if output.is_dir():
            raise InputError(f"the output '{output}' is a folder; give the name of a file")
        if not output.absolute().parent.is_dir():
            raise InputError(f"no folder '{output.parent}' for '{output.name}'; create it, or give another")
        if given.count(output) > 1:
            raise InputError(f"two outputs are '{output}'; give each a name of its own")
        require_no_run_file(output)
        require_no_input(output, read)
