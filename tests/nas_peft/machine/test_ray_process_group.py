"""Work of several workers of Ray together: what comes back, and whose failure is told."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist

from nas_peft.machine.ray_process_group import WorkerDied, error_behind, require_room, run_on_workers
from nas_peft.machine.ray_session import RayOptions, RaySession
from search_spaces import InputError

pytestmark = pytest.mark.slow
ONE_CORE = RayOptions(cpus_per_trial=1)


def together(work: Callable[..., Any], count: int = 2) -> tuple[Any, list[int]]:
    steps: list[int] = []
    with RaySession(ONE_CORE) as session:
        sent = session.connect().put(10)
        found = run_on_workers(session, work, sent, count=count, device="cpu", on_step=steps.append)
    return found, steps


def test_all_do_their_part_and_the_first_one_is_heard(ray_address: str):
    def add_up(sent: int, device: str, on_step: Callable[[int], None]) -> tuple[float, int, int]:
        for step in range(3):
            on_step(step)
        total = torch.tensor(float(sent + dist.get_rank()))
        dist.all_reduce(total)
        return float(total), dist.get_world_size(), torch.get_num_threads()

    assert together(add_up) == ((21.0, 2, 1), [0, 1, 2])


@pytest.mark.thorough
def test_the_failure_behind_the_others_is_told(ray_address: str):
    def one_mistake(sent: int, device: str, on_step: Callable[[int], None]) -> None:
        if dist.get_rank() == 1:
            raise InputError("mend it")
        dist.all_reduce(torch.zeros(1))  # never comes back well

    with pytest.raises(InputError, match="mend it"):
        together(one_mistake)


@pytest.mark.thorough
def test_a_lost_worker_is_told_by_its_name(ray_address: str):
    def one_dies(sent: int, device: str, on_step: Callable[[int], None]) -> None:
        if dist.get_rank() == 1:
            os._exit(1)
        dist.all_reduce(torch.zeros(1))

    with pytest.raises(WorkerDied):
        together(one_dies)


def test_more_processes_than_a_cluster_has_room_for_are_refused_before_the_work(ray_address: str):
    with pytest.raises(InputError, match="data_parallel is 3, but the machines of Ray have room for 2 such"):
        require_room(3, "cpu", RayOptions(ray_address, cpus_per_trial=1))
    require_room(2, "cpu", RayOptions(ray_address, cpus_per_trial=1))


def test_whatever_takes_a_worker_is_its_death():
    """The memory monitor's error is neither that of a crash nor that of a lost machine."""
    import ray

    errors = ray.exceptions
    killed = errors.OutOfMemoryError("Task was killed due to the node running low on memory.\nMore words.")
    died = error_behind(ray, killed)
    assert isinstance(died, WorkerDied)
    assert str(died) == "Task was killed due to the node running low on memory."
    within = errors.RayTaskError("work", "traceback", errors.ActorDiedError())  # of the queue
    assert isinstance(error_behind(ray, within), WorkerDied)
    mistake = InputError("mend it")
    assert error_behind(ray, errors.RayTaskError("work", "traceback", mistake)) is mistake
    cancelled = errors.TaskCancelledError()
    assert error_behind(ray, cancelled) is cancelled


MONITORED = """
import time
from nas_peft.machine.ray_process_group import WorkerDied, run_on_workers
from nas_peft.machine.ray_session import RayOptions, RaySession

def work(sent, device, on_step):
    held = bytearray(300_000_000)
    time.sleep(60)

with RaySession(RayOptions(address="local")) as session:
    session.connect()
    try:
        run_on_workers(session, work, 1, count=1, device="cpu", on_step=print)
    except WorkerDied as error:
        print("died:", error)
"""


@pytest.mark.thorough
def test_the_memory_monitor_s_victim_has_died(run_program, tmp_path):
    program = tmp_path / "monitored.py"
    program.write_text(MONITORED)
    monitor = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "200"}
    done = run_program(program, env=os.environ | monitor)
    assert done.returncode == 0, done.stderr
    assert "died: " in done.stdout
