"""Estimates of the time that is left, by a clock that the test sets."""

import pytest

from nas_peft.run.time_left import TRUST, RunTime, StageTime


def moved(stage: StageTime, done: int, total: int, at: float) -> None:
    stage.done, stage.total, stage.moved = done, total, at


def test_a_stage_without_expectation_goes_by_its_steps():
    stage = StageTime("supernet", 0.0)
    assert stage.left(5.0) is None
    moved(stage, 2, 10, 4.0)
    assert stage.left(4.0) == pytest.approx(16.0)
    assert stage.left(5.0) == pytest.approx(15.0)  # the next step is under way
    stage.ended = 20.0
    assert (stage.left(30.0), stage.seconds(30.0)) == (0.0, 20.0)


def test_the_expectation_counts_at_first_and_the_steps_count_at_last():
    stage = StageTime("supernet", 0.0, expected=100.0)
    assert stage.left(10.0) == pytest.approx(90.0)
    moved(stage, 5, 10, 10.0)
    assert stage.left(10.0) == pytest.approx(0.5 * 10.0 + 0.5 * 90.0)
    moved(stage, 9, 10, 18.0)
    assert stage.left(18.0) == pytest.approx(0.9 * 2.0 + 0.1 * 82.0)
    assert stage.left(500.0) == 0.0


def test_steps_of_an_earlier_start_say_nothing_of_the_speed():
    stage = StageTime("supernet", 0.0, expected=100.0)
    stage.found = 5
    moved(stage, 5, 10, 0.0)
    assert stage.left(0.0) == pytest.approx(50.0)
    moved(stage, 6, 10, 3.0)
    own = 0.2
    assert stage.left(3.0) == pytest.approx(own * 12.0 + (1 - own) * 47.0)
    assert not stage.finished_before
    stage.found, stage.ended = 6, 3.0
    assert stage.finished_before


def test_a_measured_plan_is_corrected_by_what_has_run():
    run = RunTime([{"probe": 10.0, "supernet": 90.0}], measured=True)
    assert run.left(0.0) == pytest.approx(100.0)
    probe = run.begin("probe", 0.0)
    moved(probe, 1, 1, 20.0)
    probe.ended = 20.0
    scale = (20 + TRUST * 100) / (10 + TRUST * 100)
    assert run.left(20.0) == pytest.approx(90 * scale)
    supernet = run.begin("supernet", 20.0)
    assert run.stage_left(supernet, 20.0) == pytest.approx(90 * scale)


def test_without_measured_speeds_nothing_is_said_before_something_has_run():
    run = RunTime([{"probe": 1.0, "supernet": 9.0}], measured=False)
    assert run.left(0.0) is None
    probe = run.begin("probe", 0.0)
    assert run.left(3.0) is None
    moved(probe, 1, 2, 5.0)
    assert run.left(5.0) == pytest.approx(90.0 + 5.0)
    moved(probe, 2, 2, 10.0)
    probe.ended = 10.0
    assert run.left(10.0) == pytest.approx(90.0)
    assert RunTime().left(0.0) is None


def test_one_more_round_takes_the_longer_plan():
    run = RunTime(
        [{"recipes 1": 10.0, "test": 1.0}, {"recipes 1": 10.0, "recipes 2": 20.0, "test": 2.0}], True
    )
    run.begin("data", 0.0).ended = 1.0  # is in no plan
    run.begin("recipes 1", 1.0)
    assert run.left(1.0) == pytest.approx(11.0)
    run.begin("recipes 2", 1.0)
    assert run.left(1.0) == pytest.approx(32.0)


def test_a_stage_that_was_finished_before_takes_no_time_and_tells_nothing():
    run = RunTime([{"probe": 10.0, "supernet": 90.0, "test": 5.0}], measured=True)
    supernet = run.begin("supernet", 0.0)
    supernet.found = 4
    moved(supernet, 4, 4, 0.1)
    supernet.ended = 0.1
    assert run.scale(0.1) == 1.0
    assert run.left(0.1) == pytest.approx(15.0)
