"""Worker processes that share the cores, each running one job after another."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Protocol, TypeVar

import torch

_J = TypeVar("_J", contravariant=True)


class Worker(Protocol[_J]):
    """State that a process loads once and then runs jobs with."""

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Worker[_J]:
        """Load everything that jobs need; torch computes on ``threads`` threads."""

    def run(self, job: _J) -> dict[str, Any]:
        """Return the line of a job, JSON-able."""


_worker: Worker[Any] | None = None


def _start_worker(kind: type[Worker[Any]], args: argparse.Namespace, threads: int) -> None:
    global _worker
    _worker = kind.load(args, threads)


def _run_in_worker(job: Any) -> dict[str, Any]:
    assert _worker is not None
    return _worker.run(job)


def run_jobs(jobs: Sequence[_J], args: argparse.Namespace, worker: Worker[_J]) -> Iterator[dict[str, Any]]:
    """Yield the line of each job as the job ends.

    One worker (``args.workers``) is this process. More are spawned processes that divide torch's threads
    among them and load their own state, so that lines come in any order.
    """
    if args.workers == 1:
        yield from map(worker.run, jobs)
        return
    threads = max(1, torch.get_num_threads() // args.workers)
    with ProcessPoolExecutor(
        args.workers, multiprocessing.get_context("spawn"), _start_worker, (type(worker), args, threads)
    ) as pool:
        for future in as_completed([pool.submit(_run_in_worker, job) for job in jobs]):
            yield future.result()
