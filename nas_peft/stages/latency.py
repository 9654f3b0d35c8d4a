"""The stage that measures the latency that each module of a space adds to the backbone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas_peft.machine.environment import environment
from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import LatencyRecord
from search_spaces import Architecture, LatencyTable, SearchSpace
from search_spaces.kinds import KINDS
from search_spaces.streams import stream
from supernet import Backbone, Supernet
from supernet.latency import REPEATS, WARM_UP, measure_latencies, typical_latencies

SIZES = 4
"""Sizes of a kind to measure, at most; the latency of sizes in between is interpolated."""

SECONDS = 30.0
"""Seconds for which the networks are measured in turn."""


def latency_stage(run: Run[SearchInputs]) -> LatencyRecord:
    """The latency table with its cost, read from the run folder if the stage has finished.

    The table is measured once, so that a resumed search weighs candidates as before, even on another or a
    busier machine.
    """
    record = run.folder.read_stage("latency", LatencyRecord)
    with run.bars.stage("latency (rounds)") as advance:
        if record is None:
            inputs, batch_size = run.inputs, run.inputs.config.latency_batch_size
            started, memory = time.perf_counter(), PeakMemory(run.device)
            table, measured = measure_table(
                inputs.backbone,
                inputs.space,
                len(inputs.dataset.classes),
                batch_size=batch_size,
                device=run.device,
                seed=inputs.config.seed,
                on_round=lambda done: advance(done, done),
            )
            passes = (WARM_UP + REPEATS * measured["rounds"]) * len(measured["networks"])
            record = LatencyRecord(
                seconds=time.perf_counter() - started,
                image_passes_forward=passes * batch_size,
                peak_memory=memory.bytes,
                environment=environment(run.device),
                table=table.to_dict(),
                **measured,
            )
            run.folder.write_stage("latency", record)
        else:
            run.bars.find(record.rounds)
        advance(record.rounds, record.rounds)
    return record


def measure_table(
    backbone: Backbone,
    space: SearchSpace,
    classes: int,
    *,
    batch_size: int,
    device: str,
    seed: int,
    seconds: float = SECONDS,
    on_round: Callable[[int], None] = lambda done: None,
) -> tuple[LatencyTable, dict[str, Any]]:
    """The latency table of a space on a backbone, and how it was measured (JSON-able).

    The backbone with its head is measured alone and with modules of one kind and size in all layers (in the
    first layer, for a kind that exists only there); the added time is divided equally among these layers.
    Subnets are at exact size, in float32 and not merged, like an exported checkpoint. Latency does not depend
    on the weights, so they are not trained.
    """
    probes = _probes(space)
    networks = [
        Supernet(backbone.model.to(device), a, classes).eval()
        for a in (Architecture.empty(space.depth), *probes.values())
    ]
    images = blank_batch(backbone, batch_size, device)
    times = measure_latencies(networks, images, stream(seed, "latency"), seconds=seconds, on_round=on_round)
    usual = typical_latencies(times)
    base = float(usual[0])
    shares = {
        (kind, size): float(usual[i] - base) / sum(n > 0 for n in a[kind])
        for i, ((kind, size), a) in enumerate(probes.items(), 1)
    }
    table = LatencyTable(base, tuple((kind, rising(shares, kind)) for kind, _ in space.kinds))
    return table, {
        "unit": "milliseconds of a batch",
        "batch_size": batch_size,
        "image_size": list(images.shape[2:]),
        "threads": torch.get_num_threads(),
        "precision": "fp32",
        "modules": "not merged",
        "rounds": len(times),
        "networks": {
            "none": base,
            **{f"{kind}-{size}": float(usual[i]) for i, (kind, size) in enumerate(probes, 1)},
        },
    }


def blank_batch(backbone: Backbone, images: int, device: str) -> Tensor:
    """Zeros ``(images, 3, H, W)`` of the backbone's image size: latency does not depend on pixel values."""
    model: Any = backbone.model
    height, width = model.patch_embed.img_size or model.pretrained_cfg["input_size"][1:]
    return torch.zeros(images, 3, height, width, device=device)


def rising(shares: Mapping[tuple[str, int], float], kind: str) -> tuple[tuple[int, float], ...]:
    """Points (size, time) of one kind from (0, 0), fitted to the measurements so that times never fall.

    A size that measures faster than a smaller size is noise, which no race or budget may act on. The fit is
    isotonic regression (Barlow et al. 1972), at 0 or above.
    """
    from sklearn.isotonic import IsotonicRegression

    sizes = sorted(size for of, size in shares if of == kind)
    times = [shares[kind, size] for size in sizes]
    fitted: Sequence[float] = IsotonicRegression(y_min=0.0).fit_transform(np.asarray(sizes, float), times)
    return ((0, 0.0), *((size, float(time)) for size, time in zip(sizes, fitted, strict=True)))


def _probes(space: SearchSpace) -> dict[tuple[str, int], Architecture]:
    """Architectures whose latency tells what a kind adds at some of its sizes, by kind and size."""
    found = {}
    for kind, choices in space.kinds:
        sizes = choices.positive
        at = np.linspace(0, len(sizes) - 1, min(SIZES, len(sizes))).round().astype(int)
        layers = 1 if KINDS[kind].first_layer_only else space.depth
        for i in at.tolist():
            of_kind = [sizes[i]] * layers + [0] * (space.depth - layers)
            found[kind, sizes[i]] = Architecture.of(space.depth, {kind: of_kind})
    return found
