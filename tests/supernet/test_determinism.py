"""The deterministic option: what it sets on a GPU, that it restores it, and that a CPU needs nothing."""

import os

import pytest
import torch
from torch.backends.cuda import flash_sdp_enabled, math_sdp_enabled, mem_efficient_sdp_enabled

from supernet import Execution, Supernet
from supernet.determinism import WORKSPACE, deterministic_algorithms


def state():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        (flash_sdp_enabled(), mem_efficient_sdp_enabled(), math_sdp_enabled()),
        os.environ.get(WORKSPACE),
    )


@pytest.mark.parametrize("workspace", [None, ":16:8"])
@pytest.mark.parametrize("warn_only", [None, True])
def test_everything_is_set_back(monkeypatch, workspace, warn_only):
    monkeypatch.delenv(WORKSPACE, raising=False)
    if workspace:
        monkeypatch.setenv(WORKSPACE, workspace)
    if warn_only:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = state()
        with deterministic_algorithms(torch.device("cuda")):
            assert state() == (True, False, (False, True, True), workspace or ":4096:8")
        assert state() == before
        with pytest.raises(RuntimeError, match="no"), deterministic_algorithms(torch.device("cuda")):
            raise RuntimeError("no")
        assert state() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_cpu_is_left_as_it_is():
    before = state()
    with deterministic_algorithms(torch.device("cpu")):
        assert state() == before


@pytest.mark.parametrize("chosen", [False, True])
def test_an_execution_switches_it_on_only_if_asked(plain, default_space, chosen, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "supernet.execution.deterministic_algorithms",
        lambda device: asked.append(device) or deterministic_algorithms(device),
    )
    network = Supernet(plain(), default_space.largest(), 5)
    with Execution(deterministic=chosen).switched_on(network):
        pass
    assert asked == ([torch.device("cpu")] if chosen else [])


def test_records_of_trainings_that_did_not_choose_it_do_not_name_it():
    assert "deterministic" not in Execution().to_dict()
    chosen = Execution(deterministic=True)
    assert Execution(**chosen.to_dict()) == chosen
