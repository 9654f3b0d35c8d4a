"""A mixture draws from all of its samplers alike."""

import numpy as np
import pytest

from search_spaces import Architecture
from search_spaces.mixture import MixtureSampler


class Always:
    def __init__(self, size: int) -> None:
        self.architecture = Architecture.uniform(2, "lora_rank", size)

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.architecture


def test_each_is_as_likely_and_all_chance_comes_from_the_generator():
    mixture = MixtureSampler([Always(1), Always(2), Always(4)])
    drawn = [mixture.sample(rng)["lora_rank"][0] for rng in [np.random.default_rng(0)] for _ in range(3000)]
    again = [mixture.sample(rng)["lora_rank"][0] for rng in [np.random.default_rng(0)] for _ in range(3000)]
    assert drawn == again
    assert all(900 < drawn.count(size) < 1100 for size in (1, 2, 4))


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one sampler"):
        MixtureSampler([])
