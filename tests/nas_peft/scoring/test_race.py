"""A race names the rival that eliminated each candidate and estimates the loss of the eliminated ones."""

import math

import numpy as np
import pytest

from nas_peft.scoring.race import Race
from nas_peft.searching.racing import Rival, Runner

IMAGES = 40
DIFFICULTY = np.random.default_rng(0).random(IMAGES) * 3


def losses(mean: float, seed: int) -> np.ndarray:
    """Losses ``(IMAGES,)`` around ``mean``: the same hard images for everybody and a little noise."""
    return (DIFFICULTY + mean + np.random.default_rng(seed).normal(0, 0.05, IMAGES)).astype(np.float32)


def run_round(race: Race, rows: np.ndarray, start: int, end: int) -> list[int]:
    """Score the running candidates on the images from ``start`` to ``end`` and end the round."""
    found = rows[race.running, start:end]
    race.record(found, found < 1)
    return race.end_round()


def test_each_eliminated_candidate_names_its_rival():
    """The positions in the generation, in the second round and among incumbents, all differ."""
    rows = np.stack([losses(2.0, 1), losses(0.5, 2), losses(1.0, 3), losses(0.0, 4)])
    cheap_but_bad, good = Runner((1,), losses(3.0, 5)), Runner((2,), losses(0.4, 6))
    race = Race([(2,), (9,), (1,), (9,)], [cheap_but_bad, good], images=IMAGES, seed=0)
    assert run_round(race, rows, 0, 10) == [0, 1]
    assert race.eliminations == {0: Rival(1, incumbent=True), 1: Rival(3)}
    assert race.running == [2, 3]
    assert run_round(race, rows, 10, 20) == []
    assert run_round(race, rows, 20, IMAGES) == [2, 3]  # scored on all images, not eliminated
    assert race.running == []
    assert race.seen.tolist() == [10, 10, IMAGES, IMAGES]
    assert np.isnan(race.losses[:2, 10:]).all()
    assert np.array_equal(race.losses[2:], rows[2:])
    assert np.array_equal(race.hits[:, :10], rows[:, :10] < 1)


def test_a_rival_that_is_eliminated_later_lends_its_estimated_loss():
    rows = np.stack([losses(0.0, 1), losses(1.0, 2), losses(2.0, 3)])
    # the best candidate starts just behind the second, which therefore eliminates the third
    rows[0, :10] = rows[1, :10] + np.tile([0.3, -0.29], 5)
    race = Race([(1,)] * 3, [], images=IMAGES, seed=0)
    run_round(race, rows, 0, 10)
    assert race.eliminations[2] == Rival(1)
    while race.running:
        done = int(race.seen[race.running[0]])
        run_round(race, rows, done, done + 10)
    assert race.eliminations == {2: Rival(1), 1: Rival(0)}
    whole, wide = rows.astype(np.float64), race.seen
    expected = whole[0].mean()
    expected += whole[1, : wide[1]].mean() - whole[0, : wide[1]].mean()
    middle = expected
    expected += whole[2, : wide[2]].mean() - whole[1, : wide[2]].mean()
    means = [mean for mean, _ in race.mean_losses()]
    assert means == pytest.approx([whole[0].mean(), middle, expected], abs=1e-12)
    own = whole[2, : wide[2]]
    assert race.mean_losses()[2][1] == pytest.approx(own.std(ddof=1) / len(own) ** 0.5)


def test_an_overflow_leaves_without_a_rival():
    rows = np.stack([losses(0.0, 1), losses(0.0, 2)])
    rows[0, 3] = np.inf
    race = Race([(5,)] * 2, [Runner((1,), losses(0.0, 3))], images=IMAGES, seed=0)
    assert 0 in run_round(race, rows, 0, 10)
    assert 0 not in race.eliminations
    assert race.mean_losses()[0] == (math.inf, 0.0)


def test_a_rival_that_overflows_later_takes_nobody_with_it():
    """Its victim has only finite losses, whose mean is then the estimate."""
    rows = np.stack([losses(0.0, 1), losses(2.0, 2)])
    rows[0, 15] = np.inf
    race = Race([(1,), (2,)], [], images=IMAGES, seed=0)
    run_round(race, rows, 0, 10)
    assert race.eliminations == {1: Rival(0)}
    run_round(race, rows, 10, 20)
    (mean, _), (estimate, error) = race.mean_losses()
    assert mean == math.inf
    assert estimate == pytest.approx(rows[1, :10].mean(dtype=np.float64))
    assert error > 0
