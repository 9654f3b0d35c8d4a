"""Each test runs on a GPU where there is one, marked ``gpu``, and on a simulated one everywhere.

So a mistake in a test does not wait for a GPU to be found.
"""

from collections.abc import Iterator

import pytest
import torch
from simulated_gpu import simulated_gpu

DEVICES = [
    pytest.param("simulated", marks=pytest.mark.slow),
    *([pytest.param("real", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []),
]


@pytest.fixture(params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``real`` or ``simulated``; its device is ``cuda`` in both cases."""
    if request.param == "real":
        yield request.param
        torch.cuda.empty_cache()
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with simulated_gpu(monkeypatch):
        yield request.param
    torch.set_num_threads(threads)
