"""Command line of the benchmark of training steps."""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import machine, versions
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.supernet_step.checks import check
from benchmarks.supernet_step.contestants import CLASSES, SEED, Plan, built, cut, plans
from benchmarks.supernet_step.measurement import peak_memory, profile, results_of, speed_ratio, step_times
from benchmarks.supernet_step.tables import goals_met, goals_table, speed_table
from search_spaces import InputError, unknown_name
from supernet import random_backbone
from supernet.precision import Precision

BACKBONE = "vit_base_patch16_224"
SIZES = (10, 100)
REPEATS = 7
WIDTH = 110
OUT = RESULTS / "supernet_step.json"


def chosen_plans(args: argparse.Namespace) -> dict[str, Plan]:
    """Contestants of the command line. Raises `InputError` for an unknown name."""
    everything = plans(args.sizes)
    for name in [*(args.contestant or []), *([args.profile] if args.profile else [])]:
        if name not in everything:
            raise unknown_name("contestant", name, everything)
    return {name: plan for name, plan in everything.items() if name in (args.contestant or everything)}


def load() -> float | None:
    """Processes that ran or waited in the last minute, about 0 on an idle machine; None if unknown."""
    average = getattr(os, "getloadavg", None)  # not on Windows
    return round(average()[0], 2) if average else None


def installed_versions() -> dict[str, str]:
    """Versions of Python, torch, timm and nas-peft, and of PEFT if it is installed."""
    return versions() | ({"peft": version("peft")} if find_spec("peft") else {})


def entries_without(path: Path, key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of the file but that of ``key``. Raises `InputError` for another kind of file."""
    if not path.exists():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["entries"]
        return [entry for entry in entries if any(entry[k] != value for k, value in key.items())]
    except (json.JSONDecodeError, LookupError, TypeError) as error:
        raise InputError(f"'{path}' is not a file of this benchmark; give another --out") from error


def measured(
    chosen: Mapping[str, Plan], model: VisionTransformer, images: Tensor, args: argparse.Namespace
) -> dict[str, Any]:
    """Check the contestants, measure memory and time, and return their part of the entry."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    device = images.device
    labels = torch.arange(len(images), device=device) % CLASSES
    checks = check(copy.deepcopy(model).to(device), images[:3], peft="peft-lora" in chosen)
    say("contestants agree: " + ", ".join(f"{name} {gap:.1e}" for name, gap in checks.items()))
    memory = {}
    for name, plan in chosen.items():
        memory[name] = peak_memory(plan, model, images, labels, args.precision)
        say(f"memory of {name} measured")
    shared = copy.deepcopy(model).to(device)
    contestants = {name: built(plan, shared, len(images)) for name, plan in chosen.items()}
    seconds = step_times(
        contestants,
        images,
        labels,
        args.precision,
        args.repeats,
        lambda done: say(f"{done}/{args.repeats} repeats"),
    )
    results = results_of(seconds, len(images))
    for name, plan in chosen.items():
        results[name] |= {"about": plan.about, **memory[name]}
    met = goals_met(results, lambda name, reference: speed_ratio(seconds, name, reference))
    return {"checks": checks, "contestants": results, "goals": met}


def run(argv: Sequence[str]) -> None:
    """Measure the contestants of the command line, print and write. Raises `InputError`."""
    parser = StudyParser(
        "supernet_step", "Measure time and memory of training steps of the supernet and of other models."
    )
    add = parser.add_argument
    add("--backbone", default=BACKBONE, help="timm name of a VisionTransformer (%(default)s)")
    add("--layers", type=whole_number, help="use only this many layers of the backbone, the first ones (all)")
    add("--batch", type=whole_number, help="images in a step (64 on CUDA, 8 elsewhere)")
    add("--device", choices=["cpu", "cuda"], help="device of all steps (cuda if there is one, else cpu)")
    add(
        "--precision",
        default="fp32",
        choices=get_args(Precision),
        help="precision of all steps (%(default)s)",
    )
    add("--repeats", type=whole_number, default=REPEATS, help="timed steps of each contestant (%(default)s)")
    add(
        "--sizes",
        type=whole_number,
        action="append",
        help="size of all kinds in a supernet; repeat for more supernets (10 and 100)",
    )
    add("--contestant", action="append", help="measure only this contestant; repeat for more (all)")
    add(
        "--profile",
        metavar="NAME",
        help="only print the operators that take most of this contestant's time",
    )
    add("--out", type=Path, help="JSON file of the entries (benchmarks/results/supernet_step.json)")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, and torch finds no CUDA device; give cpu")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    args.batch = args.batch or (64 if args.device == "cuda" else 8)
    args.sizes = args.sizes or list(SIZES)
    chosen = chosen_plans(args)
    torch.manual_seed(SEED)  # heads
    backbone = random_backbone(args.backbone, SEED)
    if not isinstance(backbone.model, VisionTransformer):
        raise InputError(
            f"backbone '{args.backbone}' is not a timm VisionTransformer, which the floor needs; give a vit_*"
        )
    model = cut(backbone.model, args.layers)
    size = model.patch_embed.img_size
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(args.batch, 3, *size, generator=generator).to(args.device)
    if args.profile:
        labels = torch.arange(args.batch, device=images.device) % CLASSES
        one = built(plans(args.sizes)[args.profile], model.to(args.device), args.batch)
        print(profile(one, images, labels, args.precision))
        return
    key = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else machine()["processor"],
        "backbone": args.backbone,
        "layers": len(model.blocks),
        "precision": args.precision,
        "batch": args.batch,
    }
    out = args.out or (None if args.contestant else OUT)
    others = entries_without(out, key) if out else []
    entry = key | {
        "image_size": list(size),
        "sizes": args.sizes,
        "repeats": args.repeats,
        "seed": SEED,
        "machine": machine() | {"load_before": load()},
        "versions": installed_versions(),
        **measured(chosen, model, images, args),
    }
    console = Console(width=WIDTH)
    console.print(speed_table(entry))
    console.print(goals_table(entry))
    if out:
        write_result(out, {"entries": [*others, entry]}, indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
