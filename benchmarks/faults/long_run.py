"""Sample the memory, open files and disk of long runs, and draw whether they grow.

::

    python -m benchmarks.faults long-run --candidates 2000 --trainings 200

One run searches ``--candidates`` candidates in a single process. Another makes ``--trainings`` separate
trainings on Ray. Both are of small generated images, so that steps are short and many. Every half second the
resident memory and the open files of the command and of Ray's processes are counted, and the bytes of the run
folder and of Ray's temporary folder. A line is fitted through the second half of each series: the growth of a
thousand candidates or of a hundred trainings. Records in the run folder grow by design, with their number.

Prints a table, and writes JSON (``--out``) and a plot (``--plot``).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.faults.hostile.ground import words, write_images
from benchmarks.faults.kills import started
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.environment import environment

OUT = RESULTS / "long_run.json"
PLOT = Path(__file__).parents[2] / "docs" / "images" / "long_run.svg"
EVERY = 0.5
"""Seconds between samples."""

SHORT = {"epochs": 1, "supernet-epochs": 1, "linear-epochs": 1, "linear-lr": 0.01, "head-epochs": 0}
POPULATION = 40
ROWS = 6
"""Trainings of a seed: three rows, on the training set and on all labelled images."""

QUANTITIES = {
    "command, MB": "memory",
    "Ray's processes, MB": "workers_memory",
    "open files of the command": "files",
    "open files of Ray's processes": "workers_files",
    "run folder, MB": "run_folder",
    "Ray's folder, MB": "ray_folder",
}
"""Label and field of `Sample` of each quantity."""


@dataclass(frozen=True)
class Sample:
    """State of a run: ``done`` counts its candidates or trainings; memory and folders in MB."""

    seconds: float
    done: int
    memory: float
    files: int
    processes: int
    workers_memory: float
    workers_files: int
    run_folder: float
    ray_folder: float


@dataclass(frozen=True)
class LongRun:
    """The samples of a run; ``per`` is the number of its ``units`` that growth is told for."""

    units: str
    per: int
    samples: list[Sample]

    def growth(self, quantity: str) -> float:
        """Slope of a quantity over the second half of the work, for ``per`` units."""
        most = max(sample.done for sample in self.samples)
        half = [s for s in self.samples if most / 2 <= s.done < most]
        done = np.array([s.done for s in half], dtype=float)
        values = np.array([getattr(s, quantity) for s in half], dtype=float)
        if len(set(done.tolist())) < 2:
            return float("nan")
        return float(np.polyfit(done, values, 1)[0]) * self.per


def searched(folder: Path, candidates: int) -> tuple[list[str], str]:
    """The words of the search of many candidates, and the pattern of files that count them."""
    options: dict[str, Any] = {
        "dataset": folder / "images",
        **SHORT,
        "population": POPULATION,
        "generations": -(-candidates // POPULATION),
        "device": "cpu",
        "out": folder / "search",
    }
    return ["search", *words(options), "--no-retrain"], "generations/*.safetensors"


def trained(folder: Path, trainings: int) -> tuple[list[str], str]:
    """The words of the run of many trainings, and the pattern of files that count them."""
    options: dict[str, Any] = {
        "dataset": folder / "images",
        **SHORT,
        "population": 2,
        "generations": 1,
        "retrain": 1,
        "baselines": "linear",
        "singles": "lora_rank",
        "seeds": -(-trainings // ROWS),
        "cpus-per-trial": 1,
        "device": "cpu",
        "out": folder / "trainings",
    }
    return ["search", *words(options)], "trainings/*.json"


def sample(process: psutil.Process, run: Path, pattern: str, each: int, seconds: float) -> Sample:
    """The state of a command and its processes now."""
    with process.oneshot():
        memory, files = process.memory_info().rss, process.num_fds()
    below, below_files, count, ray = 0, 0, 0, 0.0
    for child in process.children(recursive=True):
        try:
            below += child.memory_info().rss
            below_files += child.num_fds()
            count += 1
            if not ray and (found := re.search(r"--session-dir=(\S+)", " ".join(child.cmdline()))):
                ray = size(Path(found[1]))
        except psutil.Error:  # it has ended
            continue
    done = sum(1 for _ in run.glob(pattern)) * each
    return Sample(
        round(seconds, 2), done, memory / 1e6, files, count, below / 1e6, below_files, size(run), ray
    )


def size(folder: Path) -> float:
    """Megabytes of all files below a folder."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(top) / name).lstat().st_size
            except OSError:  # it has been removed
                continue
    return total / 1e6


