"""Table of architectures as studies read it: a column for each score, architectures in a fixed order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.judged_architectures import Entry
from benchmarks.harness.lines import read_lines
from benchmarks.harness.results import RESULTS
from search_spaces import Architecture, InputError

SCORES = ("val_accuracy", "val_loss", "test_accuracy", "test_loss")
"""Scores of each training of the table. The test columns are for judging afterwards only."""
TABLE = RESULTS / "architecture_table.jsonl"
"""Lines of the published table."""


@dataclass(frozen=True)
class FinishedTable:
    """Table that ``python -m benchmarks.architecture_table`` wrote.

    Attributes:
        path: file of the lines.
        results: setup that all lines share.
        entries: architectures, ordered by group, parameters and sizes.
        params: number of parameters of each entry.
        lines: finished trainings.
    """

    path: Path
    results: dict[str, Any]
    entries: tuple[Entry, ...]
    params: tuple[int, ...]
    lines: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, path: Path) -> FinishedTable:
        """Read lines and setup. Raises `InputError` if there are none."""
        setup = path.with_suffix(".json")
        lines = read_lines(path)
        if not (lines and setup.exists()):
            raise InputError(
                f"no table of architectures at '{path}'; python -m benchmarks.architecture_table makes one"
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
        """Mask of the architectures in a group, shape ``(n,)``."""
        return np.array([entry.group == name for entry in self.entries])

    def columns(self, task: str) -> dict[str, NDArray[np.float64]]:
        """Values of each of `SCORES`, shape ``(seeds, n)``, for the seeds that have all architectures.

        Raises `InputError` for a task without such a seed.
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
                f"(its tasks: {tasks}); run python -m benchmarks.architecture_table to its end first"
            )
        return {
            score: np.array([[lines[name][score] for name in names] for lines in whole]) for score in SCORES
        }
