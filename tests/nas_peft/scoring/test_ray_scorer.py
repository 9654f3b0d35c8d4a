"""Candidates scored by several Ray workers: the losses of one process, to the last bit, whatever dies."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from simulated_gpu import bytes_in_use, simulated_gpu
from sweep import sweep

from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.ray_scorer import DEATHS, RayScorer, require_workers, scoring
from nas_peft.scoring.scorer import TOKENS, Fold, LocalScorer, Scorer, pass_size
from nas_peft.stages.search import open_record, search_supernet
from search_spaces import Architecture, InputError
from search_spaces.streams import stream
from supernet import Supernet

QUIET = StageBars(quiet=True)


@pytest.fixture(scope="module")
def folds(tiny_inputs: SearchInputs) -> list[Fold]:
    """Two supernets with modules that have an effect, each with images for several passes."""
    found = []
    for seed in (1, 2):
        network = Supernet(tiny_inputs.backbone.model, tiny_inputs.space.largest(), 3, seed=seed).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in network.layers.parameters():
                value.copy_(0.05 * torch.randn(value.shape, generator=generator))
        found.append(Fold(network, tiny_inputs.dataset.train))
    assert len(found[0].part) > 2 * pass_size(found[0].supernet)
    return found


@pytest.fixture(scope="module")
def local(tiny_inputs: SearchInputs, folds: list[Fold]) -> LocalScorer:
    return LocalScorer(folds, tiny_inputs.preprocessing)


BREAKS = """
from pathlib import Path
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.searching.searchers import register_searcher
from nas_peft.searching.searchers.random_search import RandomSearch

register_searcher("of_a_broken_gpu", RandomSearch)
scores = LocalScorer.score

def breaking(*args):
    try:
        Path({file!r}).unlink()
    except FileNotFoundError:
        return scores(*args)
    raise RuntimeError("CUDA error: an illegal memory access was encountered")

LocalScorer.score = breaking
"""


@pytest.fixture(scope="module")
def breaks_next(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that, while it exists, breaks the GPU of the worker of `two` that scores next."""
    return tmp_path_factory.mktemp("breaks") / "next"


@pytest.fixture(scope="module")
def two(
    tiny_inputs: SearchInputs, folds: list[Fold], ray_address: str, breaks_next: Path
) -> Iterator[RayScorer]:
    module = breaks_next.with_name("breaks.py")
    module.write_text(BREAKS.format(file=str(breaks_next)))
    with RayScorer(folds, tiny_inputs, workers=2, device="cpu", module_files=[module]) as scorer:
        yield scorer


@pytest.fixture(scope="module")
def architectures(tiny_inputs: SearchInputs) -> list[Architecture]:
    """More than are scored together."""
    rng = stream(0, "test architectures")
    return [tiny_inputs.space.sample(rng) for _ in range(34)]


def images_of(scorer: Scorer, fold: int) -> np.ndarray:
    return stream(0, "test images").permutation(scorer.sizes[fold])


@pytest.mark.parametrize("fold", sweep([0, 1]))
def test_workers_find_the_same_bits(
    local: LocalScorer, two: RayScorer, architectures: list[Architecture], fold: int
):
    assert two.sizes == local.sizes
    indices = images_of(local, fold)
    alone, shared = (s.score(fold, indices, architectures) for s in (local, two))
    assert np.array_equal(alone.losses, shared.losses)
    assert np.array_equal(alone.hits, shared.hits)
    assert alone.image_passes == shared.image_passes
    few = indices[:3]  # fewer than a pass: one worker does them
    assert np.array_equal(
        local.score(fold, few, architectures[:2]).losses, two.score(fold, few, architectures[:2]).losses
    )


@pytest.mark.thorough
def test_the_number_of_cores_changes_no_bit(local: LocalScorer, architectures: list[Architecture]):
    indices = images_of(local, 0)
    before = torch.get_num_threads()
    found = []
    try:
        for cores in (1, 2, 3):
            torch.set_num_threads(cores)
            found.append(local.score(0, indices, architectures[:6]).losses)
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_a_pass_on_a_cpu_is_small(folds: list[Fold]):
    assert 1 <= pass_size(folds[0].supernet) * folds[0].supernet.shape.tokens <= TOKENS


@pytest.mark.thorough
def test_a_dead_worker_is_replaced_and_its_share_done_again(
    local: LocalScorer, two: RayScorer, architectures: list[Architecture]
):
    import ray

    indices = images_of(local, 0)
    dead = two._workers[1]
    ray.kill(dead)
    found = two.score(0, indices, architectures[:4])
    assert np.array_equal(found.losses, local.score(0, indices, architectures[:4]).losses)
    assert two._workers[1] is not dead


