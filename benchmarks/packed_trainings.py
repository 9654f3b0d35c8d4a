"""Packed trainings compared with trainings one after another: seconds, and operations of a step.

Trains the same networks both ways, in turns, in one process, on random images of the shipped backbone's
size; random images cost as much as real ones. Measures wall-clock seconds and processor seconds; other
processes on the machine disturb the latter less. Ratios are of pairs that ran directly after each other.
``default`` is the way that a pack takes by itself on this device. Operations are counted over the forward and
backward pass of one step; views are left out, since they launch no kernel on a GPU::

    python -m benchmarks.packed_trainings --packs 4,8
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import timm
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.harness.command_line import StudyParser, exit_status
from search_spaces import Architecture, load_space
from search_spaces.streams import stream
from supernet import (
    Backbone,
    Constant,
    Pack,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    train,
    train_pack,
    write_atomically,
)

RESULTS = Path(__file__).parent / "results" / "packed_trainings.json"
CLASSES, BATCH, RATE = 10, 64, 1e-3

Kind: TypeAlias = Literal["one architecture", "random architectures"]
KINDS: tuple[Kind, ...] = ("one architecture", "random architectures")


class CountOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def architectures(kind: Kind, models: int, depth: int, seed: int) -> list[Architecture]:
    """Architectures of a pack: draws from the space ``default``, one for each model or one for all."""
    rng, space = stream(seed, "architectures"), load_space("default", depth)
    drawn = [space.sample(rng) for _ in range(models)]
    return drawn if kind == "random architectures" else [drawn[0]] * models


def networks(backbone: Backbone, chosen: Sequence[Architecture]) -> list[Supernet]:
    """Networks as their training begins."""
    return [Supernet(backbone.model, a, CLASSES, seed=i) for i, a in enumerate(chosen)]


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock, and of this process's threads on the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}


def operations(backbone: Backbone, chosen: Sequence[Architecture], images: Tensor) -> dict[str, int]:
    """Measurements of one step of all models: one after another, at exact sizes, and together."""
    labels = torch.zeros(BATCH, dtype=torch.long)
    found = {}
    with CountOperations() as counted:
        for network in networks(backbone, chosen):
            network.train()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
    found["alone"] = counted.count
    for name, together in (("exact", False), ("together", True)):
        pack = Pack([network.train() for network in networks(backbone, chosen)], together=together)
        with CountOperations() as counted:
            logits = pack(images.repeat(len(pack), 1, 1, 1))
            loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(pack)))
            loss.backward()  # type: ignore[no-untyped-call]
        found[name] = counted.count
    return found


def compare(
    backbone: Backbone, kind: Kind, models: int, *, images: int, rounds: int, seed: int
) -> dict[str, Any]:
    """Train ``models`` networks for an epoch, both ways, in each of ``rounds``."""
    generator = torch.Generator().manual_seed(seed)
    height, width = 32, 32
    pixels = torch.randint(0, 256, (images, 3, height, width), generator=generator).to(torch.uint8)
    labels = torch.arange(images) % CLASSES
    preprocessing, recipe = Preprocessing.of(backbone.model), Recipe(1, RATE, batch_size=BATCH)
    chosen = architectures(kind, models, backbone.depth, seed)

    def alone() -> None:
        for number, network in enumerate(networks(backbone, chosen)):
            train(network, pixels, labels, preprocessing=preprocessing, chooser=Constant(network.capacity),
                  recipe=recipe, seed=number)  # fmt: skip

    def packed(together: bool | None) -> None:
        train_pack(networks(backbone, chosen), pixels, labels, preprocessing=preprocessing,
                   recipes=[recipe] * models, seeds=range(models), together=together)  # fmt: skip

    ways = {
        "alone": alone,
        "default": lambda: packed(None),
        "exact": lambda: packed(False),
        "together": lambda: packed(True),
    }
    lines = []
    for number in range(rounds):
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        lines.append({name: timed(ways[name]) for name in order})
    ratios = {
        name: {
            of: statistics.median(line[name][of] / line["alone"][of] for line in lines)
            for of in ("clock", "processor")
        }
        for name in ("default", "exact", "together")
    }
    return {
        "kind": kind,
        "models": models,
        "architectures": [a.to_dict() for a in chosen],
        "operations": operations(backbone, chosen, preprocessing.normalise(pixels[:BATCH])),
        "median_ratio_to_alone": ratios,
        "rounds": lines,
    }


def run(argv: Sequence[str]) -> None:
    """Time packs as the options say, and write the report."""
    parser = StudyParser("packed_trainings", str(__doc__).splitlines()[0])
    parser.add_argument("--backbone", default="vit_micro_patch8_32")
    parser.add_argument("--packs", default="4,8", help="numbers of models")
    parser.add_argument("--images", type=int, default=256, help="images of the one epoch")
    parser.add_argument("--rounds", type=int, default=5, help="times that each way is timed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    backbone = create_backbone(args.backbone)
    options = {"images": args.images, "rounds": args.rounds, "seed": args.seed}
    found = []
    for models in (int(text) for text in args.packs.split(",")):
        for kind in KINDS:
            result = compare(backbone, kind, models, **options)
            print(models, kind, result["median_ratio_to_alone"], result["operations"], flush=True)
            found.append(result)
    report = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "threads": args.threads,
        "backbone": args.backbone,
        "batch_size": BATCH,
        **options,
        "packs": found,
    }
    write_atomically(args.out, (json.dumps(report, indent=1) + "\n").encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
