"""Kill a search at seeded moments, start the same command again, and compare the end with an undisturbed run.

::

    python -m benchmarks.faults kills --kills 50

Two small searches of generated images run once undisturbed: one in a single process, and one with trainings
on Ray. Then the same searches are killed (SIGKILL) in new folders and started again until they end. A plan
is drawn for each run: in each stage two kills, each after a drawn share of the stage's undisturbed seconds.
So one run is killed many times in a row, and no stage is left out however fast the machine is. The victims
are the command, one of Ray's workers or Ray's head node (its raylet or its control service); a victim that
is not there yet is waited for. Workers are replaced while the command goes on. Without its command, the rest
of its Ray is removed, as a restart of the machine would.

Counted are the files of finished work (stages, generations, trainings) that were written a second time.
Compared are all of ``results.json`` but times and memory, the candidates with their trials in Optuna's
record, and all tensors, bit for bit.
The commands run in processes that are forked from one that has imported torch. Prints a table and writes JSON
(``--out``) after each run; a study that was stopped goes on from that file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.faults.compared_runs import history, results, tensors
from benchmarks.faults.hostile.ground import words, write_images
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.cli.app import app
from nas_peft.machine.environment import environment
from search_spaces.streams import stream

OUT = RESULTS / "kills.json"
SEARCHED = {
    "epochs": 60,
    "supernet-epochs": 20,
    "generations": 4,
    "population": 4,
    "linear-epochs": 20,
    "head-epochs": 0,
    "device": "cpu",
}
"""Options of both searches."""

STAGES: dict[str, str] = {
    "start": "stages/inputs.json",
    "linear probe": "stages/probe.json",
    "supernet": "stages/supernet.json",
    "search": "stages/search.json",
    "first training": "trainings/*.train.*.json",
    "other trainings": "trainings/*.train_val.*.json",
    "final models": "stages/test.json",
    "test": "results.json",
}
"""Stages in their order, and the file that each leaves when it ends."""

ON_RAY = ("first training", "other trainings", "final models")
"""Stages of a search with separate trainings only."""

SEARCHES: dict[str, tuple[str, ...]] = {
    "search": ("--no-retrain",),
    "search on Ray": (
        *("--retrain", "1", "--baselines", "linear", "--singles", "lora_rank"),
        *("--cpus-per-trial", "1"),
    ),
}
"""The further options of each."""

VICTIMS = ("command", "Ray worker", "Ray head")
FINISHED = ("stages/*.json", "generations/*.safetensors", "trainings/*.json", "supernet.safetensors")
LONGEST = 300.0
"""Seconds after a kill in which a command must end or be hit again; one that does not is noted as hung."""

_HEAD = ("raylet", "gcs_server", "Agent")  # the raylet ends with its agents
_POLL = 0.02


@dataclass(frozen=True)
class Moment:
    """A planned kill: victim, stage, and share of the stage's undisturbed seconds."""

    victim: str
    stage: str
    share: float


@dataclass(frozen=True)
class Kill:
    """A kill: victim, stage, finished files then, what the next start wrote a second time, the last line."""

    victim: str
    stage: str
    finished: int
    repeated: list[str]
    said: str = ""


@dataclass(frozen=True)
class Ended:
    """A run that ended after its kills, and whether it is the undisturbed one, bit for bit."""

    search: str
    kills: list[Kill]
    starts: int
    hung: int
    same_results: bool
    same_history: bool
    same_tensors: bool

    @property
    def same(self) -> bool:
        """Whether nothing differs from the undisturbed run, and nothing hung."""
        return self.same_results and self.same_history and self.same_tensors and not self.hung


def stages_of(search: str) -> list[str]:
    """The stages that a search passes through."""
    return [name for name in STAGES if search == "search on Ray" or name not in ON_RAY]


def plan(search: str, rng: np.random.Generator, stages: Sequence[str]) -> list[Moment]:
    """Two kills in each of ``stages`` that the search has, in those of Ray's stages one of each victim."""
    moments = []
    for name in stages_of(search):
        if name not in stages:
            continue
        victims = VICTIMS if name in ON_RAY else ("command",) * 2
        shares = sorted(rng.uniform(0, 1, len(victims)))
        moments += [
            Moment(str(victim), name, float(share))
            for victim, share in zip(rng.permutation(victims), shares, strict=True)
        ]
    return moments


