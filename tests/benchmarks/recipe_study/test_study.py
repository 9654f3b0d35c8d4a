"""The study of recipes: its rows and tables, and a short run of it that resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recipe_study import choices, study
from benchmarks.recipe_study.choices import CHOICES, ROWS
from benchmarks.recipe_study.run import main
from benchmarks.recipe_study.tables import outcome, reading_table, validation_table
from search_spaces import count_params
from supernet import DEFAULT_BACKBONE, create_backbone

FEW = {name: CHOICES[name] for name in ("crop", "longer")}


@pytest.fixture(scope="module")
def ran(insects: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Options and report of a study with one row, two choices and two seeds."""
    folder = tmp_path_factory.mktemp("recipes")
    options = [
        f"--tasks={insects}",
        "--rows=lora",
        "--seeds=2",
        "--choice-seeds=2",
        "--epochs=1",
        "--device=cpu",
    ]
    options += [f"--store={folder / 'store'}", f"--out={folder / 'found.json'}"]
    with pytest.MonkeyPatch.context() as patch:
        for module in (choices, study):
            patch.setattr(module, "CHOICES", FEW)
        assert main(options) == 0
        lines = (folder / "store" / "lines.jsonl").read_text()
        assert main(options) == 0
        assert (folder / "store" / "lines.jsonl").read_text() == lines
    return options, folder


@pytest.mark.thorough
def test_every_recipe_is_paired_with_vtab_by_seed(ran: tuple[list[str], Path]) -> None:
    found = json.loads((ran[1] / "found.json").read_text())
    tried = {(one["recipe"], one["seed"]) for one in found["trainings"]}
    assert {(name, seed) for name in ("vtab", *FEW) for seed in (0, 1)} <= tried
    assert ("crop + longer", 0) in tried
    (recipe,) = {one["recipe"] for one in found["trainings"] if one["chosen"]}
    assert (recipe, 1) in tried
    assert {(one["row"], one["seed"]) for one in found["test"]} == {("lora", 0), ("lora", 1)}
    assert all(one["images"] in (2, 3, 4) for one in found["test"])  # half of six


@pytest.mark.thorough
def test_what_has_finished_is_shown_without_training(
    ran: tuple[list[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ran[0], "--finished"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in shown[2:]] == list(FEW)
    assert all(line.endswith("| 2 |") for line in shown[2:])
    assert main([*ran[0], "--finished", f"--store={tmp_path}"]) == 0  # nothing yet
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.thorough
def test_lines_alone_are_enough_to_go_on(ran: tuple[list[str], Path], tmp_path: Path) -> None:
    options, folder = ran
    lines = (folder / "store" / "lines.jsonl").read_text().splitlines()
    trainings = [one for one in lines if json.loads(one)["kind"] == "training"]
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "lines.jsonl").write_text("".join(f"{one}\n" for one in trainings))
    with pytest.MonkeyPatch.context() as patch:
        for module in (choices, study):
            patch.setattr(module, "CHOICES", FEW)
        assert main([*options, f"--store={tmp_path / 'store'}", f"--out={tmp_path / 'found.json'}"]) == 0
    again = (tmp_path / "store" / "lines.jsonl").read_text().splitlines()
    assert again[: len(trainings)] == trainings  # nothing but the test set is done again
    assert [json.loads(one)["kind"] for one in again[len(trainings) :]] == ["test"]
    first, second = (json.loads((f / "found.json").read_text()) for f in (folder, tmp_path))
    assert second["test"] == first["test"]


@pytest.mark.thorough
def test_the_final_half_is_read_for_one_set_of_models(
    ran: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options, folder = ran
    with pytest.MonkeyPatch.context() as patch:
        for module in (choices, study):
            patch.setattr(module, "CHOICES", FEW)
        final = [*options, "--half=final", f"--out={folder / 'final.json'}"]
        assert main(final) == 0
        assert main([*final, "--seeds=1", "--choice-seeds=1"]) == 2
    assert "a test part is read once" in capsys.readouterr().err


def test_rows_train_what_they_say() -> None:
    shape = create_backbone(DEFAULT_BACKBONE).shape
    params = {name: count_params(row.architecture(shape), shape) for name, row in ROWS.items()}
    assert params["searched"] == 34_235
    assert params["full"] == 0
    assert "module-dropout" not in ROWS["full"].choices
    assert ROWS["full"].recipe(("strong", "longer"), 8).to_dict() == {
        **ROWS["full"].recipe((), 8).to_dict(),
        "augmentation": "strong",
        "epochs": 24,
    }
    slow, fast = (ROWS["lora"].recipe((name,), 8).lr for name in ("lower-rate", "higher-rate"))
    assert fast == pytest.approx(9 * slow)


def line(task: str, recipe: str, loss: float, *, chosen: bool = False) -> dict[str, Any]:
    val = {"accuracy": 0.5 - loss / 10, "loss": loss, "calibrated_loss": loss}
    return {"task": task, "row": "lora", "recipe": recipe, "seed": 0, "chosen": chosen, "val": val}


def test_gains_are_means_over_tasks_of_paired_differences() -> None:
    found = [line("a", "vtab", 1.0), line("a", "crop", 0.8, chosen=True)]
    found += [line("b", "vtab", 2.0, chosen=True), line("b", "crop", 2.1)]
    assert validation_table(found)[2:] == [
        "| LoRA 4 everywhere | crop | +0.5 ± 1.5 | -0.050 ± 0.150 | 1 : 1 | 2 |",
        "| LoRA 4 everywhere | chosen | +1.0 ± 1.0 | -0.100 ± 0.100 | 1 : 0 | 2 |",
    ]
    found[1]["val"] = None
    assert "| 0 : 1 | 1, 1 diverged |" in validation_table(found)[2]


def test_a_task_is_won_by_its_images() -> None:
    pair = {"task": "a", "row": "full", "seed": 0, "vtab": 0.5, "chosen": 0.6}
    won = {**pair, "vtab_only": 3, "chosen_only": 20}
    assert (outcome([won]), outcome([{**pair, "vtab_only": 20, "chosen_only": 3}])) == (1, -1)
    assert outcome([{**pair, "vtab_only": 3, "chosen_only": 5}]) == 0
    assert reading_table([won])[2] == "| full fine-tuning | 50.0 | 60.0 | +10.0 | 1 : 0 | 1 |"


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows=lora,loha", "--tasks=digits"]) == 2
    assert main(["--tasks=photo", f"--data={tmp_path}"]) == 2
    assert main(["--tasks=digits", "--seeds=1", "--choice-seeds=2"]) == 2
    errors = capsys.readouterr().err
    assert "there is no row 'loha'" in errors
    assert "needs the folder" in errors
    assert "--choice-seeds is 2; allowed is --seeds at most, 1" in errors
