"""Half-splits of the recipe study's lines: what they read, and which rule they prefer when."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decision_replay.recipe_splits import (
    LOWEST,
    RULES_OF_RECIPES,
    TRUSTED,
    WAYS,
    Tried,
    read_tried,
    recipe_splits,
    trust_beside,
)
from benchmarks.decision_replay.run import main
from benchmarks.harness.half_rules import PRODUCT, RULES, Half
from search_spaces import Architecture, BackboneShape, InputError, count_params

SHAPE = BackboneShape(
    2, width=8, attention_width=8, fc1_width=16, hidden_width=16, tokens=5, outside_flops=1000
)
LORA = Architecture.uniform(2, "lora_rank", 2)


def line(row: str, choices: list[str], right: str, loss: float, method: str = "subnet", seed: int = 0):
    """A line of the study, with the same loss for each image."""
    architecture = LORA if method == "subnet" else Architecture.empty(2)
    return {
        "kind": "training",
        "task": "ants",
        "row": row,
        "choices": choices,
        "training": {"method": method, "architecture": architecture.to_dict(), "seed": seed},
        "val": {"right": right, "losses": [loss] * len(right)},
    }


def written(folder: Path, lines: list[dict[str, object]]) -> Path:
    file = folder / "lines.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return file


def test_the_first_seed_of_scored_trainings_is_read_with_vtab_first(tmp_path: Path) -> None:
    lines = [
        line("lora", ["crop"], "1100", 1.0),
        line("lora", [], "1000", 2.0),
        line("lora", [], "1111", 2.0, seed=1),
        line("full", [], "1010", 3.0, method="full"),
        line("lora", ["strong"], "1010", 3.0) | {"val": None},
        {"kind": "test", "task": "ants"},
    ]
    tried = read_tried(written(tmp_path, lines), SHAPE)["ants"]
    assert [(one.row, one.choices) for one in tried] == [("lora", ()), ("full", ()), ("lora", ("crop",))]
    assert [one.exportable for one in tried] == [True, False, True]
    assert [one.params for one in tried] == [count_params(LORA, SHAPE), 0, count_params(LORA, SHAPE)]
    assert tried[2].hits.tolist() == [1, 1, 0, 0]
    assert tried[2].losses.tolist() == [1] * 4


def test_a_file_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trainings with scores of images"):
        read_tried(written(tmp_path, [{"kind": "test", "task": "ants"}]), SHAPE)


def tried(choices: tuple[str, ...], hits: list[float], losses: list[float]) -> Tried:
    return Tried("lora", choices, 10, True, np.array(hits), np.array(losses))


def test_each_rule_is_judged_by_the_other_half() -> None:
    """The better recipe is right everywhere at half of the loss: every rule but the default finds it."""
    plain = tried((), [0.0, 1.0] * 10, [2.0, 1.0] * 10)
    better = tried(("crop",), [1.0] * 20, [0.5, 0.4] * 10)
    report = recipe_splits({"ants": [plain, better], "bees": [plain, better]})
    for way in WAYS:
        scores = {rule: found["accuracy"] for rule, found in report[way].items()}
        assert scores.pop("the default") == pytest.approx(50, abs=5)
        assert set(scores) == set(RULES_OF_RECIPES) - {"the default"}
        assert all(score == pytest.approx(100) for score in scores.values())
        assert report[way][PRODUCT]["gain"] == 0


def test_the_default_stays_where_the_loss_is_lower_by_no_more_than_the_noise() -> None:
    """Crops have the lower loss on ten images, and the higher one on ten: 0.01 on average."""
    plain = tried((), [1.0] * 20, [1.0] * 20)
    noisy = tried(("crop",), [1.0] * 20, [0.48] * 10 + [1.50] * 10)
    guarded = RULES_OF_RECIPES[f"{LOWEST}, or the default unless that is 1 s.e. worse"]
    halves = [one.half(np.arange(20)) for one in (plain, noisy)]
    assert RULES_OF_RECIPES[LOWEST](halves) == noisy.name
    assert guarded(halves) == plain.name


def test_the_command_writes_and_prints_the_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.decision_replay.recipe_splits.SPLITS", 2)
    lines = []
    for task in ("ants", "bees"):
        for row in ("lora", "convpass"):
            for choices in ([], ["crop"]):
                lines.append(line(row, choices, "110110", 1.0) | {"task": task})
    out = tmp_path / "out.json"
    assert main(["--recipes", str(written(tmp_path, lines)), "--out", str(out)]) == 0
    assert set(json.loads(out.read_text())["recipe splits"]) == {"splits", *WAYS}
    assert "choice of rows and recipes" in capsys.readouterr().out


def test_trust_is_the_lead_on_the_row_elsewhere() -> None:
    flat = [1.0] * 4
    ants = [tried((), [1, 1, 0, 0], flat), tried(("crop",), [1, 1, 1, 1], flat)]
    bees = [tried((), [1, 1, 1, 1], flat), tried(("crop",), [0, 0, 0, 0], flat)]
    tasks = {"ants": ants, "bees": bees, "cats": ants}
    assert trust_beside(tasks, "bees") == pytest.approx({ants[0].name: -0.25, ants[1].name: 0.25})
    assert trust_beside(tasks, "ants") == pytest.approx({ants[0].name: 0.125, ants[1].name: -0.125})


def test_trust_decides_between_recipes_that_validation_cannot_tell_apart() -> None:
    """The loss of the trusted one is higher by less than half a standard error, and of the third by far."""
    hits, noise = np.array([1.0, 0.0] * 8), np.array([0.4, -0.4] * 8)
    losses = {"low": 1 + noise, "trusted": 1.001 - noise, "bad": 3 + noise}
    trust = {"low": 0.0, "trusted": 0.1, "bad": 0.9}
    halves = [Half(name, 10, hits, of, of, trust[name]) for name, of in losses.items()]
    assert RULES[PRODUCT](halves) == "low"
    assert RULES_OF_RECIPES[TRUSTED](halves) == "trusted"
    smaller = Half("small", 5, hits, 1.0005 + noise[::-1], 1.0005 + noise[::-1], 0.0)
    assert RULES_OF_RECIPES[TRUSTED]([*halves, smaller]) == "small"
