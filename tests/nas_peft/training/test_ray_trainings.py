"""Trainings on Ray: what they give, what is kept, and what is left of one that fails or is stopped."""

import os
import re
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.rows import Row, baseline_rows
from nas_peft.run.json_file import write_json
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training import ray_tasks
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import run_training
from search_spaces import Architecture, InputError
from supernet import Recipe

pytestmark = pytest.mark.usefixtures("ray_address")

ROWS = [
    Row("lora_rank-2", "single", "subnet", Architecture.uniform(8, "lora_rank", 2)),
    *baseline_rows(SearchConfig.of(dataset="digits"), 8),
]
PROBE = Recipe(epochs=2, lr=1e-2, batch_size=16)


def run(
    folder: RunFolder, shared: TrainingInputs, trainings: Sequence[Training]
) -> tuple[list[TrainingRecord], int]:
    """The records, and how often the caller was told of one."""
    ticks: list[int] = []
    with RayTrainings(folder, shared, device="cpu") as runner:
        records = runner.run(trainings, lambda: ticks.append(1))
    return [without_seconds(r) for r in records], len(ticks)


def without_seconds(record: TrainingRecord) -> TrainingRecord:
    curve = record.curve and replace(record.curve, seconds=0.0)
    return replace(record, curve=curve, peak_memory=None)


def files_of(training: Training) -> set[str]:
    """Names of the files that a training leaves which was scored on the validation set."""
    return {f"{training.key}.json", f"{training.key}.val.safetensors"}


