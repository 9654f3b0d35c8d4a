"""VTAB-1k shrunk: two small task folders of rendered images, the shipped backbone, real runs."""

import importlib.util
import json
import sys
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest

from nas_peft.data.structured_tasks import scene
from search_spaces import InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "vtab1k.py"
LISTS = {"train800.txt": range(24), "val200.txt": range(24, 36), "test.txt": range(36, 52)}
TINY = (
    "--backbone vit_micro_patch8_32 --space default --budget 0.75% --seeds 1 --supernet-epochs 1 --epochs 1"
)
TINY += " --generations 1 --population 4 --retrain 1 --linear-epochs 1 --batch-size 12"
PRINTED = {"Full": 69.0, "Linear": 57.6, "VPT": 72.0, "Adapter": 73.9, "LoRA": 74.6, "NOAH": 75.5}


@pytest.fixture(scope="module")
def vtab1k() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vtab1k", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vtab1k"] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_task(folder: Path, name: str, classes: int = 3) -> None:
    """A task in VTAB-1k's form: images of the rendered task of that name, of its first classes."""
    (folder / "images").mkdir(parents=True)
    lines: list[str] = []
    index = 0
    while len(lines) < 52:
        drawn, label = scene(name, "train", index)
        index += 1
        if label < classes:
            path = f"images/{len(lines):03}.png"
            drawn.picture().save(folder / path)
            lines.append(f"{path} {label}\n")
    for file, numbers in LISTS.items():
        (folder / file).write_text("".join(lines[i] for i in numbers))
    (folder / "train800val200.txt").write_text("".join(lines[:36]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "vtab-1k"
    write_task(root / "clevr_count", "shapes-count")
    write_task(
        root / 'vtab-dsprites(predicted_attribute="label_orientation",num_classes=16)', "shapes-orientation"
    )
    (root / "not-a-task").mkdir()
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, vtab1k: ModuleType, data: Path, ray_address: str) -> Path:
    """Both tasks, on one Ray."""
    out = tmp_path_factory.mktemp("runs") / "vtab1k"
    assert vtab1k.main(["--data", str(data), "--out", str(out), *TINY.split()]) == 0
    return out


@pytest.mark.thorough
def test_every_task_is_run_and_the_means_are_of_them(out: Path) -> None:
    report = json.loads((out / "vtab1k.json").read_text())
    assert report["tasks"] == ["clevr_count", "dsprites_ori"]
    assert len(report["missing"]) == 17
    assert {"chosen", "Adapter", "LoRA", "VPT", "Linear", "Full"} <= set(report["ours"])
    for task in report["tasks"]:
        results = json.loads((out / task / "results.json").read_text())
        selected = next(row for row in results["rows"] if row["selected"])
        accuracy = 100 * fmean(seed["test_accuracy"] for seed in selected["seeds"])
        assert report["ours"]["chosen"]["tasks"][task] == pytest.approx(accuracy)
        assert report["chosen"][task] == selected["label"]
    noah = report["published"]["NOAH"]
    assert noah["mean_of_tasks"] == noah["mean_of_groups"] == pytest.approx((82.8 + 48.3) / 2)


@pytest.mark.thorough
def test_the_same_command_reads_what_has_ended(
    out: Path, vtab1k: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()}
    assert vtab1k.main(["--data", str(data), "--out", str(out), *TINY.split()]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()} == before
    text = capsys.readouterr().out
    assert "structured, 2 of 8" in text
    assert "Not run: cifar, " in text
    assert "not of VTAB-1k" in text


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "2"], "holds a run of another configuration: epochs (1 there, 2 now)"),
        (["--tasks", "clevr_count,cifar"], "has no task cifar, it has: clevr_count, dsprites_ori"),
        (["--tasks", "clevr_counts"], "unknown task 'clevr_counts'; did you mean 'clevr_count'?"),
        (["--precision", "fp16"], "precision is 'fp16'"),
        (["--data", "nowhere"], "there is no folder 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line(
    out: Path,
    vtab1k: ModuleType,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert vtab1k.main(["--data", str(data), "--out", str(out), *TINY.split(), *arguments]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert message in line


def test_every_spelling_is_a_task_of_its_own(vtab1k: ModuleType, tmp_path: Path) -> None:
    tasks = [task for group in vtab1k.GROUPS.values() for task in group]
    assert len(set(tasks)) == 19
    assert set(vtab1k.SPELLINGS) <= set(tasks)
    for number in range(4):
        root = tmp_path / str(number)
        for task in tasks:
            names = [task, *vtab1k.SPELLINGS.get(task, ())]
            folder = root / names[number % len(names)]
            folder.mkdir(parents=True)
            (folder / "train800.txt").touch()
        assert sorted(vtab1k.task_folders(root)) == sorted(tasks)


def test_a_task_that_is_there_twice_is_refused(vtab1k: ModuleType, tmp_path: Path) -> None:
    for name in ("cifar", "cifar100"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train800.txt").touch()
    with pytest.raises(InputError, match=r"'.*cifar' and '.*cifar100' are both the task cifar"):
        vtab1k.task_folders(tmp_path)
    with pytest.raises(InputError, match="has no task of VTAB-1k"):
        vtab1k.task_folders(tmp_path / "cifar")


def test_published_rows_have_the_published_means(vtab1k: ModuleType) -> None:
    tasks = [task for group in vtab1k.GROUPS.values() for task in group]
    assert [len(group) for group in vtab1k.GROUPS.values()] == [7, 4, 8]
    assert set(vtab1k.PUBLISHED["methods"]) == set(PRINTED)
    for name, method in vtab1k.PUBLISHED["methods"].items():
        assert list(method["accuracy"]) == tasks
        mean = fmean(fmean(method["accuracy"][task] for task in group) for group in vtab1k.GROUPS.values())
        assert mean == pytest.approx(method["group_mean"], abs=0.1), name
        assert round(mean, 1) == PRINTED[name]
        assert method["copied_from"].startswith("https://")


def test_wins_ties_and_losses_are_to_a_tenth_of_a_point(vtab1k: ModuleType) -> None:
    ours = {"chosen": {"cifar": 70.04, "dtd": 60.0, "svhn": 50.0}}
    report = vtab1k.Report(
        ours, {"NOAH": {"cifar": 70.0, "dtd": 60.1, "svhn": 49.9}}, dict.fromkeys(ours["chosen"], ""), []
    )
    assert report.counts(report.published["NOAH"]) == (1, 1, 1)
    assert "1/1/1" in report.text()
