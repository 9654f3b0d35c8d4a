"""What a training step of the supernet costs, beside timm's own model, PEFT's LoRA and VPT's prompts.

::

    python benchmarks/supernet_step.py --layers 6 --batch 8          # two CPU cores
    python benchmarks/supernet_step.py --device cuda --precision bf16

A training step is forward, cross-entropy, backward and AdamW (fused) on what the contestant trains; an
evaluation step is a forward pass in inference mode. Frozen weights are frozen for all but full fine-tuning.
The **floor** is timm's own model with frozen weights, a head, and the gradient taken down to the embedded
tokens, as any module in the first layer makes necessary: what is above it is what modules cost. Weights are
random, images are noise: neither changes the time.

Before anything is measured the contestants are compared numerically: the empty supernet and the floor give
timm's logits, prompts as keys and values give those of concatenated prompts, LoRA gives PEFT's, and one
architecture per image gives those of each image alone.

Then memory: each contestant alone on the device, peak of one step after two others; on CUDA
`torch.cuda.max_memory_allocated`, on a CPU the same of all tensors' storages (see `live_memory`). Then time:
all contestants in every repeat, one step each, in random order, so that a slower minute of the machine is one
for all. Reported are the median over repeats, and the median of the ratios within repeats.

``benchmarks/results/supernet_step.json`` (``--out``) has one entry for each device, backbone, number of
layers, precision and batch; a run replaces its own. With ``--contestant`` only these are measured, and
written only where ``--out`` is given. ``--profile NAME`` prints where a contestant's time goes, and
measures nothing.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

import torch
from backbone_quality import machine, whole_number
from exit_status import exit_status
from live_memory import LiveMemory
from rich.console import Console
from step_checks import check
from step_contestants import CLASSES, SEED, Contestant, Plan, built, cut, plans
from step_tables import goals_met, goals_table, speed_table
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from search_spaces import InputError, unknown_name
from search_spaces.streams import stream
from supernet import random_backbone, write_atomically
from supernet.execution import Precision

BACKBONE = "vit_base_patch16_224"
SIZES = (10, 100)
REPEATS = 7
WIDTH = 110
WARM_UP = 2
OUT = Path(__file__).parent / "results" / "supernet_step.json"


def peak_memory(
    plan: Plan, model: VisionTransformer, images: Tensor, labels: Tensor, precision: Precision
) -> dict[str, int]:
    """Bytes at the peak of one step and before it, of a contestant that is alone on the device."""
    contestant = plan.build(copy.deepcopy(model).to(images.device), len(images))
    for _ in range(WARM_UP):
        contestant.step(images, labels, precision)
    contestant.forget_gradients()
    gc.collect()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contestant.step(images, labels, precision)
        torch.cuda.synchronize()
        return {"peak_bytes": torch.cuda.max_memory_allocated(), "bytes_before": before}
    with LiveMemory([*contestant.tensors(), images, labels]) as memory:
        contestant.step(images, labels, precision)
    return {"peak_bytes": memory.peak, "bytes_before": memory.resident}


def step_times(
    contestants: Mapping[str, Contestant],
    images: Tensor,
    labels: Tensor,
    precision: Precision,
    repeats: int,
    on_repeat: Callable[[int], None],
) -> dict[str, list[float]]:
    """Seconds of a step of each, one in every repeat, after `WARM_UP` steps."""

    def timed(contestant: Contestant) -> float:
        started = time.perf_counter()
        contestant.step(images, labels, precision)
        if images.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    names = list(contestants)
    for name in names * WARM_UP:
        timed(contestants[name])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        gc.collect()
        for i in stream(SEED, "order", repeat).permutation(len(names)):
            seconds[names[i]].append(timed(contestants[names[i]]))
        on_repeat(repeat + 1)
    return seconds


def results_of(seconds: Mapping[str, Sequence[float]], batch: int) -> dict[str, dict[str, Any]]:
    """Medians, images per second, and speed beside the floor, or beside timm's own evaluation."""
    found: dict[str, dict[str, Any]] = {}
    for name, own in seconds.items():
        reference = "eval-timm" if name.startswith("eval-") else "floor"
        median = statistics.median(own)
        found[name] = {
            "seconds": [round(s, 6) for s in own],
            "median_seconds": median,
            "images_per_second": batch / median,
            "reference": reference,
            "speed_of_reference": speed_ratio(seconds, name, reference),
        }
    return found


