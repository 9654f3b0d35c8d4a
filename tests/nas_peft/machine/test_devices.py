"""The device by name."""

import pytest
import torch

from nas_peft.machine.devices import resolve_device
from search_spaces import InputError


@pytest.mark.parametrize(
    ("device", "used"), [("cpu", "cpu"), ("auto", "cuda" if torch.cuda.is_available() else "cpu")]
)
def test_devices(device: str, used: str):
    assert resolve_device(device) == used


def test_a_device_that_is_not_there_is_said():
    with pytest.raises(InputError, match="device is 'gpu'; give auto, cpu or cuda"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch finds no CUDA GPU; give --device cpu"):
            resolve_device("cuda")
