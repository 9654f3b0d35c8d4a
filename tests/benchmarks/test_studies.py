"""The studies of the search and of the small VTAB on a tiny task: whole, resumed, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mini_vtab
import mini_vtab_page
import numpy as np
import plain_search
import pytest
import search_study
import study_store
from PIL import Image
from plain_search import Range, SearchJob, SearchPlan
from study_store import TestJob, TrainingJob, digest

from nas_peft.training.training import Training
from search_spaces import Architecture, InputError, count_params
from supernet import Recipe, create_backbone

TINY: dict[str, Any] = {"generations": 2, "population": 6}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 30 images."""
    root = tmp_path_factory.mktemp("task") / "insects"
    rng = np.random.default_rng(0)
    for name, darkest in (("ant", 0), ("bee", 16)):
        (root / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(darkest, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def small_searches() -> Any:
    """Every search has two generations of six candidates."""
    patch = pytest.MonkeyPatch()
    patch.setattr(search_study, "DEFAULT", replace(search_study.DEFAULT, **TINY))
    patch.setattr(search_study, "NOAH", replace(search_study.NOAH, **TINY))
    patch.setattr(search_study, "LONG_EPOCHS", 2)
    plan = mini_vtab.Setting.plan.fget  # type: ignore[attr-defined]
    patch.setattr(mini_vtab.Setting, "plan", property(lambda s: replace(plan(s), **TINY)))
    patch.setattr(
        mini_vtab.Setting, "noah", property(lambda s: replace(search_study.NOAH, supernet_epochs=2))
    )
    patch.setattr(mini_vtab, "LINEAR_EPOCHS", 2)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies") / "store"


def options(task: Path, store: Path, out: Path, *more: str) -> list[str]:
    return [f"--task={task}", f"--store={store}", f"--out={out}", "--device=cpu", "--epochs=1",
            "--seeds=2", *more]  # fmt: skip


@pytest.fixture(scope="module")
def searched(task: Path, store: Path, small_searches: None) -> dict[str, Any]:
    """The report of the study of the search."""
    out = store.with_name("search.json")
    more = ["--supernet-epochs=1", f"--table={store / 'none'}"]
    assert search_study.main(options(task, store, out, *more)) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


@pytest.fixture(scope="module")
def compared(task: Path, store: Path, searched: dict[str, Any]) -> dict[str, Any]:
    """The report of the small VTAB, in the same store."""
    out = store.with_name("vtab.json")
    assert mini_vtab.main(options(task, store, out, "--supernet-epochs", "1", "2")) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "lines.jsonl").read_text().splitlines()]


def test_the_study_compares_every_method_by_task_and_seed(searched: dict[str, Any]) -> None:
    assert [(run["task"], run["seed"]) for run in searched["runs"]] == [("insects", 0), ("insects", 1)]
    assert set(searched["methods"]) == {"evolution", "evolution-whole", "random", "noah", "long", "uniform"}
    budget = SearchPlan().budget
    assert budget == "0.75%"
    for run in searched["runs"]:
        for name, method in run["methods"].items():
            assert 0 < method["params"] <= 12_098, name
        kinds = set(run["methods"]["uniform"]["architecture"]) - {"depth"}
        assert kinds == {"prompt_tokens", "lora_rank", "adapter_dim"}
        assert run["image_passes"]["random"] >= run["image_passes"]["evolution"]
        assert run["images"]["evolution-whole"] == 12 * 10  # candidates, validation images


def test_differences_are_paired(searched: dict[str, Any]) -> None:
    found = searched["evolution_minus"]["uniform"]
    each = [r["methods"]["evolution"]["test_accuracy"] - r["methods"]["uniform"]["test_accuracy"]
            for r in searched["runs"]]  # fmt: skip
    assert found["mean"] == pytest.approx(sum(each) / 2)
    assert found["error"] == pytest.approx(abs(each[0] - each[1]) / 2)
    assert found["higher"] + found["equal"] + found["lower"] == 2


def test_the_winner_is_the_best_on_validation_data(searched: dict[str, Any], store: Path) -> None:
    trainings = {
        (json.dumps(line["training"]["architecture"]), line["training"]["seed"]): line["val"]
        for line in lines_of(store)
        if line["kind"] == "training" and line["training"]["on"] == "train"
        and line["training"]["recipe"]["lr"] == plain_search.LR and line["training"]["method"] == "subnet"
    }  # fmt: skip
    searches = [line for line in lines_of(store) if line["kind"] == "search"]
    for run in searched["runs"]:
        search = next(s for s in searches if s["seed"] == run["seed"] and len(s["plan"]["ways"]) == 3)
        best = [json.dumps(c["architecture"]) for c in search["found"]["evolution"]["best"]]
        vals = [trainings[a, run["seed"]] for a in best]
        winner = min(vals, key=lambda v: (-v["accuracy"], v["loss"]))
        assert run["methods"]["evolution"]["val_accuracy"] == pytest.approx(100 * winner["accuracy"])


