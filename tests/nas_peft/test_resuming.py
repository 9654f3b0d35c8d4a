"""Killed and resumed is not killed: one run that is stopped in every stage, beside the undisturbed one."""

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas_peft.main_job import search
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import Advance, StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.searching.candidate import Candidate
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.search import open_record
from search_spaces import InputError
from supernet import read_header

FULL = Path("/dev/full")

KILLED = """
import functools, json, os, signal, sys
from contextlib import contextmanager
from pathlib import Path
import torch
import nas_peft.stages.supernet_training as stage
from nas_peft.settings.search_config import SearchConfig
from nas_peft.run.progress import StageBars
from nas_peft.main_job import search

class KillingBars(StageBars):
    def __init__(self, stage, steps):
        super().__init__(quiet=True)
        self.killed_in, self.steps = stage, steps

    @contextmanager
    def stage(self, name):
        def advance(done, total):
            if name.startswith(self.killed_in) and done >= self.steps:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

# Saves the state after every epoch rather than after 15 seconds, which this training does not take.
stage.train = functools.partial(stage.train, save_every=0.0)
config, out, stage_name, steps, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)  # sums depend on it in their last bits
search(SearchConfig(**config), Path(out), device="cpu", bars=KillingBars(stage_name, steps))
"""


class Stopped(Exception):
    """Raised in place of a kill."""


