"""Kill a search at seeded moments, start the same command again, and compare the end with an undisturbed run.

::

    python -m benchmarks.faults kills --kills 50

Two small searches of generated images run once undisturbed: one without separate trainings, one with
trainings on Ray. Then the same search is killed (SIGKILL) after a drawn number of seconds and started again,
until it ends, so that one run is killed many times in a row, in each stage; this is repeated with new folders
until there were ``--kills`` kills, a quarter of them of the search on Ray. Each of these hits the command,
one of Ray's workers or Ray's head node, as drawn; where the victim is not there yet, it is waited for. Killed
workers are replaced while the command goes on; without its command, what is left of its Ray is removed, as a
restart of the machine would.

Counted are the files of finished work (stages, generations, trainings) that were written a second time, and
whether the numbers, the candidates and the tensors of the end are bit for bit those of the undisturbed run.
The commands run in processes that are forked from one that has imported torch, which saves the import.
Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import os
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
from benchmarks.faults.hostile.ground import words, write_images
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.cli.app import app
from nas_peft.machine.environment import environment
from search_spaces.streams import stream
from supernet import content_digest

OUT = RESULTS / "kills.json"
SEARCHED = {
    "epochs": 1,
    "supernet-epochs": 40,
    "generations": 8,
    "population": 6,
    "linear-epochs": 20,
    "head-epochs": 0,
    "cpus-per-trial": 1,
    "device": "cpu",
}
"""Options of both searches."""

SEARCHES: dict[str, tuple[str, ...]] = {
    "search": ("--no-retrain",),
    "search on Ray": ("--retrain", "2", "--baselines", "linear,full", "--singles", "lora_rank"),
}
"""The further options of each."""

VICTIMS = {
    "search": {"command": 1.0},
    "search on Ray": {"command": 0.4, "Ray worker": 0.35, "Ray head": 0.25},
}
"""What a kill hits, with its probability."""

ON_RAY = 0.25
"""Share of the kills that are of the search on Ray."""

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
    """A kill: victim, seconds after the start, stage, number of finished files, what was done twice."""

    victim: str
    seconds: float
    stage: str
    finished: int
    repeated: list[str]


@dataclass(frozen=True)
class Ended:
    """A run that ended after its kills, and whether it is the undisturbed one, bit for bit."""

    search: str
    kills: list[Kill]
    same_numbers: bool
    same_tensors: bool


def command(search: str, out: Path) -> list[str]:
    """The words of a search into a folder, on the images beside it."""
    options = {"dataset": out.parent.parent / "images", **SEARCHED, "out": out}
    if search == "search":
        del options["cpus-per-trial"]  # nothing is done on Ray
    return ["search", *words(options), *SEARCHES[search]]


def started(words: Sequence[str], said: Path) -> int:
    """Start the command in a process of its own, and return the number of the process."""
    number = os.fork()
    if number:
        return number
    try:
        with said.open("ab") as file:
            for stream_number in (1, 2):
                os.dup2(file.fileno(), stream_number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        app(list(words))
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    finally:
        os._exit(1)


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


def attempt(words: Sequence[str], said: Path, victim: str, seconds: float) -> tuple[int | None, bool]:
    """Start a command, kill after so many seconds, and wait; the exit status, and whether there was a kill.

    The status is ``None`` if the command did not survive the kill. A victim that is not there yet is waited
    for. Processes that outlive the command are killed, too.
    """
    number = started(words, said)
    process = psutil.Process(number)
    end = time.monotonic() + seconds
    below: dict[int, psutil.Process] = {}
    hit = False
    status: int | None = None
    while status is None:
        ended, code = os.waitpid(number, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
            break
        below |= {child.pid: child for child in process.children(recursive=True)}
        if not hit and time.monotonic() >= end and (found := _victims(process, victim)):
            hit = True
            found[0].kill()
        time.sleep(0.1)
    for child in below.values():
        if child.is_running():
            child.kill()
    return None if hit and status != 0 else status, hit


def ended_run(
    search: str, out: Path, undisturbed: Path, rng: np.random.Generator, span: tuple[float, float], most: int
) -> Ended:
    """Kill and start again until the run in ``out`` ends, at most ``most`` times; then compare.

    Each kill is a number of seconds in ``span`` after its start.
    """
    kills: list[Kill] = []
    status: int | None = None
    said = out.parent / "said.txt"
    victims = VICTIMS[search]
    while status is None:
        before = finished_files(out)
        victim, seconds = "command", float("inf")
        if len(kills) < most:
            victim = str(rng.choice(list(victims), p=list(victims.values())))
            seconds = float(rng.uniform(*span))
        status, hit = attempt(command(search, out), said, victim, seconds)
        after = finished_files(out)
        repeated = sorted(name for name, written in before.items() if after.get(name) != written)
        if hit or repeated:
            kills.append(Kill(victim, round(seconds, 2), stage(out), len(after), repeated))
    assert status == 0, said.read_text()[-2000:]
    return Ended(search, kills, numbers(out) == numbers(undisturbed), tensors(out) == tensors(undisturbed))


def runs(folder: Path, search: str, kills: int, seed: int) -> Iterator[Ended]:
    """The undisturbed run of a search, and then killed ones, until there were so many kills."""
    undisturbed = folder / search / "undisturbed"
    undisturbed.parent.mkdir()
    begun = time.perf_counter()
    number = started(command(search, undisturbed), undisturbed.parent / "said.txt")
    while not (undisturbed / "stages" / "inputs.json").exists():
        time.sleep(0.05)
    ready = time.perf_counter() - begun
    _, code = os.waitpid(number, 0)
    assert code == 0, (undisturbed.parent / "said.txt").read_text()[-2000:]
    work = time.perf_counter() - begun - ready
    span = (0.5 * ready, ready + 0.4 * work)
    done, number = 0, 0
    while done < kills:
        rng = stream(seed, f"kills of {search} {number}")
        own = folder / search / f"run-{number}"
        ended = ended_run(search, own, undisturbed, rng, span, kills - done)
        yield ended
        done += len(ended.kills)
        number += 1


def table(found: Sequence[Ended]) -> Table:
    """Kills by victim, and how the runs ended."""
    counts = Counter(kill.victim for ended in found for kill in ended.kills)
    kills = [kill for ended in found for kill in ended.kills]
    shown = Table("killed", "times", *STAGES, "finished work done again")
    for victim in dict.fromkeys(name for victims in VICTIMS.values() for name in victims):
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
    on_ray = round(args.kills * ON_RAY)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images")
        for search, kills in (("search", args.kills - on_ray), ("search on Ray", on_ray)):
            for ended in runs(Path(folder), search, kills, args.seed):
                found.append(ended)
                lines = [asdict(one) for one in found]
                content = {"seed": args.seed, "environment": environment("cpu"), "runs": lines}
                write_result(args.out, content, indent=1)
    Console().print(table(found))
