"""Scoring on several devices at once by Ray workers, which hold the supernets and the images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.node_copies import copy_to_nodes
from nas_peft.machine.accelerator import ending_if_broken, release_memory
from nas_peft.machine.container import whole_cores
from nas_peft.machine.peak_memory import largest
from nas_peft.machine.ray_process_group import WorkerDied, error_behind
from nas_peft.machine.ray_session import RayOptions, RaySession
from nas_peft.run.module_files import SentModuleFile, import_sent_module_files
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.balanced import scorer_for
from nas_peft.scoring.scorer import Fold, Found, LocalScorer, Scorer, pass_size
from search_spaces import Architecture, InputError
from supernet import Backbone, Precision, Preprocessing, Supernet, shared_passes
from supernet.scoring import images_of_pass
from supernet.scoring_tree import groups

DEATHS = 5
"""Number of workers that may die during a search; more are no accident."""


@contextmanager
def scoring(run: Run[SearchInputs], folds: Sequence[Fold]) -> Iterator[Scorer]:
    """The scorer of a run's candidates: this process, or several workers, for which Ray is started.

    The metric of the run decides whether its losses count classes alike, see `scorer_for`.
    """
    inputs, labels = run.inputs, [fold.part.labels for fold in folds]
    if run.workers == 1 and not run.devices.elsewhere:
        local = LocalScorer(folds, inputs.preprocessing, inputs.config.chosen_precision)
        yield scorer_for(inputs.config.metric, local, labels)
        return
    with RayScorer(
        folds,
        inputs,
        workers=run.workers,
        device=run.devices.workers,
        module_files=inputs.module_files,
        ray_options=run.ray,
    ) as scorer:
        yield scorer_for(inputs.config.metric, scorer, labels)


def require_workers(workers: int, device: str, ray_options: RayOptions) -> None:
    """Raise `InputError` unless each of ``workers`` can have a GPU, or a core.

    The resources of a Ray at an address are known only after connecting to it.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; give 1 or more")
    if workers == 1 or ray_options.address is not None:
        return
    import ray

    if ray.is_initialized():  # by the caller; may be a cluster
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        found = int(resources.get("GPU" if device == "cuda" else "CPU", 0))
    else:
        found = torch.cuda.device_count() if device == "cuda" else whole_cores()
    if workers > found:
        what = "CUDA GPUs" if device == "cuda" else "cores"
        raise InputError(f"workers is {workers}, but there are only {found} {what}; give at most {found}")


@dataclass(frozen=True)
class _Held:
    """The contents of each worker, put into Ray's object store once; a fold is trained tensors and images."""

    backbone: Backbone
    capacity: Architecture
    classes: int
    folds: Sequence[tuple[dict[str, Tensor], Part]]
    preprocessing: Preprocessing
    precision: Precision


@dataclass(frozen=True)
class _Share:
    """A part of the work of one call: some architectures on some images, by their positions in the call."""

    rows: list[int]
    columns: slice


