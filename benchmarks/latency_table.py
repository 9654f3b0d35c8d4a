"""Measure how well sums over modules predict the latency of whole subnets.

::

    python -m benchmarks.latency_table --backbone vit_micro_patch8_32 --batch-size 8

A search with ``--front-cost latency`` measures the milliseconds that a module of each kind and size adds in a
layer, and predicts the latency of a subnet as their sum. This benchmark measures whole subnets, drawn at
random from the space (half of them flat over log size, half uniformly), and compares. It reports the relative
error of the whole latency; the error of the time that modules add, since most of the whole is the backbone's;
and Kendall's tau between predictions and measurements. The backbone without modules is measured again among
the subnets: ``drift`` is the difference of the two measurements. Predictions are not corrected for it.

Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.audit.ranking import kendall_tau
from nas_peft.machine.devices import resolve_device
from nas_peft.machine.environment import environment
from nas_peft.stages.latency import blank_batch, measure_table
from search_spaces import (
    Architecture,
    InputError,
    LatencyTable,
    SearchSpace,
    count_params,
    load_space,
    sampler_over_range,
)
from search_spaces.streams import stream
from supernet import DEFAULT_BACKBONE, Backbone, Supernet, random_backbone
from supernet.latency import measure_latencies, typical_latencies

CLASSES = 10
OUT = RESULTS / "latency_table.json"


def random_subnets(space: SearchSpace, backbone: Backbone, count: int, seed: int) -> list[Architecture]:
    """Draw subnets, half flat over log size and half uniform over sizes."""
    over_range = sampler_over_range(space, backbone.shape, count_params(space.largest(), backbone.shape))
    rng = stream(seed, "latency subnets")
    return [space.sample(rng) if i % 2 else over_range.sample(rng) for i in range(count)]


def direct_latencies(
    subnets: Sequence[Architecture],
    backbone: Backbone,
    batch_size: int,
    device: str,
    seed: int,
    seconds: float,
) -> np.ndarray:
    """Latencies of subnets in milliseconds, shape ``(n,)``, measured side by side."""
    networks = [Supernet(backbone.model, a, CLASSES).eval().to(device) for a in subnets]
    images = blank_batch(backbone, batch_size, device)
    return typical_latencies(
        measure_latencies(networks, images, stream(seed, "direct latencies"), seconds=seconds)
    )


def compared(predicted: np.ndarray, measured: np.ndarray, base: float) -> dict[str, float]:
    """Errors and ranking of predictions, ``(n,)`` in milliseconds; ``base`` is the backbone's latency."""
    error = np.abs(predicted - measured)
    added = np.abs(measured - base)
    return {
        "median_relative_error": float(np.median(error / measured)),
        "largest_relative_error": float(np.max(error / measured)),
        "median_relative_error_of_added": float(np.median(error / added)),
        "kendall_tau": kendall_tau(predicted, measured),
    }


def measure(
    name: str, space: str, subnets: int, batch_size: int, device: str, seed: int, seconds: float
) -> dict[str, Any]:
    """Latency table of one backbone and space, and its predictions beside direct measurements."""
    backbone = random_backbone(name, seed)
    searched = load_space(space, backbone.depth)
    table, how = measure_table(
        backbone, searched, CLASSES, batch_size=batch_size, device=device, seed=seed, seconds=seconds
    )
    drawn = random_subnets(searched, backbone, subnets, seed)
    empty = Architecture.empty(searched.depth)
    base, *measured = direct_latencies([empty, *drawn], backbone, batch_size, device, seed, seconds)
    predicted = [table.latency(a) for a in drawn]
    return {
        "backbone": name,
        "space": space,
        "environment": environment(device),
        "seed": seed,
        "table": table.to_dict(),
        **how,
        "drift": float(base) / table.base - 1,
        "subnets": [
            {"modules": a.describe(), "predicted": p, "measured": float(m)}
            for a, p, m in zip(drawn, predicted, measured, strict=True)
        ],
        **compared(np.array(predicted), np.array(measured), float(base)),
    }


def as_table(found: Sequence[dict[str, Any]]) -> Table:
    """Table with a row for each measurement."""
    table = Table(title="latency of subnets: sums over modules against direct measurements")
    table.add_column("backbone, space")
    for name in ("batch", "base ms", "added ms", "error %", "of added", "drift %", "τ"):
        table.add_column(name, justify="right", no_wrap=True)
    for m in found:
        base = LatencyTable.from_dict(m["table"]).base * (1 + m["drift"])  # measured beside the subnets
        added = [s["measured"] - base for s in m["subnets"]]
        table.add_row(
            f"{m['backbone']}, {m['space']}",
            str(m["batch_size"]),
            f"{base:.2f}",
            f"{min(added):.2f} to {max(added):.2f}",
            f"{100 * m['median_relative_error']:.1f}",
            f"{100 * m['median_relative_error_of_added']:.0f}",
            f"{100 * m['drift']:+.1f}",
            f"{m['kendall_tau']:.2f}",
        )
    return table


def run(argv: Sequence[str]) -> None:
    """Measure the backbones of the command line, print and write. Raises `InputError`."""
    parser = StudyParser(
        "latency_table", "Measure how well sums over modules predict the latency of whole subnets."
    )
    add = parser.add_argument
    add("--backbone", action="append", help=f"timm name; repeat for more ({DEFAULT_BACKBONE})")
    add("--space", action="append", help="search space: a preset or a file; repeat for more (default)")
    add("--batch-size", action="append", type=int, help="images of a batch; repeat for more (8)")
    add("--subnets", type=int, default=24, help="random subnets that are measured directly (%(default)s)")
    add("--seed", type=int, default=0, help="seed of the subnets and of their order (%(default)s)")
    add(
        "--seconds",
        type=float,
        default=30.0,
        help="time after which a measurement ends, once it has 7 rounds (%(default)s)",
    )
    add("--device", default="auto", help="device of all measurements: auto, cpu or cuda (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file to write (benchmarks/results/latency_table.json)")
    args = parser.parse_args(argv)
    if args.subnets < 2 or min(args.batch_size or [8]) < 1:
        raise InputError("give at least 2 --subnets, and a --batch-size of at least 1")
    if args.out.is_dir():
        raise InputError(f"--out '{args.out}' is a folder; give the name of a .json file")
    device = resolve_device(args.device)
    found = [
        measure(name, space, args.subnets, batch_size, device, args.seed, args.seconds)
        for name in args.backbone or [DEFAULT_BACKBONE]
        for space in args.space or ["default"]
        for batch_size in args.batch_size or [8]
    ]
    Console().print(as_table(found))
    write_result(args.out, {"measurements": found}, indent=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
