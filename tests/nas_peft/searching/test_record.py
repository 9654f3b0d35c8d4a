"""The Optuna record: what goes in comes out, after kills and full disks too, and the dashboard shows it."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sweep import sweep

from nas_peft.searching.candidate import Candidate, Proposal, by_params
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.record import SearchRecord
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import Architecture, InputError, SearchSpace, load_space

pytestmark = pytest.mark.slow

SPACE = load_space("default", 4)
SEARCH_STUDY = "search"
ATTRIBUTES = 4
"""Entries of a journal before the first trial: the study, its metric names, space and cost."""


def opened(journal: Path, space: SearchSpace = SPACE) -> SearchRecord:
    return SearchRecord.open(StudyStorage(str(journal)), SEARCH_STUDY, space, cost="params", identity={})


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
            int(rng.integers(10**6)),
            float(rng.random()) / 3,
            float(rng.random()) / 7,
            float(rng.random()),
            200,
        )
        for i in range(count)
    ]


def test_a_reopened_journal_gives_the_same_candidates_bit_for_bit(tmp_path):
    journal = tmp_path / "study.journal"
    record = opened(journal)
    assert record.candidates() == []
    first, second = generation(0, 3, 0), generation(1, 4, 3)
    record.add_generation(first)
    record.add_generation(second)
    assert record.candidates() == first + second
    assert opened(journal).candidates() == first + second


def test_a_reopened_journal_goes_on(tmp_path):
    journal = tmp_path / "study.journal"
    first, second = generation(0, 3, 0), generation(1, 2, 3)
    opened(journal).add_generation(first)
    opened(journal).add_generation(second)
    assert opened(journal).candidates() == first + second


def test_a_loss_that_is_not_finite_is_a_failed_trial_and_comes_back(tmp_path):
    overflow = Candidate(0, 0, Proposal(SPACE.largest(), "sample"), 9, 90, math.inf, 0.0, 0.1, 200)
    record = opened(tmp_path / "study.journal")
    record.add_generation([overflow])
    assert [t.state for t in record.study.trials] == [TrialState.FAIL]
    assert opened(tmp_path / "study.journal").candidates() == [overflow]


def test_a_trial_says_sizes_by_layer_and_the_loss(tmp_path):
    sizes = {"lora_rank": [0, 0, 0, 8], "prompt_tokens": [1, 0, 0, 0]}
    candidate = Candidate(
        0, 2, Proposal(Architecture.of(4, sizes), "mutation", (5,)), 4224, 9999, 0.25, 0.01, 0.9, 200
    )
    record = opened(tmp_path / "study.journal")
    record.add_generation([candidate])
    trial = record.study.trials[0]
    assert trial.values == [0.25, 4224]
    assert trial.params["layer03.lora_rank"] == 8
    assert trial.params["layer00.prompt_tokens"] == 1
    assert len(trial.params) == 3 * 4
    assert sum(trial.params.values()) == 9
    shown = {key: trial.user_attrs[key] for key in ("params", "accuracy", "generation", "origin")}
    assert shown == {"params": 4224, "accuracy": 0.9, "generation": 2, "origin": "mutation"}
    assert trial.user_attrs["modules"] == "LoRA 0·0·0·8, VPT 1·0·0·0"
    assert [direction.name for direction in record.study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert record.study.metric_names == ["loss", "params"]


def test_a_space_with_depths_is_recorded_too(tmp_path):
    space = load_space("noah-vtab", 4)
    candidates = generation(0, 3, 0, space)
    record = opened(tmp_path / "study.journal", space)
    record.add_generation(candidates)
    assert opened(tmp_path / "study.journal", space).candidates() == candidates


def test_a_dropped_candidate_is_a_pruned_trial_and_comes_back(tmp_path):
    whole, dropped = generation(0, 2, 0)
    dropped = replace(dropped, dropped=True, loss=0.0, params=1, images=25)
    record = opened(tmp_path / "study.journal")
    record.add_generation([whole, dropped])
    assert [t.state for t in record.study.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert [t.number for t in record.study.best_trials] == [0]  # the front
    assert opened(tmp_path / "study.journal").candidates() == [whole, dropped]


def test_what_is_recorded_is_not_recorded_again(tmp_path):
    candidates = generation(0, 4, 0)
    record = opened(tmp_path / "study.journal")
    record.add_generation(candidates[:2])
    for _ in range(2):
        record.add_generation(candidates)
    assert record.candidates() == candidates


def test_two_searches_in_one_study_are_found_out(tmp_path):
    record = opened(tmp_path / "study.journal")
    record.add_generation(generation(0, 2, 0))
    with pytest.raises(InputError, match=r"candidate 0 of the study 'search' .* is not this search's"):
        record.add_generation(generation(7, 2, 0))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"space": load_space("wide", 4)}, "space"),
        ({"cost": "flops"}, "cost"),
        ({"identity": {"data": "other", "config": {"seed": 0}}}, "data"),
        ({"identity": {"data": "x", "config": {"seed": 1}}}, "config"),
    ],
)
def test_the_study_of_another_search_is_refused(tmp_path, changes, named):
    journal = tmp_path / "study.journal"
    same: dict[str, Any] = {"space": SPACE, "cost": "params"}
    same["identity"] = {"data": "x", "config": {"seed": 0}}

    def open_with(**arguments: Any) -> SearchRecord:
        space = arguments.pop("space")
        return SearchRecord.open(StudyStorage(str(journal)), "shared", space, **arguments)

    open_with(**same).add_generation(generation(0, 1, 0))
    assert len(open_with(**same).candidates()) == 1
    with pytest.raises(InputError, match=rf"the study 'shared' .* its {named} differ; give another --study"):
        open_with(**same | changes)


def test_a_study_that_is_no_search_is_refused(tmp_path):
    address = f"sqlite:///{tmp_path}/studies.db"
    optuna.create_study(study_name="search", storage=address)
    with pytest.raises(
        InputError, match=r"the study 'search' .* belongs to another search: its objectives differ"
    ):
        SearchRecord.open(StudyStorage(address), "search", SPACE, cost="params", identity={})


@pytest.mark.parametrize("address", sweep(["sqlite:///{}/studies.db", "{}/studies.journal"]))
def test_any_candidate_comes_back_bit_for_bit_from_any_storage(tmp_path, address):
    storage = StudyStorage(address.format(tmp_path))
    record = SearchRecord.open(storage, "search", SPACE, cost="params", identity={})
    number = 0

    @settings(derandomize=True, deadline=None, database=None, max_examples=10)
    @given(
        st.floats(0, 1e6) | st.just(math.inf),
        st.floats(0, 1),
        st.integers(0, 99),
        st.booleans(),
    )
    def law(loss: float, accuracy: float, seed: int, dropped: bool) -> None:
        nonlocal number
        (candidate,) = generation(seed, 1, number)
        candidate = replace(candidate, loss=loss, accuracy=accuracy, dropped=dropped and loss < math.inf)
        number += 1
        record.add_generation([candidate])
        again = SearchRecord.open(storage, "search", SPACE, cost="params", identity={})
        assert again.candidates()[-1] == candidate

    law()


@pytest.mark.filterwarnings("ignore:PedAnovaImportanceEvaluator computes")  # low targets are what is wanted
@pytest.mark.parametrize("name", ["default", "noah-vtab"])
def test_importances_can_be_computed_for_loss_and_cost(tmp_path, name):
    space = load_space(name, 4)
    record = opened(tmp_path / "study.journal", space)
    record.add_generation(generation(0, 40, 0, space))
    for target in (0, 1):
        found = optuna.importance.get_param_importances(
            record.study, target=lambda t, target=target: t.values[target]
        )
        assert any(name.endswith("lora_rank") for name in found)
        assert sum(found.values()) == pytest.approx(1)


def cut(journal: Path, entries: int, characters: int) -> None:
    """Leave ``entries`` whole entries and that much of the next, as a kill or a full disk does."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:entries]) + lines[entries][:characters])


