"""How well sums over modules predict the latency of whole subnets.

::

    python benchmarks/latency_table.py --backbone vit_micro_patch8_32 --batch-size 8

A search with ``--front-cost latency`` measures what a module of each kind and size adds in a layer, and takes
a subnet's latency to be the sum. Here random subnets of the space, half drawn flat over log size and half
uniformly, are measured as wholes and compared: the relative error of the whole latency, and since most of
that is the backbone's, the error of what the modules add, and how well the sums rank the subnets (Kendall's
tau). The backbone without modules is measured again among the subnets, for what differs between the two
measurements themselves (``drift``); predictions are not corrected by it.

Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from exit_status import exit_status
from rich.console import Console
from rich.table import Table

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
from supernet import DEFAULT_BACKBONE, Backbone, Supernet, random_backbone, write_atomically
from supernet.latency import measure_latencies, typical_latencies

CLASSES = 10
RESULTS = Path(__file__).parent / "results" / "latency_table.json"


def random_subnets(space: SearchSpace, backbone: Backbone, count: int, seed: int) -> list[Architecture]:
    """Half of them flat over log size, half uniform over sizes."""
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
    """Milliseconds of each, measured side by side."""
    networks = [Supernet(backbone.model, a, CLASSES).eval().to(device) for a in subnets]
    images = blank_batch(backbone, batch_size, device)
    return typical_latencies(
        measure_latencies(networks, images, stream(seed, "direct latencies"), seconds=seconds)
    )


def compared(predicted: np.ndarray, measured: np.ndarray, base: float) -> dict[str, float]:
    """What the predictions are worth; both ``(n,)`` in milliseconds, ``base`` the backbone's."""
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
    """The table of one backbone and space, and its predictions beside direct measurements."""
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
    """One line for each measurement."""
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help lists the options")


def run(argv: Sequence[str]) -> None:
    """Measure, print and write what the command line asks for. Raises `InputError`."""
    parser = _Parser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--backbone", action="append", help=f"timm name; repeat for more ({DEFAULT_BACKBONE})")
    add("--space", action="append", help="preset or file; repeat for more (default)")
    add("--batch-size", action="append", type=int, help="images of a batch; repeat for more (8)")
    add("--subnets", type=int, default=24, help="random ones, measured directly (%(default)s)")
    add("--seed", type=int, default=0, help="of the subnets and of the order (%(default)s)")
    add("--seconds", type=float, default=30.0, help="of each measurement, or 7 rounds (%(default)s)")
    add("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    add("--out", type=Path, default=RESULTS, help="JSON file to write")
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
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, (json.dumps({"measurements": found}, indent=1) + "\n").encode())
    print(f"written to {args.out}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
