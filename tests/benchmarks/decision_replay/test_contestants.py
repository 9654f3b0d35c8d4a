"""Sets of methods on tables where the best set is known."""

from collections.abc import Mapping, Sequence

import pytest

from benchmarks.decision_replay.contestants import contestants
from benchmarks.decision_replay.tables import Option

TASKS = ("ants", "bees", "cats")


def finals(tests: Mapping[str, Sequence[float]]) -> dict[str, list[Option]]:
    """Options whose validation accuracy is their test accuracy; ``tests`` by method, one for each task."""
    return {
        task: [
            Option(method, "{}", of[number], 1 - of[number], 1, of[number]) for method, of in tests.items()
        ]
        for number, task in enumerate(TASKS)
    }


def test_validation_chooses_among_the_methods_of_a_set() -> None:
    found = contestants(
        finals({"lora": [0.9, 0.5, 0.7], "wide": [0.5, 0.9, 0.6], "poor": [0.1, 0.1, 0.1]}), 200
    )
    assert found["single"]["lora"] == pytest.approx({"test": 70.0, "gain": 0.0, "gain_se": 0.0})
    assert found["with the reference"]["lora wide"]["test"] == pytest.approx(250 / 3)
    assert found["with the reference"]["lora wide"]["gain"] == pytest.approx(40 / 3)
    assert found["best"]["2"]["methods"] == ["lora", "wide"]
    assert found["best"]["1"]["methods"] == ["lora"]
    assert "4" not in found["best"]  # three methods have no set of four


def test_the_set_of_a_task_is_chosen_on_the_others() -> None:
    found = contestants(finals({"lora": [0.9, 0.4, 0.4], "wide": [0.1, 0.5, 0.5]}), 200)
    assert found["best"]["1"]["methods"] == ["lora"]
    assert found["left out"]["1"]["test"] == pytest.approx((10 + 40 + 40) / 3)


def test_without_the_reference_there_are_no_gains() -> None:
    found = contestants(finals({"one": [0.9, 0.5, 0.7], "two": [0.5, 0.9, 0.6]}), 200)
    assert found["single"]["one"] == {"test": pytest.approx(70.0)}
    assert found["with the reference"] == {}
