"""How many trainings share a GPU."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.machine.gpu_sharing import MOST, OWN_CONTEXT, Use, measured_use, share_of, trainings_on_a_gpu

GB = 10**9


@given(st.floats(0.001, 1), st.integers(1, 80 * GB), st.integers(1, 200 * GB), st.integers(0, 64))
def test_together_they_keep_within_the_gpu_its_memory_and_the_cores(
    busy: float, memory: int, total: int, cores: int
):
    together = trainings_on_a_gpu(Use(busy, memory), total, cores)
    assert 1 <= together <= MOST
    if together > 1:
        assert together * busy <= 1
        assert together <= cores
        assert together * (memory + OWN_CONTEXT) <= total


@pytest.mark.parametrize(
    ("use", "cores", "expected"),
    [
        (Use(0.05, GB), 16, 8),
        (Use(0.30, GB), 16, 3),
        (Use(0.30, GB), 2, 2),
        (Use(0.70, GB), 16, 1),
        (Use(0.05, 15 * GB), 16, 4),
        (None, 16, 1),
    ],
)
def test_as_many_as_keep_an_h100_busy(use: Use | None, cores: int, expected: int):
    assert trainings_on_a_gpu(use, 80 * GB, cores) == expected


@pytest.mark.parametrize("together", range(1, MOST + 1))
def test_all_of_them_fit_as_ray_counts(together: int):
    share = share_of(together)
    assert int(1 / share) == together
    assert together * round(share * 10_000) <= 10_000


def test_a_cpu_is_not_shared_in_this_way():
    def never() -> None:
        raise AssertionError

    assert measured_use(never, torch.device("cpu")) is None
