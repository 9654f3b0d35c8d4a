"""Kill a search at seeded moments, start the same command again, and compare the end with an undisturbed run.

::

    python -m benchmarks.faults kills --kills 50

A small search with separate trainings on Ray runs once undisturbed. Then the same search is killed
(SIGKILL) after a drawn number of seconds and started again, until it ends, so that one run is killed many
times in a row, in each of its stages; this is repeated with new folders until there were ``--kills`` kills.
Each kill hits the command, one of Ray's workers or Ray's head node, as drawn; where the victim is not there
yet, it is waited for. Killed workers are replaced while the command goes on; without its command, what is left
of its Ray is removed, as a restart of the machine would.

Counted are the files of finished work (stages, generations, trainings) that were written a second time, and
whether the numbers, the candidates and the tensors of the end are bit for bit those of the undisturbed run.
Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from benchmarks.faults.damaged_files import numbers
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.environment import environment
from search_spaces.streams import stream
from supernet import content_digest

OUT = RESULTS / "kills.json"
OPTIONS = {
    "dataset": "shapes-location",
    "shots": 8,
    "epochs": 4,
    "supernet-epochs": 6,
    "generations": 6,
    "population": 8,
    "linear-epochs": 20,
    "head-epochs": 2,
    "retrain": 2,
    "baselines": "linear,full",
    "cpus-per-trial": 1,
    "device": "cpu",
}
VICTIMS = {"command": 0.7, "Ray worker": 0.2, "Ray head": 0.1}
"""What a kill hits, with its probability."""

FINISHED = ("stages/*.json", "generations/*.safetensors", "trainings/*.json", "supernet.safetensors")
STAGES = {
    "start": "stages/inputs.json",
    "linear probe": "stages/probe.json",
    "supernet": "stages/supernet.json",
    "search": "stages/search.json",
    "trainings": "stages/test.json",
    "test": "results.json",
}
"""Stages in their order, and the file that each leaves when it ends."""

TENSORS = ("generations/*.safetensors", "trainings/*.safetensors", "su*net.safetensors")


@dataclass(frozen=True)
class Kill:
    """A kill: what it hit, the seconds after the start, the stage, the finished files, what was done twice."""

    victim: str
    seconds: float
    stage: str
    finished: int
    repeated: list[str]


@dataclass(frozen=True)
class Ended:
    """A run that ended after its kills, and whether it is the undisturbed one, bit for bit."""

    kills: list[Kill]
    same_numbers: bool
    same_tensors: bool


def command(out: Path) -> list[str]:
    """The words of the search into a folder."""
    words = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "nas_peft", "search", *words, "--out", str(out)]


def finished_files(run: Path) -> dict[str, int]:
    """Modification times (ns) of the files that stand for finished work, by relative path."""
    found = [path for pattern in FINISHED for path in run.glob(pattern)]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in found}


def stage(run: Path) -> str:
    """The stage that a run is in, by the files that it has."""
    return next((name for name, file in STAGES.items() if not list(run.glob(file))), "end")


def tensors(run: Path) -> dict[str, str]:
    """Digests of the files with tensors, by relative path; seconds and memory in their headers left out."""
    found = sorted({path for pattern in TENSORS for path in run.glob(pattern)})
    return {str(path.relative_to(run)): content_digest("", load_file(path)) for path in found}


def _victims(process: psutil.Process, victim: str) -> list[psutil.Process]:
    if victim == "command":
        return [process]
    names = ("raylet", "gcs_server") if victim == "Ray head" else ("ray::",)
    children = process.children(recursive=True)
    return [child for child in children if any(name in " ".join(_words(child)) for name in names)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has ended
        return []


def attempt(out: Path, victim: str, seconds: float) -> tuple[int | None, bool]:
    """Start the search, kill after so many seconds, and wait; the exit status, and whether anything was killed.

    The status is ``None`` if the command did not survive the kill.

    A victim that is not there yet is waited for. Processes that outlive the command are killed, too.
    """
    with (out.parent / "said.txt").open("ab") as said:
        started = subprocess.Popen(command(out), stdout=said, stderr=said)
    process = psutil.Process(started.pid)
    end = time.monotonic() + seconds
    below: dict[int, psutil.Process] = {}
    hit = False
    while started.poll() is None:
        below |= {child.pid: child for child in process.children(recursive=True)}
        if not hit and time.monotonic() >= end and (found := _victims(process, victim)):
            hit = True
            for target in found[:1]:
                target.kill()
        time.sleep(0.2)  # listing processes costs a core that the search needs
    for child in below.values():
        if child.is_running():
            child.kill()
    killed = started.returncode == -signal.SIGKILL
    return None if killed or (hit and started.returncode != 0) else started.returncode, hit


def ended_run(
    out: Path, undisturbed: Path, rng: np.random.Generator, span: tuple[float, float], most: int
) -> Ended:
    """Kill and start again until the run in ``out`` ends, at most ``most`` times; then compare.

    Each kill is ``span`` seconds after its start.
    """
    kills: list[Kill] = []
    status: int | None = None
    while status is None:
        before = finished_files(out)
        if len(kills) < most:
            victim = str(rng.choice(list(VICTIMS), p=list(VICTIMS.values())))
            seconds = float(rng.uniform(*span))
        else:
            victim, seconds = "command", float("inf")
        status, hit = attempt(out, victim, seconds)
        after = finished_files(out)
        repeated = sorted(name for name, written in before.items() if after.get(name) != written)
        if hit or repeated:
            kills.append(Kill(victim, seconds, stage(out), len(after), repeated))
    assert status == 0, (out.parent / "said.txt").read_text()[-2000:]
    return Ended(kills, numbers(out) == numbers(undisturbed), tensors(out) == tensors(undisturbed))


def runs(folder: Path, kills: int, seed: int) -> Iterator[Ended]:
    """The undisturbed run, and then killed ones, until there were so many kills."""
    undisturbed = folder / "undisturbed"
    started = time.perf_counter()
    running = subprocess.Popen(command(undisturbed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not (undisturbed / "stages" / "inputs.json").exists():
        time.sleep(0.1)
    ready = time.perf_counter() - started
    assert running.wait() == 0
    work = time.perf_counter() - started - ready
    span = (0.5 * ready, ready + 0.4 * work)
    done, number = 0, 0
    while done < kills:
        own = folder / f"run-{number}"
        own.mkdir()
        ended = ended_run(
            own / "run", undisturbed, stream(seed, f"kills of run {number}"), span, kills - done
        )
        yield ended
        done += len(ended.kills)
        number += 1


def table(found: Sequence[Ended]) -> Table:
    """Kills by victim, and how the runs ended."""
    counts = Counter(kill.victim for ended in found for kill in ended.kills)
    kills = [kill for ended in found for kill in ended.kills]
    shown = Table("killed", "times", *STAGES, "finished work done again")
    for victim in VICTIMS:
        own = [kill for kill in kills if kill.victim == victim]
        by_stage = Counter(kill.stage for kill in own)
        again = sum(len(kill.repeated) for kill in own)
        shown.add_row(victim, str(counts[victim]), *(str(by_stage[name]) for name in STAGES), str(again))
    same = sum(ended.same_numbers and ended.same_tensors for ended in found)
    shown.caption = f"{same} of {len(found)} runs ended bit for bit as the undisturbed one"
    return shown


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults kills", "Kill a search at seeded moments, and compare its end.")
    parser.add_argument("--kills", type=whole_number, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found: list[Ended] = []
    with tempfile.TemporaryDirectory() as folder:
        for ended in runs(Path(folder), args.kills, args.seed):
            found.append(ended)
            lines = [asdict(one) for one in found]
            write_result(
                args.out, {"seed": args.seed, "environment": environment("cpu"), "runs": lines}, indent=1
            )
    Console().print(table(found))
