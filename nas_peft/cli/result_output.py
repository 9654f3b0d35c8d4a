"""Printed output of a finished run: the decision, the file, and the next commands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line imports this file to print its help
    from rich.console import Console

    from nas_peft.run.results import SearchResult


def print_result(result: SearchResult, console: Console | None = None) -> None:
    """Print the decision in about twenty lines, the path of the subnet, and the next commands.

    ``console`` is standard output by default.
    """
    from nas_peft.protocol.decision_summary import decision_summary

    if console is None:
        from nas_peft.run.text_console import TextConsole

        console = TextConsole()
    for text in (
        decision_summary(result, console.width),
        f"\nsubnet: {result.run}/{result.subnet['file']}",
        next_commands(result),
    ):
        console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


def next_commands(result: SearchResult) -> str:
    """The three commands that follow a run, one a line, and the one that shows all tables."""
    run = shlex.quote(result.run)
    subnet = shlex.quote(f"{result.run}/{result.subnet['file']}")
    loading = _options(result, "backbone_weights", "module_files")
    reading = _options(result, "layout", "domains", "data_root", "skip_bad_images")
    data = shlex.quote(str(result.config["dataset"]))
    commands = [
        f"nas-peft predict {subnet} PHOTOS/{loading}",
        f"nas-peft evaluate {subnet} --dataset {data}{reading}{loading}",
    ]
    if result.decision is not None and (full := result.decision.better_full) is not None:
        commands.append(f"nas-peft export {run} --row {full.row} --to merged --output full.safetensors")
    else:
        commands.append(f"nas-peft export {run} --to onnx --output model.onnx")
    return "\n".join(
        [
            "next:",
            *(f"  {command}" for command in commands),
            f"all tables: nas-peft show {run}",
            f"as a page: nas-peft report {run}",
        ]
    )


def _options(result: SearchResult, *names: str) -> str:
    """Those of a run's options that differ from their defaults, as they follow a command."""
    words = []
    for name in names:
        value = result.config.get(name)
        flag = f"--{name.replace('_', '-').removesuffix('s')}"
        if value is True:
            words.append(f"--{name.replace('_', '-')}")
        elif isinstance(value, list | tuple):
            words += [f"{flag} {shlex.quote(str(item))}" for item in value]
        elif value not in (None, False, "auto"):
            words.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    return "".join(f" {word}" for word in words)
