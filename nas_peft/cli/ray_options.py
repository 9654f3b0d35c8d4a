"""Options of the commands that train on Ray."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Address of a running Ray to train on: auto or HOST:PORT if this machine is part of it, else "
        "ray://HOST:PORT of its client server. By default the command starts a Ray of its own on this "
        "machine, and stops it at the end."
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
        help="GPUs for each separate training, at most 1 and by default 1; 0.25 runs four trainings at once "
        "on each GPU."
    ),
]
