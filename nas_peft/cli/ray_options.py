"""Options of the commands that train on Ray."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Address of a running Ray to train on: auto or HOST:PORT if this machine is part of it, else "
        "ray://HOST:PORT of its client server, or local for a Ray of the command's own on this machine, "
        "which is stopped at the end. By default the environment variable RAY_ADDRESS, else local."
    ),
]
CpusPerTrial: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Cores for each separate training; by default an equal share of all cores. Another number may "
        "change the last digits of the results."
    ),
]
GpusPerTrial: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="GPUs for each separate training, at most 1; 0.25 runs four trainings at once on each GPU; "
        "by default 1."
    ),
]
