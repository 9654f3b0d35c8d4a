"""A supernet that a worker of Ray trains: that of this process, also when the worker dies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sweep import sweep

from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.ray_scorer import RayScorer, scoring
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.stages import supernet_on_ray
from nas_peft.stages.supernet import train_supernets
from nas_peft.stages.supernet_on_ray import train_on_ray
from nas_peft.stages.supernet_parts import supernet_trainings
from search_spaces import InputError

pytestmark = pytest.mark.slow
QUIET = StageBars(quiet=True)
ONE_CORE = RayOptions(cpus_per_trial=1)


@pytest.fixture(scope="module")
def features(tiny_inputs: SearchInputs) -> torch.Tensor:
    """Of no meaning: the head is trained on them first, here and there alike."""
    data = tiny_inputs.dataset
    return torch.randn(len(data.train) + len(data.val), 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def here(tiny_inputs: SearchInputs, features: torch.Tensor, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights that this process trains, on one thread as the worker has one."""
    folder = RunFolder.open(tmp_path / "here", tiny_inputs.config)
    train_supernets(Run(tiny_inputs, folder, "cpu", QUIET), features)
    return load_file(folder.path / "supernet.safetensors")


def trained_on_ray(inputs: SearchInputs, features: torch.Tensor, folder: RunFolder) -> tuple[Any, list[int]]:
    (recipe,) = inputs.config.supernet_recipes()
    ((training, _),) = supernet_trainings(inputs, features, folder, recipe)
    epochs: list[int] = []
    curve, _ = train_on_ray(training, folder.path, device="cpu", ray_options=ONE_CORE, on_epoch=epochs.append)
    return curve, epochs


def test_a_worker_trains_the_supernet_of_this_process(
    tiny_inputs: SearchInputs,
    features: torch.Tensor,
    here: dict[str, torch.Tensor],
    tmp_path: Path,
    ray_address,
):
    folder = RunFolder.open(tmp_path / "there", tiny_inputs.config)
    curve, epochs = trained_on_ray(tiny_inputs, features, folder)
    assert epochs == [1, 2]
    assert len(curve.losses) == 2
    there = load_file(folder.path / "supernet.safetensors")
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], value) for name, value in here.items())


@pytest.mark.thorough
def test_workers_of_a_cluster_train_together_the_supernet_of_this_process(
    tiny_inputs: SearchInputs,
    features: torch.Tensor,
    here: dict[str, torch.Tensor],
    tmp_path: Path,
    ray_address: str,
):
    config = tiny_inputs.config.model_copy(update={"data_parallel": 2})
    folder = RunFolder.open(tmp_path / "run", config)
    ray = RayOptions(ray_address, cpus_per_trial=1)
    found = train_supernets(Run(tiny_inputs.with_config(config), folder, "cpu", QUIET, ray), features)
    assert len(found.record.supernets[0].losses) == 2
    there = load_file(folder.path / "supernet.safetensors")
    assert there.keys() == here.keys()
    for name, value in here.items():  # Adam enlarges what rounding changes
        torch.testing.assert_close(there[name], value, rtol=1e-3, atol=2e-4)
    assert not all(torch.equal(there[name], value) for name, value in here.items())  # they added up halves


@pytest.mark.thorough
def test_a_run_with_gpus_elsewhere_trains_and_scores_there(
    tiny_inputs: SearchInputs, features: torch.Tensor, tmp_path: Path, ray_address, monkeypatch
):
    """The same way as on a cluster with GPUs; its workers are told to compute on the CPU."""
    used: list[str] = []

    def on_cpu(*args: Any, device: str, **others: Any) -> Any:
        used.append(device)
        return train_on_ray(*args, device="cpu", **others)

    monkeypatch.setattr("nas_peft.stages.trained_supernet.train_on_ray", on_cpu)
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config)
    run = Run(tiny_inputs, folder, "cpu", QUIET, ONE_CORE, worker_device="cuda")
    found = train_supernets(run, features)
    assert used == ["cuda"]
    assert found.folds[0].supernet.head.weight.device.type == "cpu"

    def scorer_on_cpu(*args: Any, device: str, **others: Any) -> RayScorer:
        used.append(device)
        return RayScorer(*args, device="cpu", **others)

    monkeypatch.setattr("nas_peft.scoring.ray_scorer.RayScorer", scorer_on_cpu)
    subnets, images = [tiny_inputs.space.largest()], np.arange(4)
    with scoring(run, found.folds) as scorer:
        losses = scorer.score(0, images, subnets).losses
    assert used == ["cuda", "cuda"]
    here = LocalScorer(found.folds, tiny_inputs.preprocessing).score(0, images, subnets)
    assert np.array_equal(losses, here.losses)


EXIT = "os._exit(1)"
BROKEN = """
from nas_peft.searching.searchers import register_searcher
from nas_peft.searching.searchers.random_search import RandomSearch
from nas_peft.stages import supernet_training

register_searcher("of_a_broken_gpu", RandomSearch)

def broken(*args, **options):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")

supernet_training.train = broken
"""


@pytest.mark.thorough
@pytest.mark.parametrize("end", sweep([EXIT, BROKEN]), ids=["killed", "broken GPU"])
def test_a_worker_that_dies_is_replaced_until_too_many_have(
    tiny_inputs: SearchInputs, features: torch.Tensor, tmp_path: Path, ray_address, monkeypatch, end: str
):
    assert supernet_on_ray.ATTEMPTS == 3
    monkeypatch.setattr(supernet_on_ray, "ATTEMPTS", 2)  # each takes seconds
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config)
    deadly = tmp_path / "deadly.py"
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    deadly.write_text(f"import os, tempfile\ntempfile.mkstemp(dir={str(deaths)!r})\n{end}\n")
    (recipe,) = tiny_inputs.config.supernet_recipes()
    ((training, _),) = supernet_trainings(tiny_inputs, features, folder, recipe)
    object.__setattr__(training, "module_files", (deadly,))
    with pytest.raises(InputError, match=r"died 2 times .*--micro-batches"):
        train_on_ray(training, folder.path, device="cpu", ray_options=ONE_CORE, on_epoch=lambda epoch: None)
    assert len(list(deaths.iterdir())) == 2
