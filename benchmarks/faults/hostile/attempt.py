"""One try: a command on a hostile input, and whether what it did is allowed."""

from __future__ import annotations

import gc
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.run.json_file import read_json

Verdict = Literal[
    "refused in one line", "right answer", "traceback", "not one line", "half-written", "wrong answer", "slow"
]
PASSES: tuple[Verdict, ...] = ("refused in one line", "right answer")

MOST_SECONDS = 1.5
"""Time in which a wrong option is refused."""

_LONGEST_LINE = 1300
_SKIPPED = 3  # status of predict when images were left out, each with a line


@dataclass(frozen=True)
class Hostile:
    """A hostile input.

    Attributes:
        about: what is hostile.
        words: the command line.
        must_fail: whether any answer would be wrong; else a right one is allowed.
        at_once: whether the mistake is one of options, which are checked first.
        forbidden: files that must not exist afterwards, such as what a pickle would have written.
    """

    about: str
    words: list[str]
    must_fail: bool = False
    at_once: bool = False
    forbidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Tried:
    """A try and its outcome; ``said`` is the last line of errors."""

    kind: str
    about: str
    words: list[str]
    status: int
    seconds: float
    verdict: Verdict
    said: str


def files_below(folder: Path) -> dict[str, int]:
    """Sizes of all files below a folder, by relative path."""
    paths = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): path.lstat().st_size for path in paths}


def attempt(kind: str, hostile: Hostile, here: Path) -> Tried:
    """Run the command in this process with the working folder ``here``."""
    before = files_below(here)
    started = time.perf_counter()
    outside = Path.cwd()
    os.chdir(here)
    try:
        done = CliRunner().invoke(app, hostile.words)
    finally:
        os.chdir(outside)
    seconds = time.perf_counter() - started
    after = files_below(here)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    verdict = _verdict(hostile, done, before, after, here, seconds)
    said = lines[-1] if lines else ""
    if verdict == "traceback":
        said = f"{type(done.exception).__name__}: {done.exception}"
        gc.collect()
    shown = [word.encode("utf-8", "backslashreplace").decode()[:200] for word in hostile.words]
    said = said.encode("utf-8", "backslashreplace").decode()[:_LONGEST_LINE]
    return Tried(kind, hostile.about, shown, done.exit_code, round(seconds, 3), verdict, said)


def _verdict(
    hostile: Hostile,
    done: Any,
    before: Mapping[str, int],
    after: Mapping[str, int],
    here: Path,
    seconds: float,
) -> Verdict:
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return "traceback"
    if any(file.exists() for file in hostile.forbidden):
        return "wrong answer"
    if done.exit_code == 2:
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        if len(errors) != 1 or errors != last or len(errors[0]) > _LONGEST_LINE:
            return "not one line"
        if set(after) - set(before):
            return "half-written"
        return "slow" if hostile.at_once and seconds > MOST_SECONDS else "refused in one line"
    if hostile.must_fail or any(name.endswith(".partial") for name in after):
        return "wrong answer"
    answer = ANSWERS.get(hostile.words[0], _no_check)
    allowed = (0, _SKIPPED) if hostile.words[0] == "predict" else (0,)
    right = done.exit_code in allowed and answer(done.stdout, here)
    return "right answer" if right else "wrong answer"


def _no_check(stdout: str, here: Path) -> bool:
    return True


def _finite_predictions(stdout: str, here: Path) -> bool:
    """Whether each line of JSON has probabilities."""
    lines = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    found = [value for line in lines for value in line["classes"].values()]
    return all(math.isfinite(value) and 0 <= value <= 1 for value in found)


def _finite_results(stdout: str, here: Path) -> bool:
    """Whether the run that was written is whole, with finite numbers."""
    contents = [read_json(file) or {} for file in here.rglob("results.json")]
    losses = [s["val_loss"] for c in contents for row in c["rows"] for s in row["seeds"]]
    return bool(losses) and all(loss is None or math.isfinite(loss) for loss in losses)


ANSWERS: dict[str, Callable[[str, Path], bool]] = {
    "predict": _finite_predictions,
    "search": _finite_results,
}
"""For a command, whether its answer is a right one, from its output and its working folder."""