def test_a_worker_that_ray_s_memory_monitor_kills_is_replaced(
    local: LocalScorer, two: RayScorer, architectures: list[Architecture], monkeypatch
):
    """Ray has an error of its own for that, which is none of an actor."""
    import ray

    indices, before, real = images_of(local, 0)[:4], list(two._workers), ray.get
    errors = [ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.")]

    def get(task):
        if errors:
            raise errors.pop()
        return real(task)

    monkeypatch.setattr(ray, "get", get)
    found = two.score(0, indices, architectures[:2])
    assert two._workers != before
    assert np.array_equal(found.losses, local.score(0, indices, architectures[:2]).losses)


@pytest.mark.thorough
def test_a_worker_whose_gpu_is_broken_ends_and_is_replaced(
    local: LocalScorer, two: RayScorer, architectures: list[Architecture], breaks_next: Path
):
    indices, before = images_of(local, 0)[:4], list(two._workers)
    breaks_next.touch()
    found = two.score(0, indices, architectures[:2])
    assert not breaks_next.exists()
    assert two._workers != before
    assert np.array_equal(found.losses, local.score(0, indices, architectures[:2]).losses)


@pytest.mark.thorough
def test_a_search_of_two_workers_is_that_of_one_also_when_it_goes_on(
    tiny_inputs: SearchInputs, local: LocalScorer, two: RayScorer, tmp_path: Path
):
    def run(scorer: Scorer, name: str) -> Path:
        folder = RunFolder.open(tmp_path / name, tiny_inputs.config)
        searched = Run(tiny_inputs, folder, "cpu", QUIET)
        search_supernet(searched, scorer, open_record(searched))
        return folder.path / "generations"

    one, other = run(local, "one"), run(two, "two")
    (other / "001.safetensors").unlink()  # as if it had been stopped before
    (tmp_path / "two" / "stages" / "search.json").unlink()
    run(two, "two")
    files = sorted(file.name for file in one.iterdir())
    assert files == sorted(file.name for file in other.iterdir()) == ["000.safetensors", "001.safetensors"]
    for name in files:
        first, second = (load_file(folder / name)["losses"] for folder in (one, other))
        assert np.array_equal(first, second, equal_nan=True)
    assert candidates(tmp_path / "one", tiny_inputs) == candidates(tmp_path / "two", tiny_inputs)


def candidates(folder: Path, inputs: SearchInputs) -> list[dict]:
    record = open_record(Run(inputs, RunFolder(folder), "cpu", QUIET))
    return [c.to_dict() for c in record.candidates()]


@pytest.mark.usefixtures("ray_address")
def test_the_searching_process_leaves_its_gpu_to_the_workers(tiny_inputs: SearchInputs, monkeypatch):
    with simulated_gpu(monkeypatch):
        model = copy.deepcopy(tiny_inputs.backbone.model).to("cuda")
        fold = Fold(Supernet(model, tiny_inputs.space.largest(), 3), tiny_inputs.dataset.val)
        assert bytes_in_use() > 0
        with RayScorer([fold], tiny_inputs, workers=1, device="cuda"):
            assert bytes_in_use() == 0


def test_one_worker_is_this_process(tiny_inputs: SearchInputs, folds: list[Fold], tmp_path: Path):
    with scoring(Run(tiny_inputs, RunFolder(tmp_path), "cpu", QUIET), folds) as scorer:
        assert isinstance(scorer, LocalScorer)


@pytest.mark.parametrize(("workers", "words"), [(0, "give 1 or more"), (10**6, "cores; give at most")])
def test_as_many_workers_as_there_are_cores(workers: int, words: str):
    with pytest.raises(InputError, match=words):
        require_workers(workers, "cpu", RayOptions())


def test_workers_that_keep_dying_are_an_error(two: RayScorer, architectures: list[Architecture], monkeypatch):
    import ray

    real = two._new_worker

    def dying():
        worker = real()
        ray.kill(worker)
        return worker

    monkeypatch.setattr(two, "_new_worker", dying)
    monkeypatch.setattr(two, "_deaths", DEATHS - 1)
    ray.kill(two._workers[0])
    with pytest.raises(InputError, match=r"scoring workers have died.*fewer --workers"):
        two.score(0, images_of(two, 0), architectures[:2])
