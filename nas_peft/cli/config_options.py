"""Making the fields of a configuration the options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from nas_peft.settings.lists import comma_separated
from nas_peft.settings.training_config import TrainingConfig


def default_of(field: FieldInfo) -> Any:
    """Default that the option shows; `inspect.Parameter.empty` where it must be given."""
    if field.default is PydanticUndefined:
        return inspect.Parameter.empty
    if comma_separated(field.metadata) and field.default is not None:
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in field.default)
    return field.default


def with_fields(config: type[TrainingConfig], function: Callable[..., None]) -> Callable[..., None]:
    """Give ``function`` a keyword for each field of ``config``, so that typer makes it an option."""
    given = inspect.signature(function, eval_str=True)
    parameters = []
    for name, field in config.model_fields.items():
        kind: Any = field.annotation
        option = typer.Option(f"--{name.replace('_', '-')}", help=field.description)
        if kind is bool and name.startswith("no_"):
            option = typer.Option(f"--{name.replace('_', '-')}", help=field.description)
        elif kind is bool:
            option = typer.Option(
                f"--{name.replace('_', '-')}/--no-{name.replace('_', '-')}", help=field.description
            )
        elif comma_separated(field.metadata):
            kind = str if default_of(field) is not None else str | None
        elif get_origin(kind) is tuple:  # given once for each of its values
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
            option = typer.Option(f"--{name.replace('_', '-').removesuffix('s')}", help=field.description)
        default = default_of(field)
        annotation: Any = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    parameters += [p for p in given.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    function.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return function
