"""Give the commands hostile inputs, generated from a seed, and see whether each is refused in one line.

::

    python -m benchmarks.faults hostile-inputs --tries 600

A short search of small noisy images is run once. Each try then draws one input: options of a command, a space
in YAML, an image, a folder, a list of paths, a subnet or backbone checkpoint, or a run folder, of which one
thing is wrong. A try passes if the command ends with exit status 2 and one line, and has written nothing, or
if it ends with a right answer where the input allows one: a run with finite numbers, or probabilities. Wrong
options must be refused within 1.5 seconds. Tracebacks, files half written and answers to inputs that have
none do not pass; nor does a pickle that is executed.

Tries run in this process, and every 47th also in a process of its own, which is to end with the same
status. Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.faults.hostile.attempt import PASSES, Hostile, Tried, attempt
from benchmarks.faults.hostile.checkpoints import hostile_backbone, hostile_subnet
from benchmarks.faults.hostile.folders import hostile_folder, hostile_list
from benchmarks.faults.hostile.ground import Ground, make_ground
from benchmarks.faults.hostile.options import hostile_command, hostile_search, hostile_words
from benchmarks.faults.hostile.pictures import hostile_image
from benchmarks.faults.hostile.records import hostile_run
from benchmarks.faults.hostile.spaces import hostile_space
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.environment import environment
from search_spaces.streams import stream

OUT = RESULTS / "hostile_inputs.json"
_OWN_PROCESS = 47

KINDS: dict[str, Callable[[np.random.Generator, Ground], Hostile]] = {
    "options of a search": hostile_search,
    "options and wrong data": hostile_words,
    "options of other commands": hostile_command,
    "spaces": hostile_space,
    "images": hostile_image,
    "folders": hostile_folder,
    "lists": hostile_list,
    "subnet files": hostile_subnet,
    "backbone files": hostile_backbone,
    "run folders": hostile_run,
}
"""What draws a hostile input of each kind."""


def tries(ground: Ground, numbers: Sequence[int], seed: int, *, own_process: bool = True) -> Iterator[Tried]:
    """The tries of these numbers; each draws the same input whatever else is tried.

    With ``own_process`` some are repeated in a process of their own.
    """
    names = list(KINDS)
    for number in numbers:
        kind = names[number % len(names)]
        here = ground.here.parent / f"try-{number}"
        here.mkdir()
        try:
            hostile = KINDS[kind](stream(seed, "hostile input", number), replace(ground, here=here))
            tried = attempt(kind, hostile, here)
            yield tried
            if own_process and number % _OWN_PROCESS == 0:
                yield _in_own_process(tried, hostile, here)
        finally:
            shutil.rmtree(here)


def _in_own_process(tried: Tried, hostile: Hostile, here: Path) -> Tried:
    """The same command in a process of its own, which is to end with the same status."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "nas_peft", *hostile.words]
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            command, cwd=here, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
    except (ValueError, OSError):  # no process can have such words
        return replace(tried, kind=f"{tried.kind} (own process)")
    same = done.returncode == tried.status and "Traceback" not in done.stderr
    return replace(
        tried,
        kind=f"{tried.kind} (own process)",
        seconds=round(time.perf_counter() - started, 3),
        verdict=tried.verdict if same else "wrong answer",
        said=(done.stderr.strip().splitlines() or [""])[-1],
    )


def table(found: Sequence[Tried]) -> Table:
    """The number of tries of each kind and outcome, and the longest time until one was refused."""
    shown = Table("input", "tries", *PASSES, "other", "slowest refusal (s)")
    for kind in dict.fromkeys(tried.kind for tried in found):
        own = [tried for tried in found if tried.kind == kind]
        counts = [sum(tried.verdict == verdict for tried in own) for verdict in PASSES]
        slowest = max((tried.seconds for tried in own if tried.verdict == PASSES[0]), default=0.0)
        shown.add_row(kind, *map(str, (len(own), *counts, len(own) - sum(counts))), f"{slowest:.2f}")
    return shown


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults hostile-inputs", "Give the commands hostile inputs.")
    parser.add_argument("--tries", type=whole_number, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    found: list[Tried] = []
    console = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            ground = make_ground(Path(folder))
            for tried in tries(ground, range(args.tries), args.seed):
                found.append(tried)
                if tried.verdict not in PASSES:
                    console.print(tried, highlight=False, soft_wrap=True, markup=False)
    finally:  # also what was found until Ctrl-C
        lines = [asdict(tried) for tried in found]
        lines = json.loads(json.dumps(lines).replace(f"{folder}/", ""))  # paths on other machines differ
        result = {"seed": args.seed, "environment": environment("cpu"), "tries": lines}
        write_result(args.out, result, indent=1)
    Console().print(table(found))
