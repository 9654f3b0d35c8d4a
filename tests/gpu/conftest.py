"""Each test runs on a GPU where there is one, marked ``gpu``, and on a simulated one everywhere.

So a mistake in a test does not wait for a GPU to be found.
"""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from simulated_gpu import SimulatedGPU, simulated_gpu

DEVICES = [
    pytest.param("simulated", marks=pytest.mark.slow),
    *([pytest.param("real", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []),
]


@pytest.fixture(params=DEVICES)
def simulated(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatedGPU | None]:
    """The simulated GPU, or ``None`` where the test runs on the real one."""
    if request.param == "real":
        yield None
        torch.cuda.empty_cache()
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with simulated_gpu(monkeypatch) as found:
        yield found
    torch.set_num_threads(threads)


@pytest.fixture
def gpu(simulated: SimulatedGPU | None) -> str:
    """``real`` or ``simulated``; its device is ``cuda`` in both cases."""
    return "simulated" if simulated else "real"


@pytest.fixture
def waits_of(simulated: SimulatedGPU | None) -> Callable[[Callable[[], object]], int]:
    """The number of times that the host waits for the GPU in a computation, as torch reports them."""

    def count(compute: Callable[[], object]) -> int:
        if simulated is not None:
            before = simulated.waits
            compute()
            return simulated.waits - before
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                compute()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("called a synchronizing" in str(warning.message) for warning in found)

    return count
