"""Command-line options made from the fields of a configuration, and the values given for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from nas_peft.cli.completion import completer
from nas_peft.settings.lists import comma_separated
from nas_peft.settings.panels import panel_of, screen_of

NOT_AN_OPTION = {"command_line": False}
"""The extra of a field that is no option of the command line."""
_LONGEST_DEFAULT = 40  # the help of a field with a longer one says it in words


def given(fields: Mapping[str, Any], context: typer.Context) -> dict[str, Any]:
    """The ``fields`` that stand on the command line; the configuration has the defaults of the others."""

    def by_default(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "DEFAULT"

    return {name: value for name, value in fields.items() if not by_default(name)}


def fields_of(models: Sequence[type[BaseModel]]) -> dict[str, FieldInfo]:
    """The fields of ``models`` that are options, by name."""
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    return {name: f for name, f in fields.items() if (f.json_schema_extra or {}) != NOT_AN_OPTION}


def first_screen(*models: type[BaseModel]) -> dict[str, str]:
    """The options on the first screen of a command's help, with the headings under which they stand."""
    headings = {name: screen_of(field.metadata) for name, field in fields_of(models).items()}
    return {name: heading for name, heading in headings.items() if heading is not None}


def default_of(field: FieldInfo) -> Any:
    """Default of the option, as its help shows it; ``None`` for a required field, which a file may give."""
    if field.default is PydanticUndefined:
        return None
    if comma_separated(field.metadata) and field.default is not None:
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in field.default)
    return field.default


def with_fields(models: Sequence[type[BaseModel]], function: Callable[..., None]) -> Callable[..., None]:
    """Add a keyword to ``function`` for each field of ``models``; typer makes an option of each.

    Changes the signature of ``function`` in place and returns ``function``.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = [_parameter(name, field) for name, field in fields_of(models).items()]
    parameters += [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return function


def _shows_default(field: FieldInfo) -> bool:
    """Whether the help shows the default as a value, because the description does not say it in words."""
    return len(str(default_of(field))) <= _LONGEST_DEFAULT and "by default" not in str(field.description)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind: Any = field.annotation
    flag = f"--{name.replace('_', '-')}"
    if kind is bool and not name.startswith("no_"):
        flag = f"{flag}/--no-{name.replace('_', '-')}"
    elif comma_separated(field.metadata):
        kind = str if default_of(field) is not None else str | None
    elif get_origin(kind) is tuple:  # an option that can be given several times
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
        flag = flag.removesuffix("s")
    elif field.is_required():
        kind = kind | None
    option = typer.Option(
        flag,
        help=f"{field.description}.",
        show_default=_shows_default(field),
        rich_help_panel=panel_of(field.metadata),
        autocompletion=completer(name),
    )
    annotation: Any = Annotated.__class_getitem__((kind, option))  # type: ignore[attr-defined]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default_of(field), annotation=annotation
    )