@pytest.mark.parametrize("characters", [0, 1, 100])
def test_half_an_entry_is_cut_off(tmp_path, characters):
    journal = tmp_path / "study.journal"
    candidates = generation(0, 4, 0)
    opened(journal).add_generation(candidates)
    cut(journal, ATTRIBUTES + 2, characters)
    record = opened(journal)
    assert record.candidates() == candidates[:2]
    record.add_generation(candidates[2:])
    assert opened(journal).candidates() == candidates
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_half_of_the_very_first_entry_is_no_record(tmp_path):
    journal = tmp_path / "study.journal"
    opened(journal)
    cut(journal, 0, 10)
    assert opened(journal).candidates() == []


@pytest.mark.thorough
def test_the_lock_of_a_killed_process_is_released(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as with the run folder's default, a relative path
    journal = Path("study.journal")
    candidates = generation(0, 2, 0)
    opened(journal).add_generation(candidates)
    Path("study.journal.lock").touch()
    started = time.monotonic()
    assert opened(journal).candidates() == candidates
    assert time.monotonic() - started < 20
    assert not Path("study.journal.lock").exists()


def test_the_dashboard_lists_the_study(tmp_path):
    optuna_dashboard = pytest.importorskip("optuna_dashboard")
    journal = tmp_path / "study.journal"
    opened(journal).add_generation(generation(0, 3, 0))
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


def test_optuna_reads_the_front(tmp_path):
    candidates = generation(0, 5, 0)
    opened(tmp_path / "study.journal").add_generation(candidates)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.load_study(study_name=SEARCH_STUDY, storage=storage)
    best = {trial.user_attrs["number"] for trial in study.best_trials}
    assert best == {c.number for c in pareto_front(candidates, by_params)}