class RayScorer:
    """A `Scorer` that splits the images of a call over ``workers`` Ray actors; a context manager.

    Each actor holds the supernets and the images, on a GPU of its own or with its share of the cores. Images
    are split where the passes of `LocalScorer` end: every pass has the same images and architectures, so the
    losses are the same to the last bit for any number of workers. A worker that dies (out of memory, with
    its machine, or because its GPU context broke) is replaced, and its share is repeated. `RaySession` says
    where Ray runs.

    Raises `InputError` when more than `DEATHS` workers have died.
    """

    def __init__(
        self,
        folds: Sequence[Fold],
        inputs: SearchInputs,
        *,
        workers: int,
        device: str,
        module_files: Sequence[Path] = (),
        ray_options: RayOptions | None = None,
    ) -> None:
        self._folds = folds
        self._inputs = inputs
        self._count = workers
        self._device = device
        self._module_files = [SentModuleFile.of(file) for file in module_files]
        self._session = RaySession(ray_options or RayOptions())
        self._workers: list[Any] = []
        self._held: Any = None
        self._deaths = 0

    def __enter__(self) -> RayScorer:
        self._ray: Any = self._session.connect()
        backbone, network = self._inputs.backbone, self._folds[0].supernet
        copy_to_nodes(self._ray, [fold.part for fold in self._folds])
        self._held = self._ray.put(
            _Held(
                replace(backbone, model=copy.deepcopy(backbone.model).cpu()),
                network.capacity,
                network.num_classes,
                [
                    ({k: v.cpu() for k, v in f.supernet.module_tensors(network.capacity).items()}, f.part)
                    for f in self._folds
                ],
                self._inputs.preprocessing,
                self._inputs.config.chosen_precision,
            )
        )
        if self._device != "cpu":  # frees the GPUs for the workers
            for fold in self._folds:
                fold.supernet.cpu()
            release_memory(self._device)
        self._workers = [self._new_worker() for _ in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []
        self._held = None
        self._session.__exit__(kind, error, trace)

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        return [len(fold.part) for fold in self._folds]

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """See `Scorer.score`."""
        shares = self._shares(len(indices), fold, architectures)
        losses = np.empty((len(architectures), len(indices)), dtype=np.float32)
        hits = np.empty(losses.shape, dtype=bool)
        peaks: list[int | None] = []

        def start(number: int) -> tuple[Any, Any]:
            share, worker = shares[number], self._workers[number % self._count]
            among = [architectures[i] for i in share.rows]
            return worker.score.remote(fold, indices[share.columns], among), worker

        pending: dict[Any, tuple[int, Any]] = {}
        for number in range(len(shares)):
            task, worker = start(number)
            pending[task] = number, worker
        while pending:
            (task,), _ = self._ray.wait(list(pending), num_returns=1)
            number, worker = pending.pop(task)
            try:
                found = self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                behind = error_behind(self._ray, error)
                if not isinstance(behind, WorkerDied):
                    raise behind from None
                self._replace(number % self._count, worker)
                task, worker = start(number)
                pending[task] = number, worker
                continue
            at = np.ix_(shares[number].rows, range(*shares[number].columns.indices(len(indices))))
            losses[at], hits[at] = found.losses, found.hits
            peaks.append(found.peak_memory)
        return Found(losses, hits, shared_passes(architectures) * len(indices), largest(peaks))

    def _shares(self, images: int, fold: int, architectures: Sequence[Architecture]) -> list[_Share]:
        """The shares of a call: each group of architectures, split into at most one share per worker."""
        supernet, shares = self._folds[fold].supernet, []
        together = self._device != "cpu"
        for rows in groups(architectures):
            step = images_of_pass(pass_size(supernet), len(rows), together)
            passes = -(-images // step)
            ends = sorted({min(images, step * (passes * (i + 1) // self._count)) for i in range(self._count)})
            starts = [0, *ends[:-1]]
            shares += [_Share(rows, slice(a, b)) for a, b in zip(starts, ends, strict=True) if b > a]
        return shares

    def _new_worker(self) -> Any:
        total = int(self._ray.cluster_resources().get("CPU", 1))
        cores = max(1, total // self._count) if self._device == "cpu" else 1
        gpus = 1 if self._device == "cuda" else 0
        actor = self._ray.remote(num_cpus=cores, num_gpus=gpus)(_Worker)
        return actor.remote(self._held, self._device, cores, self._module_files)

    def _replace(self, index: int, dead: Any) -> None:
        if self._workers[index] is not dead:
            return  # already replaced after the failure of another of its shares
        self._deaths += 1
        if self._deaths > DEATHS:
            raise InputError(
                f"{self._deaths} scoring workers have died, at most {DEATHS} may; they may have run out of "
                "memory: give fewer --workers, and start the same command again to go on"
            )
        self._ray.kill(dead)  # also where only its answer was lost
        self._workers[index] = self._new_worker()


class _Worker:
    """The actor: a `LocalScorer` in a process of its own."""

    def __init__(self, held: _Held, device: str, cores: int, module_files: list[SentModuleFile]) -> None:
        import_sent_module_files(module_files)
        torch.set_num_threads(cores)
        folds = []
        for tensors, part in held.folds:
            network = Supernet(held.backbone.model.to(device), held.capacity, held.classes)
            network.load_module_tensors(tensors)
            folds.append(Fold(network.eval(), part))
        self._scorer = LocalScorer(folds, held.preprocessing, held.precision)

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """See `Scorer.score`."""
        # arrays from Ray's store are read-only, which makes torch warn
        with ending_if_broken():
            return self._scorer.score(fold, indices.copy(), architectures)