def test_the_same_command_repeats_nothing_and_reports_the_same(
    searched: dict[str, Any], task: Path, store: Path
) -> None:
    before = (store / "lines.jsonl").read_text()
    out = store.with_name("again.json")
    more = ["--supernet-epochs=1", f"--table={store / 'none'}"]
    assert search_study.main(options(task, store, out, *more)) == 0
    assert json.loads(out.read_text()) == searched
    assert (store / "lines.jsonl").read_text() == before


def test_studies_share_searches(compared: dict[str, Any], store: Path) -> None:
    lines = lines_of(store)
    assert len({line["key"] for line in lines}) == len(lines)
    defaults = [x for x in lines if x["kind"] == "search" and len(x["plan"]["ways"]) == 3]
    assert [x["seed"] for x in defaults] == [0, 1]


def test_the_small_vtab_has_every_method_and_says_how_it_ended(compared: dict[str, Any]) -> None:
    task = compared["tasks"]["insects"]
    assert list(task["methods"]) == [
        "full fine-tuning", "linear probing", "LP-FT", "L2-SP", "BitFit", "VPT-shallow", "VPT-deep", "LoRA",
        "adapter", "SSF", "LoRA on all projections", "LoRA there and on positions", "NOAH", "searched",
        "selected",
    ]  # fmt: skip
    assert all(len(method["test_accuracies"]) == 2 for method in task["methods"].values())
    params = {name: method["params"][0] for name, method in task["methods"].items()}
    assert params["full fine-tuning"] == 1_613_184
    assert params["BitFit"] == 11_520
    assert params["LoRA"] in (65_536, 16_384)
    assert params["LoRA on all projections"] == 65_536
    assert max(params[name] for name in ("searched", "NOAH", *mini_vtab.SINGLES)) <= 71_000
    assert params["linear probing"] == 0
    val = task["validation"]
    assert set(val) == {"searched", "VPT-deep", "LoRA", "adapter", "SSF"}
    best = min((v["loss"], -v["accuracy"]) for v in val.values())
    chosen = val[task["selected"]]
    assert (chosen["loss"], -chosen["accuracy"]) == best
    pair = task["searched_minus_best_single"]
    assert pair["outcome"] in ("win", "tie", "loss")
    critical = 12.706  # of a paired t-test at 5% with two seeds
    assert (pair["outcome"] == "tie") == (not abs(pair["mean"]) > critical * pair["error"])
    for name, against in compared["against"]["searched"].items():
        assert against["win"] + against["tie"] + against["loss"] == 1, name


