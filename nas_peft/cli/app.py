"""Entry point of ``nas-peft``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from nas_peft.cli.audit import audit
from nas_peft.cli.baselines import baselines
from nas_peft.cli.cache import cache
from nas_peft.cli.compare import compare
from nas_peft.cli.console_encoding import show_every_character
from nas_peft.cli.evaluate import evaluate
from nas_peft.cli.export import export
from nas_peft.cli.front import front
from nas_peft.cli.predict import predict
from nas_peft.cli.search import search
from nas_peft.cli.serve import serve

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from nas_peft.run.version import __version__

        typer.echo(f"nas-peft {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Neural architecture search for parameter-efficient fine-tuning of Vision Transformers.

    Start with three commands, on a folder that has one folder of images for each class:

    nas-peft search --dataset FOLDER --time 20m --dry-run     what 20 minutes allow on this machine

    nas-peft search --dataset FOLDER --time 20m     search, compare, and export the best small modules

    nas-peft predict RUN/subnet.safetensors PHOTO.jpg     classify images by the result
    """


def _in_paragraphs(docstring: str | None) -> str:
    """The text of a docstring with each paragraph on one line: the terminal breaks lines where it ends."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").split("\n\n"))


_COMMANDS: dict[str, Callable[..., None]] = {
    "search": search,
    "front": front,
    "audit": audit,
    "baselines": baselines,
    "compare": compare,
    "predict": predict,
    "export": export,
    "evaluate": evaluate,
    "serve": serve,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=_in_paragraphs(_command.__doc__))(_command)
app.add_typer(cache, name="cache")


def main() -> None:
    """Run the command line."""
    show_every_character()
    app()
