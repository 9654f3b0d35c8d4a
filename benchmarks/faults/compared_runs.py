"""Content that two runs of one search have in common to the last bit: results, candidates and tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from safetensors.torch import load_file

from nas_peft.run.finished_search import FinishedSearch
from supernet import content_digest

TENSORS = ("generations/*.safetensors", "trainings/*.safetensors", "su*net.safetensors")
"""Files with tensors, by patterns relative to a run folder."""

OF_THE_START = frozenset(
    {"seconds", "peak_memory", "opened_at", "sha256", "run", "environment", "before"},
)
"""Fields of ``results.json`` that tell of time, memory and place."""


def results(run: Path) -> Any:
    """All of ``results.json`` but times, memory and the run's own path."""
    return _without(json.loads((run / "results.json").read_text(encoding="utf-8")))


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(below) for name, below in value.items() if name not in OF_THE_START}
    return [_without(below) for below in value] if isinstance(value, list) else value


def history(run: Path) -> list[Any]:
    """Every candidate of the run's generations, then every trial of its Optuna journal, in order."""
    candidates: list[Any] = [candidate.to_dict() for candidate in FinishedSearch.read(run).candidates]
    storage = JournalStorage(JournalFileBackend(str(run / "study.journal")))
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id)
    return candidates + [(t.number, t.state.name, t.values, t.params, t.user_attrs) for t in trials]


def tensors(run: Path) -> dict[str, str]:
    """Digests of the files with tensors, by relative path; seconds and memory in their headers left out."""
    found = sorted({path for pattern in TENSORS for path in run.glob(pattern)})
    return {str(path.relative_to(run)): content_digest("", load_file(path)) for path in found}
