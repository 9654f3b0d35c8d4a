"""The losses of an epoch: their mean, and the first that is not finite."""

import pytest
import torch

from supernet import NonFiniteLoss
from supernet.epoch_losses import EpochLosses
from supernet.transfers import RESIDENT_SHARE, resident, to_device

CPU, META = torch.device("cpu"), torch.device("meta")
MESSAGE = (
    r"the loss is nan at step 8 of 9 \(learning rate 0.02\); try a lower learning rate, or check the images "
    "for corrupt values"
)


def test_the_mean_is_over_images():
    losses = EpochLosses(2, 0, 2, CPU)
    losses.add(torch.tensor(1.0), 0.1, 3)
    losses.add(torch.tensor(5.0), 0.1, 1)
    assert losses.mean() == 2.0


def test_on_a_cpu_a_loss_that_is_not_finite_is_found_at_its_step():
    losses = EpochLosses(3, 6, 9, CPU)
    losses.add(torch.tensor(1.0), 0.01, 4)
    with pytest.raises(NonFiniteLoss, match=MESSAGE):
        losses.add(torch.tensor(float("nan")), 0.02, 4)


def test_on_another_device_it_is_found_at_the_end_with_its_own_step_and_rate(monkeypatch):
    """Values come from the device in one read."""
    losses, reads = EpochLosses(3, 6, 9, META), []
    for rate in (0.01, 0.02, 0.03):
        losses.add(torch.zeros((), device=META), rate, 4)
    nan = float("nan")
    monkeypatch.setattr(
        "supernet.epoch_losses.numbers", lambda values: reads.append(values.shape) or [1.0, nan, nan]
    )
    with pytest.raises(NonFiniteLoss, match=MESSAGE):
        losses.mean()
    assert reads == [(3,)]


@pytest.mark.parametrize(("free", "moves"), [(10, True), (9, False)])
def test_images_are_resident_where_they_fit(monkeypatch, free, moves):
    moved = []
    images = torch.zeros(4, dtype=torch.uint8)
    monkeypatch.setattr("supernet.transfers.free_memory", lambda device: free)
    monkeypatch.setattr("supernet.transfers.to_device", lambda values, device: moved.append(device))
    found = resident(images, torch.device("cuda", 1))
    assert moved == ([torch.device("cuda", 1)] if moves else [])
    assert (found is images) != moves
    assert RESIDENT_SHARE == 0.4


def test_on_a_cpu_nothing_is_copied():
    images = torch.zeros(4)
    assert resident(images, CPU) is images
    assert to_device(images, CPU) is images
