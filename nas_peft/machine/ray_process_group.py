"""Work shared by workers of Ray, on one machine or several, as a torch process group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist

from nas_peft.machine.accelerator import ending_if_broken
from nas_peft.machine.process_group import require_devices
from nas_peft.machine.ray_session import LOCAL, RayOptions, RaySession

_PATIENCE = 1.0  # seconds to wait for a message before checking whether a worker has ended
_LAST_WORDS = 5.0  # seconds in which the other workers of a group may say why it failed


class WorkerDied(RuntimeError):
    """A worker or its machine was lost; the work may be tried again."""


class RayWork(Protocol):
    """The task of each worker; it and its result must be picklable."""

    def __call__(self, sent: Any, device: str, on_step: Callable[[int], None], /) -> Any:
        """Do this worker's share of what was ``sent``; only the first one's result and steps are used."""


def require_room(count: int, device: str, ray_options: RayOptions) -> None:
    """Raise `InputError` unless ``count`` processes find a device each.

    Several processes run on the Ray at an address if one is given, and else on this machine.
    """
    if count == 1:
        return
    if ray_options.place.address == LOCAL:
        require_devices(count, device)
        return
    with RaySession(ray_options) as session:
        session.connect()
        session.require_places(count, device)


def run_on_workers(
    session: RaySession,
    work: RayWork,
    sent: Any,
    *,
    count: int,
    device: str,
    on_step: Callable[[int], None],
) -> Any:
    """The result of ``work`` in the first of ``count`` workers of Ray.

    Several workers are placed together on as few machines as have room, and form a process group: over NCCL
    if ``device`` is cuda, else over Gloo. ``sent`` travels to each machine once. All workers are stopped
    when one fails and when this function ends.

    Raises `WorkerDied` if a worker was lost or its GPU context broke, and the error of a worker otherwise.
    """
    ray = session.connect()
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.queue import Empty, Queue
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    resources = session.resources(count, device)
    task = ray.remote(num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0), max_retries=0)(_do_part)
    group = None
    if count > 1:
        session.require_places(count, device)
        group = placement_group([resources] * count, strategy="PACK")
        ray.get(group.ready())
    queue = Queue(actor_options={"num_cpus": 0})
    common = ([sent], work, count, device, int(resources["CPU"]), queue)

    def start(rank: int, meeting: str | None) -> Any:
        if group is None:
            return task.remote(rank, meeting, *common)
        # Each has a place of its own: a worker that waits for Ray lends its cores, and Ray would put the
        # next one there instead of on the machine whose place is free.
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
        return task.options(scheduling_strategy=place).remote(rank, meeting, *common)

    running = [start(0, None)]
    try:
        while True:
            ended, _ = ray.wait(running, num_returns=len(running), timeout=0)
            try:
                kind, content = queue.get(timeout=_PATIENCE)
            except Empty:
                failed = [error for ref in ended if (error := _error_of(ray, ref)) is not None]
                if failed:
                    raise _telling(ray, running, failed) from None
                if len(ended) == count:
                    return ray.get(running[0])
                continue
            except ray.exceptions.RayError as error:
                raise error_behind(ray, error) from None
            if kind == "meeting":
                running += [start(rank, content) for rank in range(1, count)]
            else:
                on_step(content)
    finally:
        for ref in running:
            ray.cancel(ref, force=True)
        queue.shutdown(force=True)
        if group is not None:
            remove_placement_group(group)


def _telling(ray: Any, running: Sequence[Any], failed: list[BaseException]) -> BaseException:
    """The failure behind the others: those of a group fail, too, when one of them is lost."""
    if len(running) > 1:
        ended, _ = ray.wait(list(running), num_returns=len(running), timeout=_LAST_WORDS)
        failed = [error for ref in ended if (error := _error_of(ray, ref)) is not None]
    ranks: dict[type[BaseException], int] = {WorkerDied: 0, RuntimeError: 2}
    return min(failed, key=lambda error: ranks.get(type(error), 1))


def _error_of(ray: Any, ref: Any) -> BaseException | None:
    """The error of a task that has ended."""
    try:
        ray.get(ref)
    except ray.exceptions.RayError as error:
        return error_behind(ray, error)
    return None


def error_behind(ray: Any, error: Exception) -> BaseException:
    """The error in a worker, or `WorkerDied` for any other error of Ray but a cancellation.

    Whatever takes a worker, its machine or Ray's memory monitor, has an error of its own in Ray.
    """
    behind: BaseException = error
    if isinstance(error, ray.exceptions.RayTaskError):
        behind = error.cause
    if not isinstance(behind, ray.exceptions.RayError) or isinstance(
        behind, ray.exceptions.TaskCancelledError
    ):
        return behind
    return WorkerDied(next(iter(str(behind).strip().splitlines()), type(behind).__name__))


def _do_part(
    rank: int,
    meeting: str | None,
    sent: Sequence[Any],
    work: RayWork,
    count: int,
    device: str,
    threads: int,
    queue: Any,
) -> Any:
    import ray

    torch.set_num_threads(threads)

    def step(done: int) -> None:
        if rank == 0:
            queue.put(("step", done))

    joined = _joined(rank, meeting, count, device, lambda place: queue.put(("meeting", place)))
    with ending_if_broken(), joined:
        result = work(ray.get(sent[0]), device, step)
    return result if rank == 0 else None


@contextmanager
def _joined(
    rank: int, meeting: str | None, count: int, device: str, announce: Callable[[str], None]
) -> Iterator[None]:
    """Within the process group of ``count`` workers; the first one opens the meeting place at its machine."""
    if count == 1:
        yield
        return
    if meeting is None:
        import ray

        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        store = dist.TCPStore(host, 0, count, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        announce(f"{host}:{store.port}")
    else:
        host, _, port = meeting.rpartition(":")
        store = dist.TCPStore(host, int(port), count, is_master=False)  # type: ignore[attr-defined]
    backend: Literal["nccl", "gloo"] = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        yield
    finally:
        dist.destroy_process_group()
