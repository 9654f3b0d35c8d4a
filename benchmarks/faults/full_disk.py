"""Fill the disk of a run at seeded moments, free it, and start the same command again.

::

    python -m benchmarks.faults full-disk --tries 8

The run folder lies on a tmpfs of its own, which this study mounts (as root) for each try. When a drawn stage
of the search begins, a file fills the disk but for a drawn number of bytes. The command must end with status
2 and one line that says how to go on, or end as if nothing were. Then the filling is removed and the command
started again; its results are compared with those of an undisturbed run, bit for bit. Prints a table and
writes JSON (``--out``).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.faults.compared_runs import history, results, tensors
from benchmarks.faults.hostile.ground import write_images
from benchmarks.faults.kills import command, stage, stages_of, started, undisturbed_run
from benchmarks.harness.command_line import StudyParser, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.environment import environment
from nas_peft.run.place import LEAST_ROOM
from search_spaces import InputError
from search_spaces.streams import stream

OUT = RESULTS / "full_disk.json"
DISK = LEAST_ROOM + 2**25
MOST_LEFT = 400_000
"""Most bytes that the filled disk has left."""


@dataclass(frozen=True)
class Filled:
    """A try: the stage, the bytes that were left, how the command ended, and whether the end is the same."""

    stage: str
    left: int
    status: int
    said: str
    again: int
    same: bool

    @property
    def passes(self) -> bool:
        """Whether the command said how to go on (or did not need the room), and went on to the same end."""
        told = self.status == 0 or (self.status == 2 and "start the same command again" in self.said)
        return told and self.again == 0 and self.same


def fill(folder: Path, left: int) -> Path:
    """Write a file that leaves so many bytes of the folder's disk."""
    found = os.statvfs(folder)
    file = folder.parent / "filling"
    with file.open("wb") as filling:
        os.posix_fallocate(filling.fileno(), 0, max(1, found.f_bavail * found.f_frsize - left))
    return file


def filled(folder: Path, undisturbed: Path, rng: np.random.Generator) -> Filled:
    """One try on a disk of its own at ``folder``."""
    run = folder / "run"
    stages = stages_of("search")
    target, left = str(rng.choice(stages[1:])), int(rng.integers(MOST_LEFT))
    words = ["search", "--dataset", str(undisturbed.parents[1] / "images")]
    words += command("search", undisturbed)[3:]
    words[words.index("--out") + 1] = str(run)
    said = undisturbed.parent / "said.txt"
    said.write_text("")
    number = started(words, said)
    filling: Path | None = None
    while not (ended := os.waitpid(number, os.WNOHANG))[0]:
        if filling is None and stage(run, stages) in [*stages[stages.index(target) :], "end"]:
            filling = fill(run, left)
        time.sleep(0.01)
    status = os.waitstatus_to_exitcode(ended[1])
    line = "".join(said.read_text().strip().splitlines()[-1:])
    if filling is not None:
        filling.unlink()
    _, again = os.waitpid(started(words, said), 0)
    code = os.waitstatus_to_exitcode(again)
    same = code == 0 and all(of(run) == of(undisturbed) for of in (results, history, tensors))
    return Filled(target, left, status, line.replace(str(folder), "")[:300], code, same)


def table(found: Sequence[Filled]) -> Table:
    """Tries by the stage in which the disk was full."""
    shown = Table("disk full in", "tries", "ended with one line", "did not need the room", "same end")
    for name in stages_of("search")[1:]:
        own = [one for one in found if one.stage == name]
        told = sum(one.passes and one.status == 2 for one in own)
        shown.add_row(
            name, *map(str, (len(own), told, sum(o.status == 0 for o in own), sum(o.same for o in own)))
        )
    shown.caption = f"{sum(one.passes for one in found)} of {len(found)} tries passed"
    return shown


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults full-disk", "Fill the disk of a run, free it, and go on.")
    parser.add_argument("--tries", type=whole_number, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found: list[Filled] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images")
        undisturbed_run("search", folder / "search" / "undisturbed")
        for number in range(args.tries):
            disk = folder / f"disk-{number}"
            disk.mkdir()
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)],
                capture_output=True,
                text=True,
            )
            if mounted.returncode:
                raise InputError(
                    f"this study mounts small disks, and may not: {mounted.stderr.strip()}; be root"
                )
            try:
                rng = stream(args.seed, f"full disk {number}")
                found.append(filled(disk, folder / "search" / "undisturbed", rng))
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    content = {"seed": args.seed, "environment": environment("cpu"), "tries": [asdict(one) for one in found]}
    write_result(args.out, content, indent=1)
    Console().print(table(found))
    for one in found:
        if not one.passes:
            Console().print(one, highlight=False, soft_wrap=True)
