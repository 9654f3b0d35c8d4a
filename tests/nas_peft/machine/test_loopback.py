"""The settings by which Ray listens on this machine alone, and that nothing of them stays."""

import os

import pytest
import ray
from ray._private import ray_constants

from nas_peft.machine.loopback import on_loopback


@pytest.mark.parametrize("before", [None, "1"])
def test_ray_s_address_is_the_loopback_within_and_no_longer_after(monkeypatch, before):
    monkeypatch.setattr("ray._private.worker._global_node", None)  # else a running Ray's is the answer
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    constant = ray_constants.ENABLE_RAY_CLUSTER
    with on_loopback():
        assert os.environ[name] == "0"
        assert ray.util.get_node_ip_address() == "127.0.0.1"
    assert os.environ.get(name) == before
    assert constant == ray_constants.ENABLE_RAY_CLUSTER
