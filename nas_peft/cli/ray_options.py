"""The options of every command that trains on Ray."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Train on a running Ray: auto or HOST:PORT where this machine belongs to it, ray://HOST:PORT of "
        "its client server where not. By default one is started here for as long as it is needed."
    ),
]
CpusPerTrial: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Cores of each separate training; by default an equal share of all. Another number may change "
        "the last digits of a result."
    ),
]
GpusPerTrial: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Share of a GPU for each separate training, such as 0.25 for four at once; 1 if not given."
    ),
]
