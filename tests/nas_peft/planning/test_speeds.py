"""The measurement before a plan: positive, and without a trace."""

import pytest
import torch

from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.speeds import measure, places_on
from nas_peft.run.search_inputs import SearchInputs


@pytest.mark.slow
def test_it_measures_every_speed_and_leaves_backbone_threads_and_generators_alone(tiny_inputs: SearchInputs):
    before = {name: value.clone() for name, value in tiny_inputs.backbone.model.state_dict().items()}
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    speeds = measure(tiny_inputs, "cpu", RayOptions(cpus_per_trial=1))
    assert min(speeds.forward, speeds.supernet, speeds.subnet, speeds.full) > 0
    assert speeds.subnet > speeds.forward
    after = tiny_inputs.backbone.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_places_are_the_cores_by_the_cores_of_a_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert places_on("cpu", RayOptions()) == (8, 1)
    assert places_on("cpu", RayOptions(cpus_per_trial=3)) == (2, 3)
    assert places_on("cpu", RayOptions(cpus_per_trial=8)) == (1, 8)
