"""Options of the commands that read a finished run."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

MovedData: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Where the data of the run are now, if they have moved; the images must be the same.",
    ),
]
