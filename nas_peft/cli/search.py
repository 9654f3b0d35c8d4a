"""``nas-peft search``: its options are the fields of the configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic_core import PydanticUndefined

from nas_peft.cli.user_errors import user_errors
from nas_peft.config import SearchConfig


def _run_search(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default one under runs/ for this configuration.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where Optuna records the search: sqlite:///FILE, another database URL, or FILE.journal; "
            "by default study.journal in the run folder."
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study in --storage; by default the run folder's name.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int,
        typer.Option(help="Processes that score candidates, each with a GPU or a share of the cores."),
    ] = 1,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **fields: Any,
) -> None:
    """Search the best modules for a data set, compare with the baselines, and export the winner.

    The data set is an embedded name (digits), a folder of class folders (with or without train, val and test
    in it), a VTAB-1k task folder, or a name of timm (torch/cifar100, hfds/..., wds/..., tfds/...). A run that
    was stopped goes on with the same command.
    """
    with user_errors(debug):
        config = SearchConfig.of(**fields)

        from rich.console import Console

        from nas_peft.cost_ledger import cost_table
        from nas_peft.main_job import search as run
        from nas_peft.progress import StageBars
        from nas_peft.results_table import results_table

        with StageBars() as bars:
            result = run(config, out, device=device, bars=bars, storage=storage, study=study, workers=workers)
        console = Console()
        console.print(results_table(result))
        console.print(cost_table(result))
        console.print(
            f"run folder: {result.run}\nsubnet: {result.run}/{result.subnet['file']} "
            f"({result.subnet['params']:,} parameters, {result.subnet['bytes']:,} bytes)",
            highlight=False,
            soft_wrap=True,
        )


def _with_fields(function: Callable[..., None]) -> Callable[..., None]:
    """Give ``function`` a keyword for each field of `SearchConfig`, so that typer makes it an option."""
    given = inspect.signature(function, eval_str=True)
    parameters = []
    for name, field in SearchConfig.model_fields.items():
        kind: Any = field.annotation
        option = typer.Option(f"--{name.replace('_', '-')}", help=field.description)
        if kind is bool and name.startswith("no_"):
            option = typer.Option(f"--{name.replace('_', '-')}", help=field.description)
        elif kind is bool:
            option = typer.Option(
                f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}", help=field.description
            )
        elif get_origin(kind) is tuple:  # given once for each of its values
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
            option = typer.Option(f"--{name.replace('_', '-').removesuffix('s')}", help=field.description)
        default = inspect.Parameter.empty if field.default is PydanticUndefined else field.default
        annotation: Any = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    parameters += [p for p in given.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    function.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return function


search = _with_fields(_run_search)
