"""The measurement before a plan: positive, and without a trace."""

from typing import Any

import pytest
import torch

from nas_peft.machine.devices import Devices
from nas_peft.machine.ray_process_group import run_on_workers
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.speeds import measure, places_on
from nas_peft.run.search_inputs import SearchInputs


@pytest.mark.slow
def test_it_measures_every_speed_and_leaves_backbone_threads_and_generators_alone(tiny_inputs: SearchInputs):
    before = {name: value.clone() for name, value in tiny_inputs.backbone.model.state_dict().items()}
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    speeds = measure(tiny_inputs, Devices("cpu", "cpu"), RayOptions(cpus_per_trial=1))
    assert min(speeds.forward, speeds.supernet, speeds.subnet, speeds.full) > 0
    assert speeds.subnet > speeds.forward
    after = tiny_inputs.backbone.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.thorough
@pytest.mark.slow
def test_where_only_the_workers_have_gpus_they_measure(
    tiny_inputs: SearchInputs, ray_address: str, monkeypatch: pytest.MonkeyPatch
):
    """The same way as on a cluster with GPUs; its worker is told to compute on the CPU."""
    used: list[str] = []

    def on_cpu(*args: Any, device: str, **others: Any) -> Any:
        used.append(device)
        return run_on_workers(*args, device="cpu", **others)

    monkeypatch.setattr("nas_peft.planning.speeds.run_on_workers", on_cpu)
    monkeypatch.setattr("nas_peft.planning.speeds.places_on", lambda device, options: (3, 1))
    monkeypatch.setattr("nas_peft.planning.speeds.Measurement.run", None)  # of this process only
    speeds = measure(tiny_inputs, Devices("cpu", "cuda"), RayOptions(cpus_per_trial=1))
    assert used == ["cuda"]
    assert speeds.places == 3
    assert min(speeds.forward, speeds.supernet, speeds.subnet, speeds.full) > 0


def test_places_are_the_cores_by_the_cores_of_a_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("nas_peft.planning.speeds.whole_cores", lambda: 8)
    assert places_on("cpu", RayOptions()) == (8, 1)
    assert places_on("cpu", RayOptions(cpus_per_trial=3)) == (2, 3)
    assert places_on("cpu", RayOptions(cpus_per_trial=8)) == (1, 8)