def test_the_page_has_what_the_report_has(compared: dict[str, Any], store: Path, tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    assert mini_vtab_page.main([str(store.with_name("vtab.json")), str(written)]) == 0
    text = written.read_text()
    for name, means in compared["means"].items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {name} |") and " ± " in line]
        assert f"| {means['flat']:.2f} | {means['groups']:.2f} |" in row
        if name != "searched":
            against = compared["against"]["searched"][name]
            assert f"{against['mean']:+.2f} ± {against['error_over_seeds']:.2f}" in row
    assert "| insects | 12 |" in text


def test_the_error_over_seeds_is_of_the_means_over_tasks(compared: dict[str, Any]) -> None:
    methods = compared["tasks"]["insects"]["methods"]
    ours, theirs = methods["searched"]["test_accuracies"], methods["LoRA"]["test_accuracies"]
    first, second = (a - b for a, b in zip(ours, theirs, strict=True))
    found = compared["against"]["searched"]["LoRA"]
    assert found["mean"] == pytest.approx((first + second) / 2)
    assert found["error_over_seeds"] == pytest.approx(abs(first - second) / 2)


def test_a_file_that_is_no_result_has_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert mini_vtab_page.main([str(tmp_path / "other.json"), str(tmp_path / "page.md")]) == 2
    assert "is not a result of mini_vtab.py" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_a_space_that_has_changed_is_searched_anew(tmp_path: Path) -> None:
    space, keys = tmp_path / "space.yaml", []
    for sizes in ("[0, 1]", "[0, 1, 2]", "[0, 1]"):
        space.write_text(f"name: mine\nkinds: {{lora_rank: {{sizes: {sizes}}}}}\n")
        keys.append(SearchJob("digits", SearchPlan(space=str(space)), 0).key)
    assert keys[0] == keys[2] != keys[1]


def test_every_rate_of_the_grid_is_tried_for_every_method(compared: dict[str, Any], store: Path) -> None:
    tried: dict[str, set[float]] = {}
    for line in lines_of(store):
        if line["kind"] == "training" and line["training"]["on"] == "train":
            name = line["training"]["name"]
            tried.setdefault(name, set()).add(line["training"]["recipe"]["lr"])
    for method, rates in mini_vtab.RATES.items():
        assert tried[method] == set(rates)
    assert tried["linear"] == set(mini_vtab.LINEAR_RATES)
    grids = [rates for name, rates in tried.items() if name.startswith("subnet-")]
    of_the_grid = [rates for rates in grids if rates >= set(mini_vtab.MODULE_RATES)]
    singles, shallow, everywhere, noah, found = len(mini_vtab.SINGLES), 1, 2, 1, 3
    assert len(of_the_grid) == singles + shallow + everywhere + noah + found


def test_the_supernet_has_the_epochs_that_validation_data_prefer(
    compared: dict[str, Any], store: Path
) -> None:
    plan = compared["settings"]["search"]
    assert plan["supernet_epochs"] == [1, 2]
    found = next(line for line in lines_of(store) if line["kind"] == "search" and line["plan"] == plan)
    judged = found["supernet"]["judged_losses"]
    assert set(judged) == {"1", "2"}
    assert found["supernet"]["epochs"] == int(min(judged, key=lambda epochs: judged[epochs]))
    assert found["supernet"]["image_passes"] == 3 * 38  # epochs of both, training images


def test_a_test_part_is_read_for_one_decision_only(task: Path, tmp_path: Path) -> None:
    backbone = create_backbone("vit_micro_patch8_32")
    bench = study_store.Bench(backbone, study_store.Preprocessing.of(backbone.model), tmp_path, "cpu")
    a = Architecture.uniform(8, "lora_rank", 1)
    jobs = [
        TrainingJob(str(task), Training("one", "subnet", a, Recipe(1, lr), None, 0, "train_val"))
        for lr in (1e-3, 1e-2)
    ]
    for job in jobs:
        bench.run(job)
    first, second = (TestJob("study", str(task), ((job.key, job.training),)) for job in jobs)
    line = bench.run(first)
    assert line["images"] == 12
    assert bench.run(first)["of"] == line["of"]  # a reading that was cut short may begin again
    with pytest.raises(InputError, match="read once"):
        bench.run(second)


def test_a_training_that_diverges_loses(task: Path, tmp_path: Path) -> None:
    backbone = create_backbone("vit_micro_patch8_32")
    bench = study_store.Bench(backbone, study_store.Preprocessing.of(backbone.model), tmp_path, "cpu")
    a = Architecture.uniform(8, "lora_rank", 1)
    wild = TrainingJob(str(task), Training("wild", "subnet", a, Recipe(3, 1e30), None, 0, "train"))
    line = bench.run(wild)
    assert "learning rate" in line["diverged"]
    assert line["val"] is None


def test_uniform_mixes_have_one_size_of_each_kind() -> None:
    backbone = create_backbone("vit_micro_patch8_32")
    where = Range.of(SearchPlan(), backbone.shape, backbone.params)
    mixes = search_study.uniform_mixes(where)
    assert len(mixes) == search_study.UNIFORM
    for a in mixes:
        assert all(len(set(a[kind])) == 1 and a[kind][0] > 0 for kind in a.kinds)
        assert count_params(a, backbone.shape) <= where.limit
    assert [count_params(a, backbone.shape) for a in mixes] == sorted(
        count_params(a, backbone.shape) for a in mixes
    )


def test_digests_tell_content_apart() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


@pytest.mark.parametrize(
    ("script", "argv", "message"),
    [
        (mini_vtab, ["--seeds=1"], "give --data FOLDER"),
        (mini_vtab, ["--task=digits", "--epochs=0"], "--epochs is less than 1"),
        (search_study, ["--task=digits", "--seeds=0"], "--seeds is less than 1"),
    ],
)
def test_mistakes_are_one_line(
    script: Any, argv: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert script.main([*argv, f"--store={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
