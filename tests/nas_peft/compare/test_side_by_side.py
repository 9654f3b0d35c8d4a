"""Settings on one data set, side by side."""

from typing import Any

import pytest

from nas_peft.compare.runs import ComparedInputs, ComparedRun
from nas_peft.compare.side_by_side import side_by_side
from nas_peft.compare.table import side_tables
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError


def run_of(
    tests: dict[str, list[float]],
    *,
    dataset: str = "dtd",
    seed: int = 0,
    path: str = "",
    how: str = "given",
    **config: Any,
) -> ComparedRun:
    """A run whose validation accuracies are a hundredth above its test accuracies."""
    rows = [
        {
            "name": label,
            "label": label,
            "selected": label == "searched subnet",
            "seeds": [
                {"seed": seed + i, "val_accuracy": a + 0.01, "test_accuracy": a}
                for i, a in enumerate(accuracies)
            ],
        }
        for label, accuracies in tests.items()
    ]
    return ComparedRun.model_validate(
        {
            "run": path or f"runs/{dataset}-{seed}",
            "protocol": "validation",
            "config": SearchConfig.of(dataset=dataset, seed=seed, **config).to_dict(),
            "dataset": {
                "classes": 10,
                "counts": {"train": 800, "val": 200, "test": 400},
                "splits": {"train": "given", "val": "given", "test": how},
            },
            "backbone": {"name": "vit", "digest": "0" * 64},
            "rows": rows,
            "stages": {"search": {"seconds": 60.0}, "test": {"seconds": 2.0}},
        }
    )


def test_each_setting_has_its_options_and_its_cells():
    a = run_of({"searched subnet": [0.7], "LoRA alone": [0.6]}, path="a")
    b = run_of({"searched subnet": [0.8]}, path="b", epochs="30")
    found = side_by_side([a, b])
    assert found is not None
    assert [(s.name, s.runs, s.options, s.seconds) for s in found.settings] == [
        ("A", ("a",), {"epochs": [8]}, 62.0),
        ("B", ("b",), {"epochs": [30]}, 62.0),
    ]
    labels = [row.label for row in found.rows]
    assert labels == ["chosen by validation", "searched subnet", "LoRA alone"]
    searched, lora = found.rows[1:]
    assert searched.cells["A"].test == (0.7,)
    assert searched.cells["B"].val == pytest.approx((0.81,))
    assert searched.difference == pytest.approx(0.1)
    assert searched.outcome == 1
    assert lora.cells.keys() == {"A"}
    assert (lora.difference, lora.outcome) == (None, None)
    assert found.remarks == ()
    assert found.to_dict()["rows"][1]["cells"]["A"]["test"] == (0.7,)


def test_seeds_are_pooled_and_paired():
    def of(seed: int, accuracy: float, **config: Any) -> ComparedRun:
        return run_of({"LoRA alone": [accuracy]}, seed=seed, **config)

    runs = [of(0, 0.6), of(1, 0.7), of(0, 0.61, epochs="30"), of(2, 0.9, epochs="30")]
    found = side_by_side(runs)
    assert found is not None
    (row,) = (row for row in found.rows if row.label == "LoRA alone")
    assert row.cells["A"].test == (0.6, 0.7)
    assert row.difference == pytest.approx(0.01)  # of seed 0 alone
    assert row.outcome == 0
    assert found.remarks[0].startswith("the settings have different seeds (A: 0, 1; B: 0, 2)")


def test_what_is_no_comparison_of_settings():
    one = run_of({"LoRA alone": [0.6]})
    assert side_by_side([one]) is None
    assert side_by_side([one, run_of({"LoRA alone": [0.6]}, seed=1)]) is None
    assert side_by_side([one, run_of({"LoRA alone": [0.6]}, dataset="cifar", epochs="30")]) is None
    again = run_of({"LoRA alone": [0.6]}, path="again")
    with pytest.raises(
        InputError, match="the runs 'runs/dtd-0' and 'again' have the same options and seed 0"
    ):
        side_by_side([one, again, run_of({"LoRA alone": [0.6]}, epochs="30")])


def test_a_method_that_other_runs_lack_says_in_how_many_it_was_tested():
    tests = {"LoRA alone": [0.6], "Adapter alone": [0.9]}
    runs = [run_of(tests), run_of({"LoRA alone": [0.7]}, seed=1), run_of(tests, epochs="30")]
    found = side_by_side(runs)
    assert found is not None
    lora, adapter = (next(r for r in found.rows if r.label == label) for label in tests)
    assert (lora.cells["A"].partial, adapter.cells["A"].partial, adapter.cells["B"].partial) == (0, 1, 0)
    assert adapter.cells["A"].repetitions == ((0, 0),)
    (table,) = side_tables(found, 160)
    cells = [str(cell) for column in table.columns for cell in column.cells]
    assert "90.0 (1)" in cells
    assert "(n): of the n seeds in which the method was tested" in str(table.caption)


def test_other_images_are_no_settings_of_one_data_set():
    one, other = run_of({"x": [0.5]}), run_of({"x": [0.5]}, epochs="30")
    recorded = [
        run.model_copy(update={"inputs": ComparedInputs(fingerprint=digest)})
        for run, digest in ((one, "a"), (other, "b"))
    ]
    assert side_by_side([one, other]) is not None
    assert side_by_side(recorded) is None
