"""Help of a command: one screen of the options that people need, and all options in panels on request."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand
from typer.models import ArgumentInfo

from nas_peft.cli.two_columns import WIDEST, Row, two_columns
from nas_peft.settings.panels import Panel, Screen

_ALL = f"{__name__}.all"
_NAMES = 26  # columns of the names; a longer name stands on a line of its own
_OF_HELP = {"--help", "--help-all"}
_NOTES = "  ["
_NO_DEFAULT: tuple[Any, ...] = (None, "", [], ())
_ARGUMENTS = "Arguments"
_REST = "Options"
_METAVARS = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
_CLAUSE = re.compile(r"(?:\([^)]*\)|[^(;]|;(?! ))*")  # up to a semicolon outside parentheses


class HelpScreen(TyperCommand):
    """A command whose ``--help`` shows the options of ``first_screen`` under the headings that stand there.

    Of such an option the first screen has the first clause of its help. Without ``first_screen`` all options
    are shown, as ``--help-all`` does.
    """

    first_screen: Mapping[str, str] | None = None

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the panels of options, and the number of options that are left out."""
        first = {} if self.first_screen is None else self.first_screen
        everything = self.first_screen is None or ctx.meta.get(_ALL, False)
        names = (panel.value for panel in (Panel if everything else Screen))
        panels: dict[str, list[Row]] = {name: [] for name in (_ARGUMENTS, *names, _REST)}
        left_out = 0
        for param in self.get_params(ctx):
            row = _row(param, ctx)
            if row is None:
                continue
            if param.param_type_name == "argument":
                panels[_ARGUMENTS].append(row)
            elif everything or _OF_HELP & set(param.opts):
                panels[getattr(param, "rich_help_panel", None) or _REST].append(row)
            elif param.name in first:
                panels[first[param.name]].append(_first_clause(row))
            else:
                left_out += 1
        lengths = [len(flags) for rows in panels.values() for flags, _ in rows]
        width = max((length for length in lengths if length <= _NAMES), default=_NAMES)
        for name, rows in panels.items():
            if rows:
                with formatter.section(name):
                    indent = formatter.current_indent
                    lines = two_columns(rows, names=width, width=formatter.width, indent=indent)
                    formatter.write("".join(f"{line}\n" for line in lines))
        if left_out:
            formatter.write_paragraph()
            formatter.write_text(f"{ctx.command_path} --help-all shows {left_out} more options.")

    def format_arguments(self, ctx: Any, formatter: Any) -> None:
        """Write nothing: `format_options` writes the arguments, as newer versions of click do here."""


def screen(name: str, function: Callable[..., None], first: Mapping[str, str] | None = None) -> HelpScreen:
    """The command ``name`` that calls ``function`` and shows the options ``first`` on its first screen."""
    kinds = {p.name: p.annotation for p in inspect.signature(function, eval_str=True).parameters.values()}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(
        name,
        cls=HelpScreen,
        help=_in_paragraphs(function.__doc__),
        context_settings={"max_content_width": WIDEST},
    )(function if first is None else _with_help_all(function))
    command = typer.main.get_command(app)
    assert isinstance(command, HelpScreen)
    command.first_screen = first
    for param in command.params:
        kind = kinds.get(str(param.name))
        if param.metavar is None and kind is not None:
            param.metavar = _metavar(kind)
        described = [of.help for of in get_args(kind) if isinstance(of, ArgumentInfo)]
        if described:  # typer's lowest version loses it
            param.help = described[0]  # type: ignore[attr-defined]
    return command


def _row(param: Any, ctx: Any) -> Row | None:
    """Names and help of a parameter; a switch that is off has the name that turns it on alone."""
    record: Row | None = param.get_help_record(ctx)
    if record is None:
        return None
    flags = record[0]
    if param.param_type_name == "argument":
        flags = str(param.metavar or param.name.upper())
    elif param.is_flag and param.default is False:
        flags = ", ".join(param.opts)
    noted = "; ".join(_notes(param))
    return flags, f"{param.help or ''}{_NOTES}{noted}]" if noted else str(param.help or "")


def _notes(param: Any) -> Iterator[str]:
    """What stands in brackets: the range of a number, the default, or that the parameter is required."""
    kind = getattr(param, "type", None)  # of click, which typer used to build on
    least, most = (getattr(param, end, getattr(kind, end, None)) for end in ("min", "max"))
    if least is not None and most is not None:
        yield f"{least:g} to {most:g}"
    elif least is not None:
        yield f"at least {least:g}"
    default = param.default
    if param.required:
        yield "required"
    elif getattr(param, "show_default", False) and default not in _NO_DEFAULT and default is not False:
        shown = param.opts[0].lstrip("-") if default is True else getattr(default, "value", default)
        yield f"default: {shown}"


def _first_clause(row: Row) -> Row:
    flags, text = row
    said, bracket, noted = text.partition(_NOTES)
    clause = _CLAUSE.match(said)
    return flags, f"{clause[0].rstrip('.') if clause else said}.{bracket}{noted}"


def _metavar(annotation: Any) -> str | None:
    """The word for a value in the help, by its type; ``None`` where the values themselves stand there."""
    for kind in (annotation, *get_args(annotation)):
        if word := _METAVARS.get(kind) if isinstance(kind, type) else None:
            return word
    inner = (word for kind in get_args(annotation)[:1] if (word := _metavar(kind)))
    return None if get_origin(annotation) is Literal else next(inner, None)


def _in_paragraphs(docstring: str | None) -> str:
    """The text of a docstring with each paragraph on one line: the terminal breaks lines where it ends."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").split("\n\n"))


def _print_all(context: typer.Context, asked: bool) -> None:
    if asked:
        context.meta[_ALL] = True
        typer.echo(context.get_help(), color=context.color)
        raise typer.Exit


def _with_help_all(function: Callable[..., None]) -> Callable[..., None]:
    """``function`` with the option ``--help-all``, which the function itself does not see."""
    signature = inspect.signature(function, eval_str=True)
    option = typer.Option(
        "--help-all",
        callback=_print_all,
        is_eager=True,
        expose_value=False,
        help="Show every option and exit.",
    )
    annotation: Any = Annotated.__class_getitem__((bool, option))  # type: ignore[attr-defined]
    added = inspect.Parameter(
        "help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation
    )

    @functools.wraps(function)
    def without(*, help_all: bool = False, **values: Any) -> None:
        function(**values)

    parameters = [*signature.parameters.values(), added]
    without.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    without.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return without
