"""Entry point of ``nas-peft``."""

from __future__ import annotations

import typer

from nas_peft.cli.audit import audit
from nas_peft.cli.baselines import baselines
from nas_peft.cli.compare import compare
from nas_peft.cli.console_encoding import show_every_character
from nas_peft.cli.evaluate import evaluate
from nas_peft.cli.export import export
from nas_peft.cli.front import front
from nas_peft.cli.predict import predict
from nas_peft.cli.search import search

app = typer.Typer(
    help="Neural architecture search for parameter-efficient fine-tuning of Vision Transformers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("search")(search)
app.command("front")(front)
app.command("audit")(audit)
app.command("baselines")(baselines)
app.command("compare")(compare)
app.command("predict")(predict)
app.command("export")(export)
app.command("evaluate")(evaluate)


def main() -> None:
    """Run the command line."""
    show_every_character()
    app()
