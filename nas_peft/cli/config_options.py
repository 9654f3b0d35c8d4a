"""Command-line options made from the fields of a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from nas_peft.settings.lists import comma_separated
from nas_peft.settings.training_config import TrainingConfig

NOT_AN_OPTION = {"command_line": False}
"""The extra of a field that is no option of the command line."""


def given(fields: Mapping[str, Any], context: typer.Context) -> dict[str, Any]:
    """The ``fields`` that stand on the command line; the configuration has the defaults of the others."""

    def by_default(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "DEFAULT"

    return {name: value for name, value in fields.items() if not by_default(name)}


def default_of(field: FieldInfo) -> Any:
    """Default of the option, as its help shows it; `inspect.Parameter.empty` for a required option."""
    if field.default is PydanticUndefined:
        return inspect.Parameter.empty
    if comma_separated(field.metadata) and field.default is not None:
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in field.default)
    return field.default


def with_fields(config: type[TrainingConfig], function: Callable[..., None]) -> Callable[..., None]:
    """Add a keyword to ``function`` for each field of ``config``; typer makes an option of each.

    Changes the signature of ``function`` in place and returns ``function``.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = []
    for name, field in config.model_fields.items():
        if (field.json_schema_extra or {}) == NOT_AN_OPTION:
            continue
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
        elif get_origin(kind) is tuple:  # an option that can be given several times
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
            option = typer.Option(f"--{name.replace('_', '-').removesuffix('s')}", help=field.description)
        default = default_of(field)
        annotation: Any = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    parameters += [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return function
