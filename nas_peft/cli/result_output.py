"""Printed output of a finished run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line imports this file to print its help
    from nas_peft.run.results import SearchResult


def print_result(result: SearchResult) -> None:
    """Print the tables of results and costs, the remarks, and the paths of run folder and subnet."""
    from rich.console import Console

    from nas_peft.protocol.cost_ledger import cost_table, plan_against_fact
    from nas_peft.protocol.results_table import remarks, results_table

    console = Console()
    console.print(results_table(result))
    if text := remarks(result):
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(cost_table(result))
    if time := plan_against_fact(result):
        console.print(time, highlight=False, soft_wrap=True)
    console.print(
        f"run folder: {result.run}\nsubnet: {result.run}/{result.subnet['file']} "
        f"({result.subnet['params']:,} parameters, {result.subnet['bytes']:,} bytes)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(next_commands(result), highlight=False, markup=False, soft_wrap=True)


def next_commands(result: SearchResult) -> str:
    """What to do with the result: one command a line, with its purpose."""
    run = shlex.quote(result.run)
    subnet = shlex.quote(f"{result.run}/{result.subnet['file']}")
    loading = _options(result, "backbone_weights", "module_files")
    reading = _options(result, "layout", "domains", "data_root", "skip_bad_images")
    data = shlex.quote(str(result.config["dataset"]))
    commands = {
        f"nas-peft predict {subnet} PHOTOS/{loading}": "classify images",
        f"nas-peft evaluate {subnet} --dataset {data}{reading}{loading}": "quality class by class",
        f"nas-peft export {run} --to onnx --output model.onnx": "for other libraries; --help lists them",
    }
    if "search" in result.stages:
        commands |= {
            f"nas-peft front {run}": "other sizes from the same search",
            f"nas-peft audit {run}": "how well the search ranks subnets on these data",
        }
    if result.decision is not None and (full := result.decision.better_full) is not None:
        command = f"nas-peft export {run} --row {full.row} --to merged --output full.safetensors"
        commands[command] = "full fine-tuning, which is better here"
    width = max(map(len, commands))
    return "\n".join(
        ["next:", *(f"  {command:{width}}  # {purpose}" for command, purpose in commands.items())]
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
