"""Early stopping: who competes, what is stopped, and what is left of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.early_stopping import Place, competitors
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import run_training
from search_spaces import Architecture
from supernet import Recipe

pytestmark = pytest.mark.slow

BASE = Training(
    name="lora_rank-2",
    method="subnet",
    architecture=Architecture.uniform(8, "lora_rank", 2),
    recipe=Recipe(epochs=4, lr=1e-2, batch_size=16),
    head=None,
    seed=0,
    on="train",
)


def at(lr: float, **changes: Any) -> Training:
    return replace(BASE, recipe=replace(BASE.recipe, lr=lr), **changes)


def test_learning_rates_of_one_row_and_seed_compete_and_nothing_else_does():
    trainings = [
        at(1e-2),
        at(1e-3),
        at(1e-2, seed=1),
        at(1e-2, name="other"),
        at(1e-2, on="train_val"),
        at(1e-3, on="train_val"),
        at(1e-3, name="other", seed=1),
    ]
    place = Place("lora_rank-2", 0, replace(BASE.recipe, lr=1.0))
    assert competitors(trainings) == {0: place, 1: place}
    assert competitors([at(1e-2), at(1e-2)]) == {}


def test_only_trainings_of_one_length_and_augmentation_compete():
    def by(epochs: int, augmentation: Any, lr: float) -> Training:
        recipe = replace(BASE.recipe, epochs=epochs, lr=lr, augmentation=augmentation)
        return replace(BASE, recipe=recipe)

    trainings = [by(e, a, lr) for e in (4, 12) for a in ("none", "crop") for lr in (1e-3, 1e-2)]
    places = competitors(trainings)
    assert len(places) == 8
    assert [places[i] == places[i + 1] for i in range(7)] == [True, False, True, False, True, False, True]
    assert competitors([by(4, "none", 1e-3), by(12, "none", 1e-2), by(4, "crop", 1e-2)]) == {}


@pytest.mark.thorough
def test_each_epoch_but_the_last_is_scored_and_scoring_changes_nothing(shared: TrainingInputs):
    records: list[dict[str, Any]] = []
    scored, _ = run_training(BASE, shared, "cpu", on_epoch=records.append)
    plain, _ = run_training(BASE, shared, "cpu")
    assert [len(record.curve.losses) for record in records] == [1, 2, 3]
    for record in records:
        losses = record.curve.losses
        assert losses == plain.curve.losses[: len(losses)]
        assert record.val.loss != plain.val.loss
    assert scored.val == plain.val
    assert scored.curve.losses == plain.curve.losses
    (first, _), (second, _) = (
        run_training(replace(BASE, on="train_val"), shared, "cpu", on_epoch=on)
        for on in (None, records.append)
    )
    assert first.curve.losses == second.curve.losses
    assert len(records) == 3


@pytest.mark.usefixtures("ray_address")
def test_those_behind_are_stopped_and_the_best_and_the_others_are_not(shared: TrainingInputs, tmp_path: Path):
    import ray

    from nas_peft.training import ray_tasks
    from nas_peft.training.state_folder import StateFolder
    from nas_peft.training.training_worker import Work

    (tmp_path / "trainings").mkdir()
    trainings = [at(1e-2), *(at(lr) for lr in (1e-6, 2e-6, 3e-6, 4e-6)), at(1e-6, name="alone")]
    places = competitors(trainings)
    work = Work(
        inputs=ray.put(shared),
        trainings=trainings,
        packs=[(i,) for i in range(len(trainings))],
        reporting=frozenset(places),
        threads=1,
        device="cpu",
        gpu_share=0.0,
        module_files=[],
        states=StateFolder.of(tmp_path),
        save_every=15.0,
    )
    kept: dict[tuple[str, float], TrainingRecord] = {}

    def keep(training: Training, record: TrainingRecord, tensors: bytes) -> None:
        assert bool(tensors) == (record.failure is None)
        kept[training.name, training.recipe.lr] = record

    ray_tasks.run(work, {"CPU": 1}, places, keep)
    assert len(kept) == 6
    stopped = {key: record.stopped_at for key, record in kept.items() if record.stopped_at is not None}
    assert len(stopped) >= 2
    assert set(stopped.values()) <= {1, 3}
    best, alone = kept["lora_rank-2", 1e-2], kept["alone", 1e-6]
    assert {("lora_rank-2", 1e-2), ("alone", 1e-6)}.isdisjoint(stopped)
    for (name, lr), epochs in stopped.items():
        record = kept[name, lr]
        assert record.error is None
        assert len(record.curve.losses) == epochs
        assert record.val.loss > best.val.loss
    for record, training in ((best, trainings[0]), (alone, trainings[-1])):
        direct, _ = run_training(training, shared, "cpu")
        assert record.val.loss == pytest.approx(direct.val.loss, rel=1e-4)
        assert len(record.curve.losses) == 4