def speed_ratio(seconds: Mapping[str, Sequence[float]], name: str, reference: str) -> float | None:
    """Median over repeats of how many times as fast ``name`` was; None where the reference is not there."""
    if reference not in seconds:
        return None
    return statistics.median(r / s for r, s in zip(seconds[reference], seconds[name], strict=True))


def profile(contestant: Contestant, images: Tensor, labels: Tensor, precision: Precision) -> str:
    """The operators that take most of three steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for _ in range(WARM_UP):
        contestant.step(images, labels, precision)
    cuda = images.device.type == "cuda"
    with profiled(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as found:
        for _ in range(3):
            contestant.step(images, labels, precision)
            if cuda:
                torch.cuda.synchronize()
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    text: str = found.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=60)
    return text


def chosen_plans(args: argparse.Namespace) -> dict[str, Plan]:
    """The contestants of the command line. Raises `InputError`."""
    everything = plans(args.sizes)
    for name in [*(args.contestant or []), *([args.profile] if args.profile else [])]:
        if name not in everything:
            raise unknown_name("contestant", name, everything)
    return {name: plan for name, plan in everything.items() if name in (args.contestant or everything)}


def load() -> float | None:
    """Processes that ran or waited in the last minute: on an idle machine about 0. None where unknown."""
    average = getattr(os, "getloadavg", None)  # not on Windows
    return round(average()[0], 2) if average else None


def versions() -> dict[str, str]:
    """Of what computes."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for package in ("timm", "peft", "nas-peft"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def entries_without(path: Path, key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries that are in the file already, less that of ``key``. Raises `InputError`."""
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
    """Checks, memory and time; what an entry says of them."""

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


def run(argv: Sequence[str] | None) -> None:
    """Measure, print and write what the command line asks for. Raises `InputError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--backbone", default=BACKBONE, help="timm name of a VisionTransformer (%(default)s)")
    add("--layers", type=whole_number, help="only its first so many layers (all)")
    add("--batch", type=whole_number, help="images in a step (64 on CUDA, 8 elsewhere)")
    add("--device", choices=["cpu", "cuda"], help="(cuda where there is one)")
    add("--precision", default="fp32", choices=get_args(Precision), help="(%(default)s)")
    add("--repeats", type=whole_number, default=REPEATS, help="(%(default)s)")
    add("--sizes", type=whole_number, action="append", help="of all kinds at once; repeat (10 and 100)")
    add("--contestant", action="append", help="measure only this; repeat for more (all)")
    add("--profile", metavar="NAME", help="print where the time of this contestant goes, and end")
    add("--out", type=Path, help="JSON file (benchmarks/results/supernet_step.json)")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, and torch finds no CUDA device; give cpu")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    args.batch = args.batch or (64 if args.device == "cuda" else 8)
    args.sizes = args.sizes or list(SIZES)
    chosen = chosen_plans(args)
    torch.manual_seed(SEED)  # of the heads
    backbone = random_backbone(args.backbone, SEED)
    if not isinstance(backbone.model, VisionTransformer):
        raise InputError(f"backbone '{args.backbone}' is not a timm VisionTransformer, which the floor is")
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
        "versions": versions(),
        **measured(chosen, model, images, args),
    }
    console = Console(width=WIDTH)
    console.print(speed_table(entry))
    console.print(goals_table(entry))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, (json.dumps({"entries": [*others, entry]}, indent=2) + "\n").encode())
        print(f"written to {out}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
