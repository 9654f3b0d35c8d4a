"""Time until a command with a mistake is refused, for every command that has one to make.

::

    python -m benchmarks.faults refusals --repeats 3

Each command runs in a process of its own, as a user's does, and must end with status 2 and one line. A wrong
data set or option is to be answered within 1.5 seconds, and everything else that can be known at the start
within 2 seconds, on an idle machine. Told are the least wall-clock seconds and the least seconds of
processor time, which a busy machine hardly changes. Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.faults.hostile.ground import write_images
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.environment import environment

OUT = RESULTS / "refusals.json"
WRONG_WORDS = 1.5
"""Seconds for a wrong data set or option."""

AT_THE_START = 2.0
"""Seconds for whatever else can be known at the start."""


@dataclass(frozen=True)
class Mistake:
    """A command with a mistake: words, changed environment variables, and the seconds it may take."""

    about: str
    words: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    limit: float = WRONG_WORDS


@dataclass(frozen=True)
class Refusal:
    """How a mistake was answered; seconds are the least of several times."""

    about: str
    words: list[str]
    limit: float
    status: int
    lines: int
    seconds: float
    processor_seconds: float
    said: str

    @property
    def passes(self) -> bool:
        """Whether it was refused in one line, and in time by the processor's clock."""
        return self.status == 2 and self.lines == 1 and self.processor_seconds <= self.limit


def mistakes(folder: Path) -> list[Mistake]:
    """The mistakes; images stand in ``folder/images``, and other things that are needed are made."""
    images = str(folder / "images")
    search = ["search", "--dataset", images]
    gone = str(folder / "gone")
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    (folder / "file").write_text("")
    (folder / "space.yaml").write_text("kinds: [1, 2")
    long = folder / ("long" * 20)
    long.mkdir()
    run = ["--dataset", images]
    return [
        Mistake("search: no such data set", ["search", "--dataset", gone]),
        Mistake("search: a data set's name misspelled", ["search", "--dataset", "digitz"]),
        Mistake("search: no such option", [*search, "--epoch", "3"]),
        Mistake("search: a value of the wrong kind", [*search, "--epochs", "many"]),
        Mistake("search: a value out of range", [*search, "--generations", "0"]),
        Mistake("search: an impossible budget", [*search, "--budget", "-1%"]),
        Mistake("search: options that contradict each other", [*search, "--quiet", "--progress", "json"]),
        Mistake("search: no such configuration", [*search, "--config", gone]),
        Mistake("search: a broken space", [*search, "--space", str(folder / "space.yaml")]),
        Mistake("baselines: no such data set", ["baselines", "--dataset", gone]),
        Mistake("baselines: no such option", ["baselines", *run, "--generations", "3"]),
        *(
            Mistake(f"{command}: no such run", [command, gone])
            for command in ("front", "audit", "report", "show", "compare", "dashboard")
        ),
        Mistake("export: no such run", ["export", gone, "--to", "onnx", "--output", "x.onnx"]),
        Mistake("predict: no such subnet", ["predict", f"{gone}.safetensors", images]),
        Mistake("evaluate: no such subnet", ["evaluate", f"{gone}.safetensors", "--dataset", images]),
        Mistake("evaluate: no such data set", ["evaluate", f"{gone}.safetensors", "--dataset", gone]),
        Mistake("robustness: no such run", ["robustness", gone, "--dataset", images]),
        Mistake("serve: no such subnet", ["serve", f"{gone}.safetensors"]),
        Mistake(
            "search: Ray that does not answer",
            search,
            variables={"RAY_ADDRESS": "127.0.0.1:1"},
            limit=AT_THE_START,
        ),
        Mistake(
            "search: temporary folder too long for Ray",
            search,
            variables={"TMPDIR": str(long)},
            limit=AT_THE_START,
        ),
        Mistake(
            "search: no compiler",
            [*search, "--compile"],
            variables={"CXX": "/nowhere/g++"},
            limit=AT_THE_START,
        ),
        Mistake("search: no such weights", [*search, "--backbone-weights", gone], limit=AT_THE_START),
        Mistake("search: no such module file", [*search, "--module-file", f"{gone}.py"], limit=AT_THE_START),
        Mistake("search: run folder is a file", [*search, "--out", str(folder / "file")], limit=AT_THE_START),
        Mistake("search: run folder of others", [*search, "--out", str(folder / "full")], limit=AT_THE_START),
        Mistake(
            "search: run folder below a file", [*search, "--out", f"{folder}/file/x"], limit=AT_THE_START
        ),
        Mistake(
            "search: no such storage", [*search, "--storage", f"sqlite:///{gone}/x.db"], limit=AT_THE_START
        ),
        Mistake("search: no such device", [*search, "--device", "tpu"], limit=AT_THE_START),
    ]


def refused(mistake: Mistake, here: Path, repeats: int) -> Refusal:
    """Run the command so many times in the folder ``here``."""
    program = [sys.executable, "-m", "nas_peft", *mistake.words]
    root = str(Path(__file__).parents[2])
    variables = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **mistake.variables}
    seconds, processor = [], []
    for _ in range(repeats):
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(program, cwd=here, env=variables, capture_output=True, text=True)
        seconds.append(time.perf_counter() - begun)
        after = os.times()
        processor.append(sum(after[2:4]) - sum(before[2:4]))
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return Refusal(
        mistake.about,
        [word.replace(str(here), "") for word in mistake.words],
        mistake.limit,
        done.returncode,
        len(lines),
        round(min(seconds), 2),
        round(min(processor), 2),
        (lines[-1] if lines else "").replace(str(here), "")[:300],
    )


def table(found: Sequence[Refusal]) -> Table:
    """Each mistake with its seconds, and whether it passes."""
    shown = Table("mistake", "seconds", "of the processor", "limit", "")
    for refusal in found:
        verdict = "" if refusal.passes else f"status {refusal.status}, {refusal.lines} lines"
        numbers = (refusal.seconds, refusal.processor_seconds, refusal.limit)
        shown.add_row(refusal.about, *(f"{number:.2f}" for number in numbers), verdict)
    shown.caption = f"{sum(refusal.passes for refusal in found)} of {len(found)} in one line and in time"
    return shown


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults refusals", "Time until commands with a mistake are refused.")
    parser.add_argument("--repeats", type=whole_number, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images")
        found = [refused(mistake, folder, args.repeats) for mistake in mistakes(folder)]
    content = {"environment": environment("cpu"), "refusals": [asdict(refusal) for refusal in found]}
    write_result(args.out, content, indent=1)
    Console().print(table(found))