class StoppingBars(StageBars):
    """Stops the run in the stage ``name`` when that many steps are done; keeps the names of the stages."""

    def __init__(self, name: str = "", at: int = 0) -> None:
        super().__init__(quiet=True)
        self.name = name
        self.at = at
        self.steps: dict[str, list[int]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        steps = self.steps.setdefault(name, [])

        def advance(done: int, total: int) -> None:
            steps.append(done)
            if self.name and name.startswith(self.name) and done >= self.at:
                raise Stopped

        yield advance


KilledIn = Callable[[str, int, Path], None]


@pytest.fixture(scope="module")
def killed_in(tiny_config: SearchConfig, running_ray: str, run_program: Callable[..., Any]) -> KilledIn:
    """Runs in processes of their own, which end by SIGKILL in a stage and train on the running Ray."""
    environment = os.environ | {"RAY_ADDRESS": running_ray}

    def killed(stage: str, steps: int, out: Path) -> None:
        what = json.dumps([tiny_config.to_dict(), str(out), stage, steps, torch.get_num_threads()])
        done = run_program("-c", KILLED, what, env=environment)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return killed


def stopped_in(stage: str, at: int, config: SearchConfig, out: Path) -> StoppingBars:
    bars = StoppingBars(stage, at)
    with pytest.raises(Stopped):
        search(config, out, device="cpu", bars=bars)
    return bars


def recorded(inputs: SearchInputs, run: Path) -> list[Candidate]:
    return open_record(Run(inputs, RunFolder(run), "cpu", StageBars(quiet=True))).candidates()


def same_part(value: Any) -> Any:
    """Without what may differ between equal runs: seconds, the time of day, the folder."""
    if isinstance(value, dict):
        return {
            k: same_part(v)
            for k, v in value.items()
            if k not in ("seconds", "opened_at", "run", "peak_memory")
        }
    return [same_part(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def resumed_run(tiny_config: SearchConfig, tmp_path_factory, killed_in: KilledIn) -> SearchResult:
    """The tiny run, stopped in each of its stages; the assertions say how far it was each time."""
    out = tmp_path_factory.mktemp("runs") / "disturbed"

    killed_in("supernet", 1, out)
    assert (out / "supernet.state.pt").is_file()
    assert not (out / "supernet.safetensors").exists()

    killed_in("search", 8, out)
    assert (out / "supernet.safetensors").is_file()
    assert not (out / "supernet.state.pt").exists()
    journal = out / "study.journal"
    entries = journal.read_bytes().splitlines(keepends=True)
    assert sum(b'"user_attrs"' in entry for entry in entries) == 6  # the first generation
    journal.write_bytes(b"".join(entries[:-3]) + entries[-3][:99])  # killed while it was written

    killed_in("retraining", 2, out)
    assert (out / "stages" / "search.json").is_file()
    assert 2 <= len(list((out / "trainings").glob("*.train.*.json"))) < 7

    bars = stopped_in("final training", 3, tiny_config, out)
    assert bars.steps["supernet (epochs)"] == [0, 2]  # read, not trained
    assert set(bars.steps["search (candidates)"]) == {0, 6, 12}  # generation by generation
    assert 3 <= len(list((out / "trainings").glob("*.train_val.*.json"))) < 7

    bars = stopped_in("test", 2, tiny_config, out)
    assert bars.steps["final training (models)"][-1] == 7
    assert (out / "stages" / "test.json").is_file()

    if FULL.exists():
        (out / "results.json.partial").symlink_to(FULL)
        with pytest.raises(OSError, match="No space left") as caught:
            search(tiny_config, out, device="cpu")
        assert caught.value.errno == errno.ENOSPC
    assert not (out / "results.json").exists()

    return search(tiny_config, out, device="cpu")


@pytest.mark.thorough
def test_the_result_is_that_of_the_undisturbed_run(resumed_run: SearchResult, finished_run: SearchResult):
    assert same_part(resumed_run.model_dump()) == same_part(finished_run.model_dump())


@pytest.mark.thorough
def test_the_candidates_are_those_of_the_undisturbed_run(
    resumed_run: SearchResult, finished_run: SearchResult, tiny_inputs: SearchInputs
):
    disturbed, undisturbed = (recorded(tiny_inputs, Path(run.run)) for run in (resumed_run, finished_run))
    assert disturbed == undisturbed
    assert len(disturbed) == 12


@pytest.mark.thorough
@pytest.mark.parametrize("file", ["supernet.safetensors", "config.yaml", "stages/inputs.json"])
def test_the_files_are_those_of_the_undisturbed_run(
    resumed_run: SearchResult, finished_run: SearchResult, file: str
):
    assert (Path(resumed_run.run) / file).read_bytes() == (Path(finished_run.run) / file).read_bytes()


@pytest.mark.thorough
def test_the_exported_subnet_is_that_of_the_undisturbed_run(
    resumed_run: SearchResult, finished_run: SearchResult
):
    files = [Path(run.run) / "subnet.safetensors" for run in (resumed_run, finished_run)]
    headers = [read_header(file) for file in files]
    assert headers[0] == headers[1]
    disturbed, undisturbed = (load_file(file) for file in files)
    assert disturbed.keys() == undisturbed.keys()
    assert all(torch.equal(disturbed[name], value) for name, value in undisturbed.items())


@pytest.mark.thorough
def test_nothing_half_written_is_left(resumed_run: SearchResult):
    left = [p.name for p in Path(resumed_run.run).rglob("*") if p.suffix in (".partial", ".lock", ".pt")]
    assert left == []


@pytest.mark.thorough
def test_the_test_part_is_not_opened_for_another_decision(
    resumed_run: SearchResult, tiny_config: SearchConfig
):
    out = Path(resumed_run.run)
    (out / "results.json").unlink()
    record = out / "stages" / "test.json"
    frozen = read_json(record)
    assert frozen is not None
    changed = frozen | {"decision": frozen["decision"] | {"exported": "linear"}}
    try:
        write_json(record, changed)
        with pytest.raises(RuntimeError, match=r"was opened at .* for another decision"):
            search(tiny_config, out, device="cpu")
        assert not (out / "results.json").exists()
    finally:
        write_json(record, frozen)
        search(tiny_config, out, device="cpu")


@pytest.mark.thorough
def test_another_seed_searches_elsewhere(
    finished_run: SearchResult, tiny_values: dict[str, Any], tiny_inputs: SearchInputs, tmp_path
):
    config = SearchConfig.of(**tiny_values | {"seed": 1}).on("cpu")
    stopped_in("retraining", 0, config, tmp_path / "run")
    undisturbed = Path(finished_run.run)
    supernets = [(run / "supernet.safetensors").read_bytes() for run in (undisturbed, tmp_path / "run")]
    assert supernets[0] != supernets[1]
    other = SearchInputs.load(config, StageBars(quiet=True))  # the seed splits the data, too
    first, second = recorded(tiny_inputs, undisturbed), recorded(other, tmp_path / "run")
    assert {c.loss for c in first}.isdisjoint({c.loss for c in second})


def test_data_that_changed_since_the_kill_is_refused(
    tiny_values: dict[str, Any], write_striped_images: Callable[[Path], Path], tmp_path
):
    folder = write_striped_images(tmp_path / "stripes")
    config = SearchConfig.of(**tiny_values | {"dataset": str(folder)})
    stopped_in("supernet", 1, config, tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    (folder / "down" / "03.png").unlink()
    with pytest.raises(InputError, match=r"started with another dataset .* changed since"):
        search(config, tmp_path / "run", device="cpu")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before
