"""Ways of training a supernet: the range that each draws from."""

from __future__ import annotations

import numpy as np

from benchmarks.chooser_study.ways import WAYS, Samplers
from search_spaces import Architecture, count_params, load_space
from supernet import create_backbone


def test_each_way_draws_from_its_range() -> None:
    backbone = create_backbone("vit_micro_patch8_32")
    space = load_space("default", backbone.depth)
    samplers = Samplers.of(space, backbone.shape, backbone.params)
    assert (samplers.low, samplers.high) == (4830, 12076)
    rng = np.random.default_rng(0)
    for name, way in WAYS.items():
        step = way.chooser(samplers)(rng, 64)
        assert len(step.passes) == way.passes, name
        low, high = samplers.ranges()[way.range]
        for drawn in step.passes:
            if isinstance(drawn, Architecture):
                assert low <= count_params(drawn, backbone.shape) <= high
                continue
            counts = [
                count_params(
                    Architecture.of(8, {k: sizes[:, i].tolist() for i, k in enumerate(drawn.kinds)}),
                    backbone.shape,
                )
                for sizes in drawn.sizes
            ]
            assert all(low <= count <= high for count in counts), name
            assert len(set(counts)) <= (8 if name.startswith("groups") else 64)
            assert len(set(counts)) > 1
    top, bottom, between = WAYS["sandwich-distil-budget"].chooser(samplers)(rng, 64).passes
    assert count_params(top, backbone.shape) >= 0.95 * samplers.high - 1
    assert count_params(bottom, backbone.shape) <= 1.05 * samplers.low + 1
    assert between in space
    assert WAYS["sandwich-distil-budget"].chooser(samplers)(rng, 64).distil
    assert not WAYS["sandwich-uniform"].chooser(samplers)(rng, 64).distil