def command(search: str, out: Path) -> list[str]:
    """The words of a search into a folder, on the images beside it."""
    options = {"dataset": out.parent.parent / "images", **SEARCHED, "out": out}
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
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def finished_files(run: Path) -> dict[str, int]:
    """Modification times (ns) of the files that stand for finished work, by relative path."""
    found = [path for pattern in FINISHED for path in run.glob(pattern)]
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in found}


def stage(run: Path, stages: Sequence[str]) -> str:
    """The stage that a run is in, by the files that it has."""
    return next((name for name in stages if not any(run.glob(STAGES[name]))), "end")


def _victims(process: psutil.Process, victim: str) -> list[psutil.Process]:
    if victim == "command":
        return [process]
    children = [(child, "".join(_words(child)[:1])) for child in process.children(recursive=True)]
    if victim == "Ray head":
        return [child for child, name in children if name.endswith(_HEAD)]
    return [child for child, name in children if name.startswith("ray::") and not name.endswith(_HEAD)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # it has ended
        return []


@dataclass
class Attempt:
    """A start of the command, what was killed meanwhile, and how it ended.

    Attributes:
        run: the run's folder.
        stages: the stages of its search.
        seconds: how long each stage took undisturbed.
        kills: what was killed, in which stage, with the number of finished files.
        status: the exit status, or ``None`` if the command did not survive.
        hung: whether it had to be ended.
    """

    run: Path
    stages: Sequence[str]
    seconds: Mapping[str, float]
    kills: list[tuple[str, str, int]]
    status: int | None = None
    hung: bool = False

    def carry_out(
        self, words: Sequence[str], said: Path, moments: list[Moment], rng: np.random.Generator
    ) -> None:
        """Start the command, kill at the next of ``moments``, take these off the list, and wait for the end.

        A killed worker leaves the command to go on, and the next moment follows. A moment whose stage is over
        comes at once. Processes that outlive the command are killed.
        """
        number = started(words, said)
        process = psutil.Process(number)
        below: dict[int, psutil.Process] = {}
        due: float | None = None
        hit: float | None = None
        fatal = False
        while True:
            ended, code = os.waitpid(number, os.WNOHANG)
            if ended:
                self.status = os.waitstatus_to_exitcode(code)
                break
            now, current = time.monotonic(), stage(self.run, self.stages)
            below |= {child.pid: child for child in process.children(recursive=True)}
            if hit is not None and now > hit + LONGEST:
                self.hung = True
                process.kill()
            if not fatal and due is None and moments and self._has_come(moments[0].stage, current):
                late = current != moments[0].stage
                due = now if late else now + moments[0].share * self.seconds[current]
            if due is not None and now >= due and (found := _victims(process, moments[0].victim)):
                moment = moments.pop(0)
                self.kills.append((moment.victim, current, len(finished_files(self.run))))
                found[int(rng.integers(len(found)))].kill()
                due, hit = None, now
                fatal = moment.victim != "Ray worker"
            time.sleep(_POLL)
        for child in below.values():
            if child.is_running():
                child.kill()
        if (fatal or self.hung) and self.status != 0:
            self.status = None

    def _has_come(self, planned: str, current: str) -> bool:
        order = [*self.stages, "end"]
        return current != "end" and order.index(planned) <= order.index(current)


def ended_run(
    search: str,
    out: Path,
    undisturbed: Path,
    seconds: Mapping[str, float],
    seed: int,
    stages: Sequence[str],
) -> Ended:
    """Kill as planned and start again until the run in ``out`` ends; then compare."""
    rng = stream(seed, f"kills of {search} {out.name}")
    moments = plan(search, rng, stages)
    kills: list[Kill] = []
    said = out.parent / f"{out.name}.txt"
    starts, hung = 0, 0
    status: int | None = None
    while status is None:
        before = finished_files(out)
        found = Attempt(out, stages_of(search), seconds, [])
        found.carry_out(command(search, out), said, moments, rng)
        status, starts, hung = found.status, starts + 1, hung + found.hung
        after = finished_files(out)
        repeated = sorted(name for name, written in before.items() if after.get(name) != written)
        if repeated:  # what an earlier kill cost
            kills[-1].repeated.extend(repeated)
        line = said.read_text(errors="replace").strip().splitlines()[-1:]
        kills += [Kill(victim, where, files, [], "".join(line)) for victim, where, files in found.kills]
    assert status == 0, f"status {status}: {said.read_text()[-20000:]}"
    return Ended(
        search,
        kills,
        starts,
        hung,
        results(out) == results(undisturbed),
        history(out) == history(undisturbed),
        tensors(out) == tensors(undisturbed),
    )


def undisturbed_run(search: str, out: Path) -> dict[str, float]:
    """Run a search undisturbed; the seconds of each stage."""
    out.parent.mkdir(parents=True)
    said = out.parent / "undisturbed.txt"
    number = started(command(search, out), said)
    seconds = dict.fromkeys(stages_of(search), 0.0)
    before = time.monotonic()
    while not os.waitpid(number, os.WNOHANG)[0]:
        now, current = time.monotonic(), stage(out, stages_of(search))
        if current in seconds:
            seconds[current] += now - before
        before = now
        time.sleep(_POLL)
    assert (out / "results.json").exists(), said.read_text()[-2000:]
    return seconds


def runs(
    folder: Path, search: str, kills: int, seed: int, before: Sequence[Ended], stages: Sequence[str]
) -> Iterator[Ended]:
    """Killed runs of a search, compared with an undisturbed one, until there were so many kills.

    Kills are in the ``stages`` alone; a search without them is not run. Those of ``before`` count.
    """
    if not set(stages) & set(stages_of(search)):
        return
    number = sum(ended.search == search for ended in before)
    done = sum(len(ended.kills) for ended in before if ended.search == search)
    if done >= kills:
        return
    undisturbed = folder / search / "undisturbed"
    seconds = undisturbed_run(search, undisturbed)
    print(search, {name: round(value, 2) for name, value in seconds.items()}, file=sys.stderr)
    while done < kills:
        ended = ended_run(search, folder / search / f"run-{number}", undisturbed, seconds, seed, stages)
        yield ended
        done += len(ended.kills)
        number += 1


def table(found: Sequence[Ended]) -> Table:
    """Kills by stage and victim, and how the runs ended."""
    kills = [kill for ended in found for kill in ended.kills]
    shown = Table("killed in", *VICTIMS, "finished work done again")
    for name in [*STAGES, "all"]:
        own = [kill for kill in kills if name in (kill.stage, "all")]
        by_victim = Counter(kill.victim for kill in own)
        again = sum(len(kill.repeated) for kill in own)
        shown.add_row(name, *(str(by_victim[victim]) for victim in VICTIMS), str(again))
    same, hung = sum(ended.same for ended in found), sum(ended.hung for ended in found)
    shown.caption = (
        f"{same} of {len(found)} runs ended bit for bit as the undisturbed one; {hung} starts hung"
    )
    return shown


def earlier(file: Path, seed: int) -> list[Ended]:
    """The runs in a result file of this seed, to which more are added."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if content.get("seed") != seed:
        return []
    return [Ended(**{**one, "kills": [Kill(**kill) for kill in one["kills"]]}) for one in content["runs"]]


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults kills", "Kill a search at seeded moments, and compare its end.")
    parser.add_argument("--kills", type=whole_number, default=50, help="half of them of the search on Ray")
    parser.add_argument(
        "--stage", action="append", choices=STAGES, help="stage to kill in; repeat for more (all)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    stages = args.stage or list(STAGES)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else workers starve on a busy machine
    found = earlier(args.out, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images")
        for search, kills in (("search", args.kills - args.kills // 2), ("search on Ray", args.kills // 2)):
            for ended in runs(Path(folder), search, kills, args.seed, tuple(found), stages):
                found.append(ended)
                content: dict[str, Any] = {"seed": args.seed, "environment": environment("cpu")}
                write_result(args.out, content | {"runs": [asdict(one) for one in found]}, indent=1)
    Console().print(table(found))
