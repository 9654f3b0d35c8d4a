"""The device by name."""

import pytest
import torch

from nas_peft.machine.devices import Devices, resolve_device, resolve_devices
from nas_peft.machine.ray_session import RayOptions, RaySession
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


def test_without_an_address_the_workers_have_the_device_of_this_machine():
    here = resolve_device("auto")
    assert resolve_devices("auto", RayOptions()) == Devices(here, here)
    assert resolve_devices("cpu", RayOptions(address="nowhere:1")) == Devices("cpu", "cpu")
    assert not Devices("cpu", "cpu").elsewhere
    assert Devices("cpu", "cuda").elsewhere


def test_a_ray_without_gpus_gives_its_workers_the_cpu(ray_address: str):
    options = RayOptions(address=ray_address)
    assert resolve_devices("auto", options) == Devices("cpu", "cpu")
    with pytest.raises(InputError, match=r"the Ray at '.*' has no GPU; give --device cpu, or another"):
        resolve_devices("cuda", options)


def test_gpus_of_a_ray_are_used_from_a_machine_without(monkeypatch: pytest.MonkeyPatch):
    class WithGpus:
        @staticmethod
        def cluster_resources() -> dict[str, float]:
            return {"CPU": 8.0, "GPU": 2.0}

    monkeypatch.setattr(RaySession, "connect", lambda self: WithGpus)
    assert resolve_devices("auto", RayOptions(address="head:6379")).workers == "cuda"
    assert resolve_devices("cuda", RayOptions(address="head:6379")).workers == "cuda"
    assert resolve_devices("cuda", RayOptions(address="head:6379")).here == resolve_device("auto")
