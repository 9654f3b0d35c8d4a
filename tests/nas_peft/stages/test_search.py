"""The search stage: every generation counts, and one that was stopped goes on as if it had not been."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep import sweep

from nas_peft.run.progress import Advance, StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SearchStageRecord
from nas_peft.scoring.scorer import Fold, Found, LocalScorer
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.pareto import best_layers
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.search import open_record, search_supernet
from search_spaces import Budget, KindChoices, SearchSpace, count_params, sampler_around
from supernet import Supernet

pytestmark = pytest.mark.slow

QUIET = StageBars(quiet=True)


class Stopped(Exception):
    """Raised in place of a kill."""


class StoppingBars(StageBars):
    """Stops the run when that many steps are done."""

    def __init__(self, at: int) -> None:
        super().__init__(quiet=True)
        self.at = at

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        def advance(done: int, total: int) -> None:
            if done >= self.at:
                raise Stopped

        yield advance


@pytest.fixture(scope="module")
def inputs(tiny_inputs: SearchInputs) -> SearchInputs:
    longer = tiny_inputs.config.model_copy(update={"generations": 3})
    return replace(tiny_inputs, config=longer)


@pytest.fixture(scope="module")
def scorer(inputs: SearchInputs) -> LocalScorer:
    """Untrained; prompts have an effect all the same."""
    network = Supernet(inputs.backbone.model, inputs.space.largest(), 3, seed=1).eval()
    return LocalScorer([Fold(network, inputs.dataset.val)], inputs.preprocessing)


def run_search(
    inputs: SearchInputs, scorer: LocalScorer, folder: RunFolder, bars: StageBars
) -> tuple[list[Candidate], SearchStageRecord]:
    run = Run(inputs, folder, "cpu", bars)
    found = search_supernet(run, scorer, open_record(Run(inputs, folder, "cpu", QUIET)))
    return found.candidates, found.record


def recorded(inputs: SearchInputs, folder: RunFolder) -> list[Candidate]:
    return open_record(Run(inputs, folder, "cpu", QUIET)).candidates()


def open_folder(path: Path, config: SearchConfig) -> RunFolder:
    return RunFolder.open(path, config)


@pytest.fixture(scope="module")
def undisturbed(inputs: SearchInputs, scorer: LocalScorer, tmp_path_factory) -> tuple[list[Candidate], Path]:
    folder = open_folder(tmp_path_factory.mktemp("run"), inputs.config)
    history, _ = run_search(inputs, scorer, folder, QUIET)
    return history, folder.journal


def test_every_generation_is_whole_recorded_and_returned(
    undisturbed: tuple[list[Candidate], Path], inputs: SearchInputs
):
    history, journal = undisturbed
    assert [c.generation for c in history] == [0] * 6 + [1] * 6 + [2] * 6
    assert [c.number for c in history] == list(range(18))
    assert recorded(inputs, RunFolder(journal.parent)) == history


def test_the_last_generation_counts(inputs: SearchInputs, scorer: LocalScorer, tmp_path):
    """Its candidates are like those before: a longer search begins with a shorter one and breeds from it."""
    shorter = replace(inputs, config=inputs.config.model_copy(update={"generations": 1}))
    first, stage = run_search(shorter, scorer, open_folder(tmp_path / "short", shorter.config), QUIET)
    assert len(first) == stage.candidates == 6
    longer, _ = run_search(inputs, scorer, open_folder(tmp_path / "long", inputs.config), QUIET)
    assert longer[:6] == first
    bred = {n for c in longer if c.generation == 1 for n in c.proposal.parents}
    within = sorted((c for c in first if inputs.fits(c.architecture)), key=Candidate.rank_key)
    front = best_layers(first, inputs.cost, inputs.config.parents or 0)
    assert bred <= {c.number for c in (*within[: inputs.config.parents], *front)}


def test_the_stage_says_what_it_cost(undisturbed: tuple[list[Candidate], Path], inputs: SearchInputs):
    _, journal = undisturbed
    stage = RunFolder(journal.parent).read_stage("search", SearchStageRecord)
    assert stage is not None
    assert stage.candidates == 18
    history, _ = undisturbed
    assert stage.images_without_racing == 18 * len(inputs.dataset.val)
    assert stage.images == sum(c.images for c in history)
    assert stage.dropped == sum(c.dropped for c in history)
    assert 0 < stage.image_passes_forward <= stage.images <= stage.images_without_racing
    assert stage.seconds > 0


def test_a_generation_is_read_and_not_scored_again(
    inputs: SearchInputs, undisturbed: tuple[list[Candidate], Path], scorer: LocalScorer, tmp_path
):
    class Refusing(LocalScorer):
        def score(self, *_: Any) -> Found:
            raise AssertionError("scored again")

    folder = open_folder(tmp_path / "run", inputs.config)
    first = undisturbed[1].parent / "generations"
    shutil.copytree(first, folder.path / "generations")
    history, _ = run_search(inputs, Refusing(scorer.folds, scorer.preprocessing), folder, QUIET)
    assert history == undisturbed[0]
    assert recorded(inputs, folder) == history


@pytest.mark.parametrize("at", sweep([0, 3, 6, 8, 12, 18], [8]))
def test_stopped_and_resumed_is_not_stopped(
    inputs: SearchInputs, scorer: LocalScorer, undisturbed: tuple[list[Candidate], Path], tmp_path, at: int
):
    folder = open_folder(tmp_path / "run", inputs.config)
    with pytest.raises(Stopped):
        run_search(inputs, scorer, folder, StoppingBars(at))
    assert folder.read_stage("search", SearchStageRecord) is None
    history, _ = run_search(inputs, scorer, folder, QUIET)
    assert history == undisturbed[0]


@pytest.mark.parametrize("trials", sweep([0, 1, 4, 6, 9, 17], [9]))
def test_a_kill_between_two_candidates_of_a_generation_changes_nothing(
    inputs: SearchInputs,
    scorer: LocalScorer,
    undisturbed: tuple[list[Candidate], Path],
    tmp_path,
    trials: int,
):
    history, journal = undisturbed
    folder = open_folder(tmp_path / "run", inputs.config)
    entries = journal.read_bytes().splitlines(keepends=True)
    written = [i for i, entry in enumerate(entries) if b'"user_attrs"' in entry]
    end = written[trials]
    folder.journal.write_bytes(b"".join(entries[:end]) + entries[end][:50])
    assert len(recorded(inputs, folder)) == trials
    resumed, _ = run_search(inputs, scorer, folder, QUIET)
    assert resumed == history


@pytest.mark.parametrize("name", sweep(["noah", "nsga2", "tpe", "random"]))
def test_every_searcher_goes_on_where_it_was_killed(
    inputs: SearchInputs, scorer: LocalScorer, tmp_path, name: str
):
    mended = "depth_only_mutation=false,uniform_samples=false" if name == "noah" else ""
    other = {"searcher": name, "searcher_options": mended, "parents": None}
    config = inputs.config.model_copy(update=other)
    of_searcher = replace(inputs, config=config)
    undisturbed = open_folder(tmp_path / "undisturbed", config)
    history, stage = run_search(of_searcher, scorer, undisturbed, QUIET)
    assert len(history) == 18
    assert stage.searcher["name"] == name
    killed = open_folder(tmp_path / "killed", config)
    with pytest.raises(Stopped):
        run_search(of_searcher, scorer, killed, StoppingBars(14))
    assert len(recorded(of_searcher, killed)) == 12
    assert run_search(of_searcher, scorer, killed, QUIET)[0] == history


def test_the_record_says_which_searcher_with_which_options(
    undisturbed: tuple[list[Candidate], Path], inputs: SearchInputs
):
    _, journal = undisturbed
    used = {"name": "evolution", "parents": 3, "mutation_probability": 0.1}
    record = open_record(Run(inputs, RunFolder(journal.parent), "cpu", QUIET))
    assert record.study.user_attrs["searcher"] == used
    stage = RunFolder(journal.parent).read_stage("search", SearchStageRecord)
    assert stage is not None
    assert stage.searcher == used


def test_a_finished_search_is_read(
    inputs: SearchInputs, scorer: LocalScorer, undisturbed: tuple[list[Candidate], Path], counting_bars
):
    history, journal = undisturbed
    before = RunFolder(journal.parent).read_stage("search", SearchStageRecord)
    bars = counting_bars()
    again, stage = run_search(inputs, scorer, RunFolder(journal.parent), bars)
    assert again == history
    assert stage == before
    assert bars.seen[-1] == (18, 18)
    assert {done for done, _ in bars.seen} == {0, 6, 12, 18}  # generation by generation, not scored


def test_a_small_space_ends_early(inputs: SearchInputs, scorer: LocalScorer, tmp_path):
    space = SearchSpace("small", 8, (("prompt_tokens", KindChoices((0, 1))),))
    budget = Budget(128, False, "128")  # one prompt in one of eight layers
    sampler = sampler_around(space, inputs.backbone.shape, 128)
    limits = {"sampler": sampler, "front_sampler": sampler, "front_limit": 128}
    small = replace(inputs, space=space, budget=budget, **limits)
    history, _ = run_search(small, scorer, open_folder(tmp_path / "run", small.config), QUIET)
    assert len(history) == 8
    assert {count_params(c.architecture, inputs.backbone.shape) for c in history} == {128}
