"""Report of the small VTAB, from a short run on a tiny task."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.mini_vtab.methods import SINGLES


@pytest.mark.thorough
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
    assert max(params[name] for name in ("searched", "NOAH", *SINGLES)) <= 71_000
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


@pytest.mark.thorough
def test_the_error_over_seeds_is_of_the_means_over_tasks(compared: dict[str, Any]) -> None:
    methods = compared["tasks"]["insects"]["methods"]
    ours, theirs = methods["searched"]["test_accuracies"], methods["LoRA"]["test_accuracies"]
    first, second = (a - b for a, b in zip(ours, theirs, strict=True))
    found = compared["against"]["searched"]["LoRA"]
    assert found["mean"] == pytest.approx((first + second) / 2)
    assert found["error_over_seeds"] == pytest.approx(abs(first - second) / 2)
