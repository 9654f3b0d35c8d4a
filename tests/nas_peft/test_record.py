"""The Optuna record: what goes in comes out, after kills and full disks too, and the dashboard shows it."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from nas_peft.candidate import Candidate, Proposal
from nas_peft.record import SEARCH_STUDY, SearchRecord
from search_spaces import Architecture, SearchSpace, load_space

SPACE = load_space("default", 4)


def generation(number: int, count: int, first: int, space: SearchSpace = SPACE) -> list[Candidate]:
    """Candidates with losses that no short decimal number equals."""
    rng = np.random.default_rng(number)
    return [
        Candidate(
            first + i,
            number,
            Proposal(
                space.sample(rng), "sample" if number == 0 else "crossover", (i, i + 1) if number else ()
            ),
            int(rng.integers(1000)),
            float(rng.random()) / 3,
            float(rng.random()) / 7,
            float(rng.random()),
            200,
        )
        for i in range(count)
    ]


def test_a_reopened_journal_gives_the_same_candidates_bit_for_bit(tmp_path):
    journal = tmp_path / "study.journal"
    record = SearchRecord.open(journal, SPACE)
    assert record.candidates() == []
    first, second = generation(0, 3, 0), generation(1, 4, 3)
    record.add_generation(first)
    record.add_generation(second)
    assert record.candidates() == first + second
    assert SearchRecord.open(journal, SPACE).candidates() == first + second


def test_a_reopened_journal_goes_on(tmp_path):
    journal = tmp_path / "study.journal"
    first, second = generation(0, 3, 0), generation(1, 2, 3)
    SearchRecord.open(journal, SPACE).add_generation(first)
    SearchRecord.open(journal, SPACE).add_generation(second)
    assert SearchRecord.open(journal, SPACE).candidates() == first + second


def test_a_loss_that_is_not_finite_is_a_failed_trial_and_comes_back(tmp_path):
    overflow = Candidate(0, 0, Proposal(SPACE.largest(), "sample"), 9, math.inf, 0.0, 0.1, 200)
    record = SearchRecord.open(tmp_path / "study.journal", SPACE)
    record.add_generation([overflow])
    assert [t.state for t in record.study.trials] == [TrialState.FAIL]
    assert SearchRecord.open(tmp_path / "study.journal", SPACE).candidates() == [overflow]


def test_a_trial_says_sizes_by_layer_and_the_loss(tmp_path):
    sizes = {"lora_rank": [0, 0, 0, 8], "prompt_tokens": [1, 0, 0, 0]}
    candidate = Candidate(
        0, 2, Proposal(Architecture.of(4, sizes), "mutation", (5,)), 4224, 0.25, 0.01, 0.9, 200
    )
    record = SearchRecord.open(tmp_path / "study.journal", SPACE)
    record.add_generation([candidate])
    trial = record.study.trials[0]
    assert trial.value == 0.25
    assert trial.params["layer03.lora_rank"] == 8
    assert trial.params["layer00.prompt_tokens"] == 1
    assert len(trial.params) == 3 * 4
    assert sum(trial.params.values()) == 9
    shown = {key: trial.user_attrs[key] for key in ("params", "accuracy", "generation", "origin")}
    assert shown == {"params": 4224, "accuracy": 0.9, "generation": 2, "origin": "mutation"}
    assert trial.user_attrs["architecture"] == "LoRA 0·0·0·8, VPT 1·0·0·0"
    assert record.study.direction.name == "MINIMIZE"


def test_a_space_with_depths_is_recorded_too(tmp_path):
    space = load_space("noah-vtab", 4)
    candidates = generation(0, 3, 0, space)
    record = SearchRecord.open(tmp_path / "study.journal", space)
    record.add_generation(candidates)
    assert SearchRecord.open(tmp_path / "study.journal", space).candidates() == candidates


def test_the_searcher_is_said_once(tmp_path):
    for _ in range(2):
        record = SearchRecord.open(tmp_path / "study.journal", SPACE)
        record.describe({"name": "evolution", "parents": 8})
        assert record.study.user_attrs == {"searcher": {"name": "evolution", "parents": 8}}
    assert (tmp_path / "study.journal").read_text().count("evolution") == 1


def cut(journal: Path, entries: int, characters: int) -> None:
    """Leave ``entries`` whole entries and that much of the next, as a kill or a full disk does."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:entries]) + lines[entries][:characters])


@pytest.mark.parametrize("characters", [0, 1, 100])
def test_half_an_entry_is_cut_off(tmp_path, characters):
    journal = tmp_path / "study.journal"
    candidates = generation(0, 4, 0)
    SearchRecord.open(journal, SPACE).add_generation(candidates)
    cut(journal, 3, characters)  # the study and two trials
    record = SearchRecord.open(journal, SPACE)
    assert record.candidates() == candidates[:2]
    record.add_generation(candidates[2:])
    assert SearchRecord.open(journal, SPACE).candidates() == candidates
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_half_of_the_very_first_entry_is_no_record(tmp_path):
    journal = tmp_path / "study.journal"
    SearchRecord.open(journal, SPACE)
    cut(journal, 0, 10)
    assert SearchRecord.open(journal, SPACE).candidates() == []


def test_the_lock_of_a_killed_process_is_released(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as with the run folder's default, a relative path
    journal = Path("study.journal")
    candidates = generation(0, 2, 0)
    SearchRecord.open(journal, SPACE).add_generation(candidates)
    Path("study.journal.lock").touch()
    started = time.monotonic()
    assert SearchRecord.open(journal, SPACE).candidates() == candidates
    assert time.monotonic() - started < 20
    assert not Path("study.journal.lock").exists()


def test_the_dashboard_lists_the_study(tmp_path):
    optuna_dashboard = pytest.importorskip("optuna_dashboard")
    journal = tmp_path / "study.journal"
    SearchRecord.open(journal, SPACE).add_generation(generation(0, 3, 0))
    app = optuna_dashboard.wsgi(JournalStorage(JournalFileBackend(str(journal))))

    def get(path: str) -> dict[str, Any]:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ |= {"PATH_INFO": path, "REQUEST_METHOD": "GET"}
        status: list[str] = []
        start: Callable[..., None] = lambda code, headers, exc_info=None: status.append(code)  # noqa: E731
        body = b"".join(app(environ, start))
        assert status[0].startswith("200"), (status, body)
        answer: dict[str, Any] = json.loads(body)
        return answer

    studies = get("/api/studies")["study_summaries"]
    assert [study["study_name"] for study in studies] == [SEARCH_STUDY]
    trials = get(f"/api/studies/{studies[0]['study_id']}")["trials"]
    assert len(trials) == 3


def test_optuna_reads_the_best_trial(tmp_path):
    candidates = generation(0, 5, 0)
    SearchRecord.open(tmp_path / "study.journal", SPACE).add_generation(candidates)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.load_study(study_name=SEARCH_STUDY, storage=storage)
    assert study.best_value == min(c.loss for c in candidates)
