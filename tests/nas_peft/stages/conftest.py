"""What tests of stages share: progress bars that they read, and pretrained features."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from nas_peft.run.progress import Advance, StageBars
from nas_peft.run.search_inputs import SearchInputs
from search_spaces import Architecture
from supernet import Supernet, pooled_features


class CountingBars(StageBars):
    """Shows nothing and keeps each step that it was told: ``(done, total)``, in order."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.seen: list[tuple[int, int]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        yield lambda done, total: self.seen.append((done, total))


@pytest.fixture(scope="session")
def counting_bars() -> Callable[[], CountingBars]:
    """Makes new bars, whose ``seen`` has the steps."""
    return CountingBars


@pytest.fixture(scope="session")
def features(tiny_inputs: SearchInputs) -> torch.Tensor:
    network = Supernet(tiny_inputs.backbone.model, Architecture.empty(8), 3)
    return pooled_features(network, tiny_inputs.dataset.train_val.images, tiny_inputs.preprocessing)
