"""The table of architectures as studies read it: one column for each score, architectures in one order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from architecture_table import Entry, read_lines
from numpy.typing import NDArray

from search_spaces import Architecture, InputError

SCORES = ("val_accuracy", "val_loss", "test_accuracy", "test_loss")
"""What each training of the table was scored by. The test columns are for judging afterwards only."""


@dataclass(frozen=True)
class FinishedTable:
    """What ``benchmarks/architecture_table.py`` wrote.

    ``results`` is the setup that all its lines share, ``entries`` are its architectures in a fixed order (by
    group, parameters, sizes) and ``params`` their parameters.
    """

    path: Path
    results: dict[str, Any]
    entries: tuple[Entry, ...]
    params: tuple[int, ...]
    lines: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, path: Path) -> FinishedTable:
        """Read lines and setup. Raises `InputError` where there are none."""
        setup = path.with_suffix(".json")
        lines = read_lines(path)
        if not (lines and setup.exists()):
            raise InputError(
                f"no table of architectures at '{path}'; benchmarks/architecture_table.py makes one"
            )
        found = {(line["group"], line["params"], json.dumps(line["architecture"])) for line in lines}
        ordered = sorted(found)
        return cls(
            path=path,
            results=json.loads(setup.read_text(encoding="utf-8"))["results"],
            entries=tuple(Entry(g, Architecture.from_dict(json.loads(a))) for g, _, a in ordered),
            params=tuple(params for _, params, _ in ordered),
            lines=tuple(lines),
        )

    def group(self, name: str) -> NDArray[np.bool_]:
        """Which architectures are in a group, ``(n,)``."""
        return np.array([entry.group == name for entry in self.entries])

    def columns(self, task: str) -> dict[str, NDArray[np.float64]]:
        """For each of `SCORES` the seeds that all architectures have, ``(seeds, n)``.

        Raises `InputError` for a task without one such seed.
        """
        by_seed: dict[int, dict[str, dict[str, Any]]] = {}
        for line in self.lines:
            if line["task"] == task:
                by_seed.setdefault(line["seed"], {})[json.dumps(line["architecture"])] = line
        names = [json.dumps(entry.architecture.to_dict()) for entry in self.entries]
        whole = [by_seed[seed] for seed in sorted(by_seed) if len(by_seed[seed]) == len(names)]
        if not whole:
            tasks = ", ".join(sorted({line["task"] for line in self.lines}))
            raise InputError(
                f"'{self.path}' has no seed with all {len(names)} architectures for the task '{task}' "
                f"(its tasks: {tasks}); run benchmarks/architecture_table.py to its end first"
            )
        return {
            score: np.array([[lines[name][score] for name in names] for lines in whole]) for score in SCORES
        }
