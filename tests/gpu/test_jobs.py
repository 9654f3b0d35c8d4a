"""Whole searches on a GPU, and trainings that share one; they need Ray, Optuna and pydantic."""

import pytest

for name in ("ray", "optuna", "pydantic"):
    pytest.importorskip(name, reason=f"whole searches and separate trainings need {name}")

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from in_process import InProcess, left_on_the_gpu  # noqa: E402
from noise_task import noise_values, search_in_process, write_noise  # noqa: E402

from nas_peft.machine.ray_session import RayOptions  # noqa: E402
from nas_peft.main_job import search  # noqa: E402
from nas_peft.run.progress import StageBars  # noqa: E402
from nas_peft.run.results import SearchResult  # noqa: E402
from nas_peft.run.run_folder import RunFolder  # noqa: E402
from nas_peft.run.search_inputs import SearchInputs  # noqa: E402
from nas_peft.settings.search_config import SearchConfig  # noqa: E402
from nas_peft.training.ray_trainings import RayTrainings  # noqa: E402
from nas_peft.training.training import Training  # noqa: E402
from nas_peft.training.trainings import run_training  # noqa: E402
from search_spaces import Architecture  # noqa: E402
from supernet import Recipe  # noqa: E402


@pytest.fixture
def run(gpu: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., SearchResult]:
    """Runs a whole search: on a real GPU the command's own, else with its trainings in this process."""
    if gpu == "simulated":
        return search_in_process(monkeypatch, tmp_path)
    values = noise_values(write_noise(tmp_path / "noise"))

    def whole(device: str, **changes: object) -> SearchResult:
        return search(SearchConfig.of(**values | changes), tmp_path / device, device=device)

    return whole


@pytest.mark.thorough
def test_a_whole_search_ends_near_that_of_a_cpu(run: Callable[..., SearchResult]):
    """Soups, inherited starts, the test set and the export included; the choice may be another one.

    Where separate trainings begin, the searching process has left the GPU to them.
    """
    more = {"soup": 2, "baselines": "linear", "start": "pretrained,inherited", "precision": "fp32"}
    left_on_the_gpu.clear()
    found, expected = run("cuda", **more), run("cpu", **more)
    assert not any(left_on_the_gpu)
    assert found.environment["device"] == torch.cuda.get_device_name()
    assert (Path(found.run) / "subnet.safetensors").exists()
    of_cpu = {row.name: row for row in expected.rows}
    for row in found.rows:
        assert row.seeds
        if row.name in of_cpu and row.group == "single":
            assert row.seeds[0].val_loss == pytest.approx(of_cpu[row.name].seeds[0].val_loss, rel=1e-3)


def test_a_whole_search_runs_in_bf16_and_without_retraining(run: Callable[..., SearchResult]):
    found = run("cuda", no_retrain=True, retrain=3, folds=2)
    assert found.config["precision"] == "bf16"
    assert found.selected.tested


@pytest.mark.thorough
def test_trainings_that_share_a_gpu_end_as_alone(gpu: str, tmp_path: Path):
    """As with ``--gpus-per-trial 0.5``."""
    config = SearchConfig.of(**noise_values(write_noise(tmp_path / "noise")), precision="fp32").on("cuda")
    inputs = SearchInputs.load(config, StageBars(quiet=True))
    lora = Architecture.uniform(inputs.backbone.depth, "lora_rank", 2)
    recipe = Recipe(epochs=1, lr=1e-3, batch_size=16)
    trainings = [Training(f"t{seed}", "subnet", lora, recipe, None, seed, "train") for seed in (0, 1)]
    shared = inputs.for_trainings(torch.empty(0))
    if gpu == "simulated":
        runner: InProcess | RayTrainings = InProcess(shared, "cuda", pack=1)
    else:
        folder = RunFolder.open(tmp_path / "run", config)
        runner = RayTrainings(
            folder, shared, device="cuda", ray_options=RayOptions(gpus_per_trial=0.5), pack=1
        )
    with runner:
        records = runner.run(trainings, lambda: None)
    for training, record in zip(trainings, records, strict=True):
        alone, _ = run_training(training, shared, "cuda")
        assert record.error is None
        assert record.val_score().loss == pytest.approx(alone.val_score().loss, rel=1e-4)
