"""Connecting to Ray: its options, and each mistake as one line."""

import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from nas_peft.machine import ray_session
from nas_peft.machine.ray_session import RayOptions, RaySession
from search_spaces import InputError


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nothing_answers(free_port: int, form: str):
    address = form.format(free_port)
    with pytest.raises(InputError, match="nothing answers there") as caught:
        RayOptions(address).require_possible("cpu")
    assert address in str(caught.value)
    assert "give auto, HOST:PORT or ray://HOST:PORT of a running Ray" in str(caught.value)


@pytest.mark.parametrize(
    "address", ["somewhere", "host:", ":6379", "host:port", "host:99999999", "ray://", "ray://host"]
)
def test_what_is_no_address(address: str):
    with pytest.raises(InputError, match=f"ray_address is '{address}'"):
        RayOptions(address).require_possible("cpu")


def test_auto_is_asked_of_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(
            InputError, match="ray_address is 'auto', and Ray cannot be reached there: no Ray here;"
        ),
        RaySession(RayOptions("auto")) as session,
    ):
        session.connect()


@pytest.mark.parametrize(("failures", "reached"), [(2, True), (3, False)])
def test_a_client_s_server_that_does_not_start_is_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch, failures: int, reached: bool
):
    tries: list[str] = []

    def init(address: str, **options: Any) -> None:
        tries.append(address)
        if len(tries) <= failures:
            raise RuntimeError("Starting Ray client server failed.")

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        place = RayOptions(f"ray://127.0.0.1:{listener.getsockname()[1]}").place
        ray = SimpleNamespace(init=init, shutdown=lambda: None)
        if reached:
            ray_session._reach(ray, place)
        else:
            with pytest.raises(InputError, match="be reached there: Starting Ray client server failed;"):
                ray_session._reach(ray, place)
    assert len(tries) == 3


def refuse(**options: Any) -> None:
    raise ConnectionError("no Ray here.\nMore of this.")


def test_a_start_is_tried_again_once():
    starts, stops = [], []

    def slow(**options: Any) -> None:
        starts.append(options["address"])
        if len(starts) == 1:
            raise TimeoutError("slow")

    ray = SimpleNamespace(init=slow, shutdown=lambda: stops.append(1))
    ray_session._start(ray)
    assert starts == ["local", "local"]
    assert len(stops) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not on macOS and Windows")
def test_ray_has_the_cores_that_a_batch_system_lends_and_not_the_machine_s():
    allowed = os.sched_getaffinity(0)
    starts: list[int] = []
    ray = SimpleNamespace(init=lambda num_cpus, **others: starts.append(num_cpus))
    try:
        os.sched_setaffinity(0, {min(allowed)})
        ray_session._start(ray)
    finally:
        os.sched_setaffinity(0, allowed)
    assert starts == [1]


def test_the_environment_s_address_is_answered_for_by_its_name(
    free_port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port}")
    with pytest.raises(InputError, match=r"variable RAY_ADDRESS is .*nothing answers.*unset RAY_ADDRESS"):
        RayOptions().require_possible("cpu")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(InputError, match=r"an address of Ray's jobs API; unset RAY_ADDRESS"):
        RayOptions().require_possible("cpu")
    RayOptions("local").require_possible("cpu")
    assert RayOptions("local").place.address == "local"


def test_a_start_that_fails_twice_is_said():
    stops: list[int] = []
    with pytest.raises(InputError, match=r"did not start .* in 2 attempts: no Ray here; .*less busy"):
        ray_session._start(SimpleNamespace(init=refuse, shutdown=lambda: stops.append(1)))
    assert len(stops) == 2


@pytest.mark.parametrize("gpus", [0.0, -1.0, 1.5])
def test_gpus_per_trial_is_a_share(gpus: float):
    with pytest.raises(InputError, match="more than 0 and up to 1"):
        RayOptions(gpus_per_trial=gpus)


def test_a_share_of_a_gpu_needs_gpus():
    with pytest.raises(InputError, match="the device is cpu"):
        RayOptions(gpus_per_trial=0.5).require_possible("cpu")
    RayOptions(gpus_per_trial=0.5).require_possible("cuda")


MACHINES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 16.0}, {"memory": 1.0}]


@pytest.mark.parametrize(
    ("options", "trainings", "device", "share"),
    [
        (RayOptions(), 6, "cpu", {"CPU": 4}),
        (RayOptions(), 100, "cpu", {"CPU": 1}),
        (RayOptions(), 1, "cpu", {"CPU": 16}),  # no machine has all 24
        (RayOptions(cpus_per_trial=3), 1, "cpu", {"CPU": 3}),
        (RayOptions(), 4, "cuda", {"CPU": 2, "GPU": 1.0}),
        (RayOptions(gpus_per_trial=0.25), 8, "cuda", {"CPU": 1, "GPU": 0.25}),
    ],
)
def test_shares(options: RayOptions, trainings: int, device: str, share: dict[str, float]):
    session = RaySession(options)
    session._machines = MACHINES
    assert session.resources(trainings, device) == share


def test_more_than_any_machine_has():
    session = RaySession(RayOptions(cpus_per_trial=17))
    session._machines = MACHINES
    with pytest.raises(InputError, match="cpus_per_trial is 17, and the largest machine of Ray has 16"):
        session.resources(1, "cpu")
    session._machines = MACHINES[1:]
    with pytest.raises(InputError, match="a core and 1 GPUs, more than any machine of Ray has"):
        session.resources(1, "cuda")
