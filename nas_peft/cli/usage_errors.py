"""Mistakes in the words of a command, each as one line: an unknown option, a missing value, a wrong type."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from nas_peft.cli.lost_output import let_go_of_output
from nas_peft.cli.user_errors import of_the_machine, print_error

# Older versions of Typer use Click's exceptions, newer ones have copies.
_exceptions: Any = import_module(typer.BadParameter.__module__)
# Older versions of Click print the help without raising.
_NO_ARGUMENTS: Any = getattr(_exceptions, "NoArgsIsHelpError", ())
_LISTED = 3  # names of options that are close to an unknown one


class OneLineErrors(TyperGroup):
    """A group of commands that says a mistake in their words in one line, as all other mistakes.

    Typer prints a usage line, a hint and a frame, which logs and scripts cannot read.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; with ``standalone_mode`` exit with the command's status."""
        try:
            status = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _NO_ARGUMENTS as error:
            if not standalone_mode:
                raise
            error.show()
            sys.exit(error.exit_code)
        except _exceptions.ClickException as error:
            if not standalone_mode:
                raise
            print_error(_sentence(error))
            sys.exit(error.exit_code)
        except OSError as error:  # of a help text; a command lets its own through with --debug alone
            reason = of_the_machine(error)
            if not standalone_mode or reason is None or "--debug" in (args or sys.argv):
                raise
            let_go_of_output()
            print_error(reason)
            sys.exit(2)
        except typer.Abort:
            if not standalone_mode:
                raise
            sys.exit(1)
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else 0)


def _sentence(error: typer.BadParameter) -> str:
    """What is wrong, and where the options are listed."""
    context = getattr(error, "ctx", None)
    where = f"; {context.command_path} --help lists the options" if context is not None else ""
    # newer versions of Typer put a word of pydantic before what is allowed
    said = error.format_message().replace(": Value error, ", ": ")
    if isinstance(error, _exceptions.NoSuchOption) and error.possibilities:
        close = get_close_matches(error.option_name, error.possibilities, n=_LISTED, cutoff=0)
        said = f"there is no option {error.option_name}; did you mean {', '.join(close)}?"
    unknown = re.fullmatch(r"No such command '(.*)'\.", said)  # newer versions name the nearest one
    if unknown and context is not None:
        close = get_close_matches(unknown[1], context.command.list_commands(context), n=_LISTED)
        said += f" Did you mean {', '.join(map(repr, close))}?" if close else ""
    if said.endswith("?"):
        return said + where.replace(";", "", 1)
    return said.rstrip(".") + where