def test_a_final_model_is_trained_again_if_its_weights_are_gone_and_a_stopped_training_is_not(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    (first, *_) = ROWS[0].trainings(tiny_config, PROBE, [0], "train_val")
    run(folder, shared, [first])
    weights = folder.path / "trainings" / f"{first.key}.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    run(folder, shared, [first])
    assert weights.read_bytes() == before
    stopped = replace(first, on="train", keep=True)
    with RayTrainings(folder, shared, device="cpu") as runner:
        (record,) = runner.run([stopped], lambda: None)
        early = folder.path / "trainings" / f"{stopped.key}.json"
        write_json(early, replace(record, stopped_at=1).to_dict())
        runner.forget([stopped])
        (again,) = runner.run([stopped], lambda: None)
    assert again.stopped_at == 1


def all_trainings(config: SearchConfig, on: Any = "train") -> list[Training]:
    return [t for row in ROWS for t in row.trainings(config, PROBE, [0, 1], on)]


def test_records_come_in_order_and_stay_in_the_folder(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    import ray

    trainings = all_trainings(tiny_config)
    records, ticks = run(folder, shared, trainings)
    assert [(r.training.name, r.seed) for r in records] == [(t.name, t.seed) for t in trainings]
    assert ticks == 6
    files = sorted(p.name for p in (folder.path / "trainings").iterdir())
    assert files == sorted(name for t in trainings for name in files_of(t))
    assert ray.is_initialized()  # it was the caller's


def test_what_is_in_the_folder_is_not_trained_again(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = [t for row in ROWS[1:] for t in row.trainings(tiny_config, PROBE, [0], "train_val")]
    records, _ = run(folder, shared, trainings)
    before = {p: p.stat().st_mtime_ns for p in (folder.path / "trainings").iterdir()}
    unusable = replace(shared, classes=-1)
    again, ticks = run(folder, unusable, trainings)
    assert again == records
    assert [r.training.name for r in again] == ["linear", "full"]
    assert ticks == 2
    assert {p: p.stat().st_mtime_ns for p in (folder.path / "trainings").iterdir()} == before


@pytest.mark.thorough
def test_a_training_that_is_alone_left_gives_what_it_gave_in_company(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    longer = tiny_config.model_copy(update={"epochs": (3,), "full_lr": 5e-3})
    trainings = all_trainings(longer)
    records, _ = run(folder, shared, trainings)
    last = trainings[-1]  # full fine-tuning: with more threads its sums would differ in their last bits
    (folder.path / "trainings" / f"{last.key}.json").unlink()
    again, _ = run(folder, shared, trainings)
    assert again == records


def test_a_final_model_leaves_its_tensors(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = ROWS[0].trainings(tiny_config, PROBE, [0, 1], "train_val")
    with RayTrainings(folder, shared, device="cpu") as runner:
        records = runner.run(trainings, lambda: None)
        first, second = (runner.tensors(training) for training in trainings)
    assert [record.val for record in records] == [None, None]
    assert sum(t.numel() for t in first.values()) == 2 * 4 * 128 * 8 + 128 * 3 + 3
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_ray_computes_what_a_direct_call_does(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = [row.trainings(tiny_config, PROBE, [0], "train")[0] for row in ROWS]
    records, _ = run(folder, shared, trainings)
    for training, record in zip(trainings, records, strict=True):
        direct, _ = run_training(training, shared, "cpu")
        assert record.val.loss == pytest.approx(direct.val.loss, rel=1e-4)
        assert record.curve.losses == pytest.approx(direct.curve.losses, rel=1e-4)
        assert record.images.losses == pytest.approx(direct.images.losses, rel=1e-3, abs=1e-4)
        assert record.images.losses.mean() == pytest.approx(record.val.loss, rel=1e-5)
        assert record.images.hits.mean() == pytest.approx(record.val.accuracy)


@pytest.mark.usefixtures("running_ray")
def test_the_scores_of_images_are_read_back_and_a_training_that_lost_them_is_repeated(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = ROWS[1].trainings(tiny_config, PROBE, [0, 1], "train")
    first, _ = run(folder, shared, trainings)
    of = {t.seed: folder.path / "trainings" / f"{t.key}.val.safetensors" for t in trainings}
    kept = of[0].stat().st_mtime_ns
    of[1].unlink()
    again, _ = run(folder, shared, trainings)
    assert of[1].is_file()
    assert of[0].stat().st_mtime_ns == kept
    assert [record.images for record in again] == [record.images for record in first]
    assert first[0].images.labels.tolist() == shared.val.labels.tolist()


def test_a_training_that_fails_is_reported_and_the_others_go_on(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    wild = tiny_config.model_copy(update={"lr": 1e30})
    failing = ROWS[0].trainings(wild, PROBE, [0, 1], "train")
    good = ROWS[1].trainings(tiny_config, PROBE, [0], "train")
    ticks: list[int] = []
    with RayTrainings(folder, shared, device="cpu") as runner:
        first, second, other = runner.run([*failing, *good], lambda: ticks.append(1))
    for record, training in ((first, failing[0]), (second, failing[1])):
        assert re.search(r"the loss is .*learning rate .*lower learning rate", record.error)
        assert record == TrainingRecord.failed(training, record.error)
    assert other.error is None
    assert other.val.loss > 0
    assert len(ticks) == 3
    assert {file.name for file in (folder.path / "trainings").iterdir()} == files_of(good[0])


LOGGING_FILE = """
import os
from pathlib import Path
from nas_peft.searching.searchers import register_searcher
from nas_peft.searching.searchers.random_search import RandomSearch

with Path({log!r}).open("a") as log:
    log.write(f"{{os.getpid()}}\\n")

register_searcher("logging_{name}", RandomSearch)
{more}
"""


class Workers:
    """A module file that writes down each process that imports it, whose source is gone by then."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self._log = folder / "processes"
        self.file = folder / "logging_file.py"
        self.file.write_text(LOGGING_FILE.format(log=str(self._log), name=folder.name, more=more))

    def processes(self) -> list[int]:
        return [int(line) for line in self._log.read_text().split()] if self._log.exists() else []


@pytest.mark.thorough
def test_workers_go_on_to_other_trainings_and_stages(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig, tmp_path: Path
):
    workers = Workers(tmp_path)
    with RayTrainings(folder, shared, device="cpu", module_files=[workers.file]) as runner:
        workers.file.unlink()  # as on a machine that never had it
        for on in ("train", "train_val"):
            records = runner.run(all_trainings(tiny_config, on), lambda: None)
            assert [record.error for record in records] == [None] * 6
    processes = workers.processes()
    assert len(set(processes)) == len(processes) <= 2  # 12 trainings
    assert os.getpid() not in processes


def test_a_killed_worker_changes_nothing_and_leaves_no_state(
    folder: RunFolder,
    shared: TrainingInputs,
    tiny_config: SearchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("nas_peft.training.training_worker.SAVE_EVERY", 0.0)
    config = tiny_config.model_copy(update={"epochs": (5,)})
    trainings = ROWS[0].trainings(config, PROBE, [0], "train")
    workers, killed = Workers(tmp_path), []

    def kill() -> None:
        state = folder.path / "trainings" / f"{trainings[0].key}.state.pt"
        deadline = time.monotonic() + 120
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        killed.extend(workers.processes())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    one = RayOptions(cpus_per_trial=1)
    with RayTrainings(folder, shared, device="cpu", module_files=[workers.file], ray_options=one) as runner:
        (disturbed,) = runner.run(trainings, lambda: None)
    killer.join()
    assert len(killed) == 1
    assert len(workers.processes()) == 2
    assert {file.name for file in (folder.path / "trainings").iterdir()} == files_of(trainings[0])
    (folder.path / "trainings" / f"{trainings[0].key}.json").unlink()
    with RayTrainings(folder, shared, device="cpu", ray_options=one) as runner:
        (undisturbed,) = runner.run(trainings, lambda: None)
    assert without_seconds(disturbed) == without_seconds(undisturbed)


@pytest.mark.thorough
def test_a_training_whose_workers_all_die_is_reported(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig, tmp_path: Path, monkeypatch
):
    assert ray_tasks.MAX_FAILURES == 2
    monkeypatch.setattr(ray_tasks, "MAX_FAILURES", 1)  # each takes seconds
    workers = Workers(tmp_path, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    (training,) = ROWS[1].trainings(tiny_config, PROBE, [0], "train")
    with RayTrainings(folder, shared, device="cpu", module_files=[workers.file]) as runner:
        (record,) = runner.run([training], lambda: None)
    assert len(set(workers.processes())) == 2
    assert re.match(r"the worker died 2 times; last error: .*The worker died unexpectedly", record.error)
    assert record.curve is None
    assert list((folder.path / "trainings").iterdir()) == []


@pytest.mark.thorough
def test_ray_says_nothing_and_leaves_nothing(
    folder: RunFolder,
    shared: TrainingInputs,
    tiny_config: SearchConfig,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    environment, handlers = dict(os.environ), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGUSR1)]
    run(folder, shared, ROWS[1].trainings(tiny_config, PROBE, [0], "train"))
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {p.name for p in folder.path.iterdir()} == {"config.yaml", "stages", "trainings"}
    assert dict(os.environ) == environment
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGUSR1)] == handlers


def test_a_stage_of_one_training_may_be_given_its_cores(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    (training,) = ROWS[1].trainings(tiny_config, PROBE, [0], "train")
    for cpus, message in ((0, "cpus_per_trial is 0"), (999, "the largest machine of Ray has")):
        with (
            pytest.raises(InputError, match=message),
            RayTrainings(folder, shared, device="cpu", ray_options=RayOptions(cpus_per_trial=cpus)) as runner,
        ):
            runner.run([training], lambda: None)
    with RayTrainings(folder, shared, device="cpu", ray_options=RayOptions(cpus_per_trial=1)) as runner:
        (record,) = runner.run([training], lambda: None)
    assert record.error is None


@pytest.mark.thorough
def test_a_pack_gives_the_records_of_one_after_another_killed_or_not(
    folder: RunFolder,
    shared: TrainingInputs,
    tiny_config: SearchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("nas_peft.training.training_worker.SAVE_EVERY", 0.0)
    config = tiny_config.model_copy(update={"epochs": (5,)})
    small = Row("lora_rank-1", "single", "subnet", Architecture.uniform(8, "lora_rank", 1))
    trainings = [t for row in (small, ROWS[0]) for t in row.trainings(config, PROBE, [0, 1], "train")]
    trainings += ROWS[1].trainings(config, PROBE, [0], "train")
    files = [folder.path / "trainings" / f"{training.key}.json" for training in trainings]
    workers = Workers(tmp_path)
    killer = threading.Thread(target=kill_one, args=(workers, folder.path / "trainings"))
    killer.start()
    one = RayOptions(cpus_per_trial=1)
    modules = [workers.file]
    with RayTrainings(folder, shared, device="cpu", module_files=modules, ray_options=one, pack=4) as runner:
        packed = runner.run(trainings, lambda: None)
    killer.join()
    kept = {file.name for file in (folder.path / "trainings").iterdir()}
    assert kept == {name for training in trainings for name in files_of(training)}
    for file in files:
        file.unlink()
    with RayTrainings(folder, shared, device="cpu", ray_options=one, pack=1) as runner:
        alone = runner.run(trainings, lambda: None)
    for record, expected in zip(packed, alone, strict=True):
        assert record.training == expected.training
        assert record.curve is not None
        assert expected.curve is not None
        assert record.curve.losses == pytest.approx(expected.curve.losses, abs=1e-4)
        assert record.val_score().loss == pytest.approx(expected.val_score().loss, abs=1e-4)


def kill_one(workers: Workers, folder: Path) -> None:
    """Kill a worker when all four trainings of the pack have a state."""
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*lora*.state.pt"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(workers.processes()[0], signal.SIGKILL)


BROKEN_ONCE = """
if len(Path({log!r}).read_text().split()) == 1:
    from nas_peft.training import within_memory

    def broken(*args, **options):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    within_memory.run_training = broken
"""


@pytest.mark.thorough
def test_a_worker_whose_gpu_is_broken_ends_and_its_training_is_repeated(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig, tmp_path: Path
):
    workers = Workers(tmp_path, BROKEN_ONCE.format(log=str(tmp_path / "processes")))
    (training,) = ROWS[0].trainings(tiny_config, PROBE, [0], "train")
    with RayTrainings(folder, shared, device="cpu", module_files=[workers.file]) as runner:
        (record,) = runner.run([training], lambda: None)
    assert len(set(workers.processes())) == 2
    assert record.error is None
    assert without_seconds(record).curve == without_seconds(run_training(training, shared, "cpu")[0]).curve


@pytest.mark.thorough
def test_what_the_caller_raises_comes_out_and_ray_is_free_again(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    import ray

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    config = tiny_config.model_copy(update={"epochs": (10_000,)})
    long = ROWS[0].trainings(config, PROBE, [0], "train")
    short = ROWS[1].trainings(tiny_config, PROBE, [0], "train")
    with RayTrainings(folder, shared, device="cpu") as runner, pytest.raises(Stopped):
        runner.run([*long, *short], stop)
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
