"""Entry point of ``nas-peft``: a command's module is imported when the command is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_peft.cli.console_encoding import show_every_character
from nas_peft.cli.lost_output import outlive_terminal
from nas_peft.cli.usage_errors import OneLineErrors


@dataclass(frozen=True)
class Entry:
    """A command in the list of commands: its group, and one line on what it does.

    The command's function has the command's name and is in the module of that name in `nas_peft.cli`. With
    ``FIRST_SCREEN`` the module names the options to show on the first screen of its help.
    """

    group: str
    about: str


COMMANDS: dict[str, Entry] = {
    "search": Entry("Search", "Search the best modules for a data set, and export them"),
    "baselines": Entry("Search", "Compare single methods and baselines, without a search"),
    "show": Entry("Results", "Show all tables of a finished run"),
    "report": Entry("Results", "Write a report of a finished run as one HTML file"),
    "dashboard": Entry("Results", "Show the search of a run in Optuna's dashboard"),
    "front": Entry("Results", "List the sizes that a search found, and export one of them"),
    "audit": Entry("Results", "Measure how well a search ranks subnets on its data"),
    "compare": Entry("Results", "Compare methods over several runs and data sets"),
    "predict": Entry("Use", "Classify images by a subnet"),
    "evaluate": Entry("Use", "Measure a subnet class by class on labelled images"),
    "robustness": Entry("Use", "Measure models on corrupted images and other domains"),
    "export": Entry("Use", "Write a subnet as other libraries read it"),
    "serve": Entry("Use", "Serve subnets over HTTP, with a page for trying them"),
    "datasets": Entry("What there is", "List the data sets and forms of folders that are read"),
    "backbones": Entry("What there is", "List pretrained backbones, and where their weights are"),
    "spaces": Entry("What there is", "List search spaces and their module kinds"),
    "recipes": Entry("What there is", "List augmentations, times, methods and baselines"),
    "cache": Entry("What there is", "List, clear or verify the decoded images of large data sets"),
    "schema": Entry("What there is", "Print the JSON schema of configuration files"),
    "doctor": Entry("What there is", "Check this installation and machine"),
}


class _Loaded(MutableMapping[str, Any]):
    """The commands by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._commands: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._commands:
            if name not in COMMANDS:
                raise KeyError(name)
            from nas_peft.cli.help_screen import screen

            module = import_module(f"nas_peft.cli.{name}")
            first = getattr(module, "FIRST_SCREEN", None)
            self._commands[name] = screen(name, getattr(module, name), first)
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(OneLineErrors):
    """The group of all commands, whose help imports none of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of the help."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each group of commands under its heading."""
        for group in dict.fromkeys(entry.group for entry in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl([(n, e.about) for n, e in COMMANDS.items() if e.group == group])


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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

    \b
      nas-peft search --dataset FOLDER --time 20m --dry-run
          what 20 minutes allow on this machine
      nas-peft search --dataset FOLDER --time 20m
          search, compare, and export the best small modules
      nas-peft predict RUN/subnet.safetensors PHOTO.jpg
          classify images by the result
    """


def main() -> None:
    """Run the command line."""
    show_every_character()
    outlive_terminal()
    _require_current_folder()
    app()


def _require_current_folder() -> None:
    """Exit with one line where the current folder was removed: libraries would then end the process."""
    try:
        Path.cwd()
    except FileNotFoundError:
        from nas_peft.cli.user_errors import print_error

        print_error("the current folder was removed; change to another one, and start the command there")
        sys.exit(2)
