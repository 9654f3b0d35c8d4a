"""Work shared by several processes of this machine, as a torch process group."""

from __future__ import annotations

import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from search_spaces import InputError

_UNGUARDED = 70
"""Exit status of a process that has started the parent's script a second time."""


class Work(Protocol):
    """The task of each process; the task and its result must be picklable."""

    def __call__(self, device: str, on_step: Callable[[int], None]) -> Any:
        """Do this process's share on ``device``; only the first process's result and steps are used."""


def require_devices(count: int, device: str) -> None:
    """Raise `InputError` unless there is a GPU for each of ``count`` processes, where ``device`` is cuda."""
    found = torch.cuda.device_count()
    if device == "cuda" and count > found:
        raise InputError(
            f"data_parallel is {count}, but torch finds {found} CUDA GPUs; give at most that many processes"
        )


def require_main_guard() -> None:
    """End this process if it is one of `run_together` that is only importing the parent's script.

    A process of torch imports the script that started it. Without ``if __name__ == "__main__":`` around its
    calls, that would start the same job again in every process; `run_together` then says so.
    """
    if getattr(mp.current_process(), "_inheriting", False):
        sys.exit(_UNGUARDED)


def run_together(work: Work, count: int, device: str, on_step: Callable[[int], None]) -> Any:
    """The result of ``work`` in the first of ``count`` processes.

    On ``cuda`` each process has a GPU of its own and they communicate over NCCL; on the CPU they share the
    cores and communicate over Gloo. All end when this process ends, however it ends. Images and weights are
    passed in shared memory.

    Raises any `InputError` that a process raised, and one for a script without a guard
    (`require_main_guard`); else ``RuntimeError`` with the traceback of the first process that failed; the
    others then fail only because that process is missing.
    """
    threads = max(1, torch.get_num_threads() // count)
    context = mp.get_context("spawn")
    messages, orders = context.SimpleQueue(), [context.SimpleQueue() for _ in range(count)]
    results: list[Any] = []

    def read() -> None:
        while not messages.empty():
            kind, content = messages.get()
            if kind == "error":
                raise content
            if kind == "failure":
                raise RuntimeError(f"one of {count} processes failed:\n{content}")
            if kind == "ready":  # sent on its way before, the work would fill a pipe that nobody reads
                orders[content].put(work)
            elif kind == "step":
                on_step(content)
            else:
                results.append(content)

    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        arguments = (orders, count, device, threads, meeting, messages)
        processes = start_processes(  # type: ignore[no-untyped-call]
            _do_part, arguments, nprocs=count, join=False, start_method="spawn"
        )
        try:
            done = False
            while not done:
                try:
                    done = processes.join(timeout=0.1)
                except ProcessExitedException as error:
                    if error.exit_code == _UNGUARDED:
                        raise InputError(
                            "each process of data_parallel imports the script that starts it; put the calls "
                            'of the script under if __name__ == "__main__":'
                        ) from error
                    raise
                finally:  # a process's last message says more than its exit status
                    read()
        finally:
            for process in processes.processes:
                process.terminate()
            for process in processes.processes:
                process.join()
    return results[0]


def _do_part(
    rank: int, orders: list[Any], count: int, device: str, threads: int, meeting: str, messages: Any
) -> None:
    # SIGINT tells this process that its parent has ended; shells make background jobs ignore the signal.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    messages.put(("ready", rank))
    work: Work = orders[rank].get()
    torch.set_num_threads(threads)
    backend: Literal["nccl", "gloo"] = "nccl" if device == "cuda" else "gloo"
    own = f"cuda:{rank}" if device == "cuda" else device
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=count)

    def step(done: int) -> None:
        if rank == 0:
            messages.put(("step", done))

    try:
        result = work(own, step)
        if rank == 0:
            messages.put(("result", result))
    except InputError as error:
        messages.put(("error", error))
    except Exception:
        messages.put(("failure", traceback.format_exc()))
    finally:
        dist.destroy_process_group()