def watched(words: Sequence[str], run: Path, pattern: str, each: int) -> list[Sample]:
    """Start the command and sample its state until it ends."""
    said = run.parent / f"{run.name}.txt"
    number = started(words, said)
    process = psutil.Process(number)
    begun = time.monotonic()
    found: list[Sample] = []
    while True:
        ended, code = os.waitpid(number, os.WNOHANG)
        if ended:
            assert code == 0, said.read_text()[-4000:]
            return found
        try:
            found.append(sample(process, run, pattern, each, time.monotonic() - begun))
        except psutil.Error:  # it ends just now
            continue
        time.sleep(EVERY)


def table(runs: Sequence[LongRun]) -> Table:
    """For each run and quantity the value at half of the work and at its end, and the growth."""
    shown = Table("run", "quantity", "at half", "at the end", "growth")
    for run in runs:
        most = max(s.done for s in run.samples)
        half = next(s for s in run.samples if s.done >= most / 2)
        last = [s for s in run.samples if s.done < most][-1]
        for label, field in QUANTITIES.items():
            if any(getattr(s, field) for s in run.samples):
                growth = f"{run.growth(field):+.2f} / {run.per:,} {run.units}"
                values = [f"{getattr(s, field):,.1f}" for s in (half, last)]
                shown.add_row(f"{most:,} {run.units}", label, *values, growth)
    return shown


def draw(runs: Sequence[LongRun], file: Path) -> None:
    """Draw each quantity of both runs over the work done."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(3, len(runs), squeeze=False)
    panels = {
        "memory, MB": {"command": "memory", "Ray's processes": "workers_memory"},
        "open files": {"command": "files", "Ray's processes": "workers_files"},
        "disk, MB": {"run folder": "run_folder", "Ray's temporary folder": "ray_folder"},
    }
    for column, run in enumerate(runs):
        for row, (title, lines) in enumerate(panels.items()):
            axis = axes[row, column]
            for label, field in lines.items():
                values = [getattr(s, field) for s in run.samples]
                if any(values):
                    axis.plot([s.done for s in run.samples], values, label=label)
            axis.set_ylim(bottom=0)
            axis.set_ylabel(title)
            axis.legend(loc="lower right", fontsize=8)
        axes[-1, column].set_xlabel(run.units)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults long-run", "Sample memory, open files and disk of long runs.")
    parser.add_argument("--candidates", type=whole_number, default=2000)
    parser.add_argument("--trainings", type=whole_number, default=200)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--plot", type=Path, default=PLOT)
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_worker_niceness", "0")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images")
        found = []
        for units, per, (words, pattern), each in (
            ("candidates", 1000, searched(folder, args.candidates), POPULATION),
            ("trainings", 100, trained(folder, args.trainings), 1),
        ):
            found.append(
                LongRun(units, per, watched(words, Path(words[words.index("--out") + 1]), pattern, each))
            )
            print(f"{units}: {found[-1].samples[-1].seconds:.0f} s", file=sys.stderr)
    lines = [
        {
            "units": one.units,
            "growth": {field: one.growth(field) for field in QUANTITIES.values()},
            "per": one.per,
            "samples": [asdict(s) for s in one.samples],
        }
        for one in found
    ]
    write_result(args.out, {"environment": environment("cpu"), "runs": lines}, indent=1)
    draw(found, args.plot)
    Console().print(table(found))
