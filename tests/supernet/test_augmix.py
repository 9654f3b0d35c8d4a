"""AugMix: its draws, and what it does to images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from search_spaces.streams import stream
from supernet.augmix import CHAINS, DEPTH, LEVELS, MIXED_OPERATIONS, augmix, draw_chains
from supernet.trivial_augment import LOST_BITS, OPERATIONS, ROTATION, SHEAR, TRANSLATION, trivial_augment

FILL = torch.tensor([120, 110, 100], dtype=torch.uint8)


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Tensor, Tensor]:
    return draw_chains(3000, stream(0, "test"))


def test_shares_add_up_and_half_of_the_mixture_is_the_image_on_average(drawn):
    _, _, shares = drawn
    assert shares.shape == (3000, 1 + CHAINS)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(3000))
    assert float(shares.min()) >= 0
    assert shares.mean(dim=0).tolist() == pytest.approx([1 / 2, *[1 / 6] * CHAINS], abs=0.02)


def test_chains_have_one_to_three_operations_of_all_kinds(drawn):
    operations, _, _ = drawn
    used = operations != OPERATIONS.index("identity")
    assert used[:, :, 0].all()
    assert bool((used[:, :, 1:] <= used[:, :, :-1]).all())  # nothing after an end
    lengths = torch.bincount(used.sum(dim=2).flatten())
    assert lengths.tolist() == pytest.approx([0, 3000, 3000, 3000], abs=200)
    names = {OPERATIONS[index] for index in operations.unique().tolist()}
    assert names == {"identity", *MIXED_OPERATIONS}
    assert not names & {"brightness", "contrast", "colour", "sharpness"}  # near the corruptions of tests


def test_strengths_are_those_of_a_third_of_the_published_ranges(drawn):
    operations, strengths, _ = drawn
    most = {"rotate": 9 / ROTATION, "shear-x": 0.09 / SHEAR, "translate-y": 0.1 / TRANSLATION}
    for name, limit in most.items():
        found = strengths[operations == OPERATIONS.index(name)]
        assert 0.95 * limit < float(found.max()) <= limit + 1e-6
        assert -limit - 1e-6 <= float(found.min()) < -0.95 * limit
    kept = 8 - LOST_BITS * strengths[operations == OPERATIONS.index("posterize")]
    assert kept.round().unique().tolist() == [3, 4]
    assert LEVELS == (0.01, 0.3)


def test_the_mixture_is_the_weighted_mean_of_the_image_and_its_chains():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, 12, 16), dtype=torch.uint8, generator=generator)
    operations, strengths, shares = draw_chains(5, stream(1, "test"))
    found = augmix(images, operations, strengths, shares, FILL)
    assert (found.dtype, found.shape) == (torch.uint8, images.shape)
    for n in range(5):
        expected = float(shares[n, 0]) * images[n].double()
        for chain in range(CHAINS):
            x = images[n : n + 1]
            for step in range(DEPTH):
                x = trivial_augment(
                    x, operations[n : n + 1, chain, step], strengths[n : n + 1, chain, step], FILL
                )
            expected += float(shares[n, 1 + chain]) * x[0]
        assert float((found[n] - expected).abs().max()) <= 0.51
    alone = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(5, -1)
    assert torch.equal(augmix(images, operations, strengths, alone, FILL), images)
