"""Check of a GPU: the GPU tests and the speed goals, in one command that needs no Ray.

::

    python -m benchmarks.gpu_check                      # the first GPU, bf16, ViT-B/16, batch 64
    python -m benchmarks.gpu_check --device cpu --tiny  # the script itself, in less than a minute

Weights are random and images are noise; neither changes the time. In every repeat the contestants of a goal
make one step each, in random order, and the clock stops when the device has finished. The ratio is the median
over repeats of the ratios within repeats. Scoring speed counts the forward passes that are computed (layers
that candidates share count once), in multiples of the images per second of timm's own model. Packed trainings
are compared with the same trainings one after another, of networks with different random architectures.

Writes ``benchmarks/results/gpu_check.<device>.json`` (``--out``) after each of the `PARTS`: device, versions,
seed, seconds of every step, goals, the tests' output, and what was left out and why. ``--parts`` runs some of
them, and keeps the others of a file that is there.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.harness.machine import machine
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.supernet_step.contestants import CLASSES, KINDS, SEED, built, cut, plans, uniform
from benchmarks.supernet_step.measurement import speed_ratio, step_times
from nas_peft.machine.accelerator import leave_gpu
from search_spaces import Architecture, InputError, load_space
from search_spaces.streams import stream
from supernet import (
    Constant,
    Execution,
    Preprocessing,
    Recipe,
    Supernet,
    random_backbone,
    score,
    shared_passes,
    train,
    train_pack,
)
from supernet.frozen_weights import cast_once
from supernet.precision import Precision, computing_in

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "gpu"
PACKAGES = ("torch", "timm", "peft", "safetensors", "scikit-learn", "nas-peft", "ray")
NEEDED_BY_THE_JOB = ("ray", "optuna", "pydantic")
SIZE = 10
TEST_SECONDS = 420.0
"""Seconds after which the GPU tests are ended; on one GPU and 16 cores they should take three minutes."""
OUTPUT_LINES = 80
PARTS = ("steps", "scoring", "packed", "tests")
"""The parts of the check in their order; the tests come last, as they take longest."""


@dataclass(frozen=True)
class Scale:
    """How much is measured: the backbone, its layers (all if ``None``), images and repeats."""

    backbone: str
    layers: int | None
    batch: int
    candidates: int
    images: int
    repeats: int
    packed_backbone: str
    packed: int
    """Trainings of a pack."""
    packed_steps: int


FULL = Scale("vit_base_patch16_224", None, 64, 32, 200, 15, "vit_small_patch16_224", 8, 8)
TINY = Scale("vit_tiny_patch16_224", 1, 2, 3, 4, 2, "vit_tiny_patch16_224", 2, 1)

STEP_GOALS = (
    (f"supernet-{SIZE}", "floor", 0.95),
    (f"supernet-per-image-{SIZE}", "floor", 0.90),
    (f"eval-supernet-{SIZE}", "eval-timm", 0.95),
    (f"eval-supernet-per-image-{SIZE}", "eval-timm", 0.95),
)
"""Contestant, reference and least ratio of speeds."""
SCORING_GOAL = 0.9
PACKED_GOAL = 3.0


def steps(
    model: VisionTransformer, device: torch.device, precision: Precision, scale: Scale
) -> list[dict[str, Any]]:
    """Goals of training and evaluation steps."""
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(scale.batch, 3, *model.patch_embed.img_size, generator=generator).to(device)
    labels = torch.arange(scale.batch, device=device) % CLASSES
    names = {name for contestant, reference, _ in STEP_GOALS for name in (contestant, reference)}
    chosen = {name: plan for name, plan in plans([SIZE]).items() if name in names}
    contestants = {name: built(plan, model, scale.batch) for name, plan in chosen.items()}
    with cast_once(model, precision):  # as in a training
        seconds = step_times(contestants, images, labels, precision, scale.repeats, lambda done: None)
    return [
        goal(name, reference, least, speed_ratio(seconds, name, reference) or 0.0, seconds)
        for name, reference, least in STEP_GOALS
    ]


def scoring(
    model: VisionTransformer, device: torch.device, precision: Precision, scale: Scale
) -> dict[str, Any]:
    """The goal of scoring many candidates on the same images."""
    supernet = Supernet(model, uniform(len(model.blocks), dict.fromkeys(KINDS, SIZE)), CLASSES, seed=SEED)
    rng = stream(SEED, "candidates")
    candidates = [_random(supernet.capacity, rng) for _ in range(scale.candidates)]
    preprocessing = Preprocessing.of(model)
    generator = torch.Generator().manual_seed(SEED)
    shape = (scale.images, *preprocessing.input_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.arange(scale.images) % CLASSES
    normalised = preprocessing.normalise(pixels.to(device))

    def of_supernet() -> None:
        score(supernet, pixels, labels, candidates, preprocessing=preprocessing, precision=precision)

    @torch.inference_mode()
    def of_timm() -> None:
        with computing_in(device, precision), cast_once(model, precision):
            model(normalised)

    seconds = paired({"scoring": of_supernet, "timm": of_timm}, device, scale.repeats)
    passes = shared_passes(candidates)
    ratio = statistics.median(
        passes * timm / own for own, timm in zip(seconds["scoring"], seconds["timm"], strict=True)
    )
    return goal("scoring", "timm", SCORING_GOAL, ratio, seconds) | {
        "candidates": scale.candidates,
        "images": scale.images,
        "passes_of_an_image": passes,
    }


def packed(device: torch.device, precision: Precision, scale: Scale) -> dict[str, Any]:
    """The goal of several trainings in one pack, compared with one after another."""
    model = random_backbone(scale.packed_backbone, SEED).model
    assert isinstance(model, VisionTransformer)
    model = cut(model, scale.layers).to(device)
    space, rng = load_space("default", len(model.blocks)), stream(SEED, "packed architectures")
    chosen = [space.sample(rng) for _ in range(scale.packed)]
    networks = [Supernet(model, architecture, CLASSES, seed=i) for i, architecture in enumerate(chosen)]
    preprocessing = Preprocessing.of(model)
    number = scale.packed_steps * scale.batch
    generator = torch.Generator().manual_seed(SEED)
    shape = (number, *preprocessing.input_size)
    # on the device beforehand: a few steps would be little beside a copy for each training
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
    labels = torch.arange(number) % CLASSES
    recipe, execution = Recipe(1, 1e-3, batch_size=scale.batch), Execution(precision)

    def together() -> None:
        train_pack(
            networks,
            pixels,
            labels,
            preprocessing=preprocessing,
            recipes=[recipe] * len(networks),
            seeds=range(len(networks)),
            execution=execution,
        )

    def alone() -> None:
        for seed, network in enumerate(networks):
            train(
                network,
                pixels,
                labels,
                preprocessing=preprocessing,
                chooser=Constant(network.capacity),
                recipe=recipe,
                seed=seed,
                execution=execution,
            )

    seconds = paired({"packed trainings": together, "one after another": alone}, device, scale.repeats)
    ratio = statistics.median(
        one / pack
        for one, pack in zip(*(seconds[k] for k in ("one after another", "packed trainings")), strict=True)
    )
    found = goal("packed trainings", "one after another", PACKED_GOAL, ratio, seconds)
    return found | {"trainings": scale.packed, "backbone": scale.packed_backbone}


def paired(
    contestants: Mapping[str, Callable[[], None]], device: torch.device, repeats: int
) -> dict[str, list[float]]:
    """Seconds of each contestant in every repeat, in random order, after one that is not counted."""
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(-1, repeats):
        for i in stream(SEED, "order", repeat + 1).permutation(len(names)):
            _wait(device)
            started = time.perf_counter()
            contestants[names[i]]()
            _wait(device)
            if repeat >= 0:
                seconds[names[i]].append(round(time.perf_counter() - started, 6))
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def goal(
    name: str, reference: str, least: float, ratio: float, seconds: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """A goal, the measured ratio, and the seconds behind it; JSON-able."""
    of = {key: list(seconds[key]) for key in (name, reference)}
    line = {"contestant": name, "reference": reference, "goal": least, "measured": ratio}
    return line | {"met": ratio >= least, "seconds": of}


def _random(capacity: Architecture, rng: Any) -> Architecture:
    sizes = {k: rng.integers(0, [n + 1 for n in capacity[k]]).tolist() for k in capacity.kinds}
    return Architecture.of(capacity.depth, sizes)


def gpu_tests(seconds: float = TEST_SECONDS) -> dict[str, Any]:
    """Run the tests that need a GPU; their exit status and the end of their output.

    The exit status is ``None`` if they took more than ``seconds`` and were ended.
    """
    # the project's own options ask for pytest-xdist, and its other tests for more packages; a warning of a
    # driver or of another version of torch is no failure
    options = ["-o", "addopts=", "-o", "filterwarnings=default", "--import-mode=importlib"]
    options += ["-m", "gpu", f"--confcutdir={TESTS}"]
    command = [
        sys.executable,
        "-u",
        "-m",
        "pytest",
        *options,
        "-ra",
        "-v",
        "--no-header",
        "--durations=5",
        str(TESTS),
    ]
    status: int | None
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False
        )
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status, output = None, error.stdout or b""
    lines = output.decode(errors="replace").splitlines()[-OUTPUT_LINES:]
    return {"exit_status": status, "output": lines, "seconds_allowed": seconds}


def left_out(device: torch.device) -> list[str]:
    """What is not checked here, each with the reason."""
    found = []
    if device.type != "cuda":
        found.append("tests of a GPU: the device is a CPU")
    elif not _is_installed("pytest"):
        found.append("tests of a GPU: pytest is not installed")
    elif torch.cuda.device_count() < 2:
        found.append("data parallel training with NCCL: there is one GPU")
    if missing := [name for name in NEEDED_BY_THE_JOB if not _is_installed(name)]:
        found.append(f"the main job and separate trainings: {', '.join(missing)} not installed")
    return found


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # its import is blocked
        return False


def installed() -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {"python": sys.version.split()[0], "cuda": torch.version.cuda or "none"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def run(argv: Sequence[str]) -> None:
    """Check the device of the command line, print and write. Raises `InputError`."""
    parser = StudyParser("gpu_check", "Run the tests that need a GPU and measure the goals of speed on it.")
    add = parser.add_argument
    add("--device", choices=["cpu", "cuda"], default="cuda", help="device to check (%(default)s)")
    add("--tiny", action="store_true", help="one layer and few images, to try the script; no goal counts")
    add("--parts", type=_parts, default=",".join(PARTS), help="parts of the check (%(default)s)")
    add("--out", type=Path, help="JSON file (benchmarks/results/gpu_check.<device>.json)")
    args: argparse.Namespace = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no GPU of CUDA; give --device cpu --tiny to try the script")
    device = torch.device(args.device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    precision: Precision = "bf16" if args.device == "cuda" else "fp32"
    scale = TINY if args.tiny else FULL
    torch.manual_seed(SEED)  # heads of the contestants
    model = random_backbone(scale.backbone, SEED).model
    assert isinstance(model, VisionTransformer)
    model = cut(model, scale.layers).to(device)
    works: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "steps": lambda: steps(model, device, precision, scale),
        "scoring": lambda: [scoring(model, device, precision, scale)],
        "packed": lambda: [packed(device, precision, scale)],
    }
    file: Path = args.out or RESULTS / f"gpu_check.{re.sub(r'[^A-Za-z0-9]+', '-', name)}.json"
    about = {
        "device": name,
        "tiny": args.tiny,
        "precision": precision,
        "backbone": scale.backbone,
        "batch": scale.batch,
        "seed": SEED,
        "machine": machine(),
        "versions": installed(),
    }
    result = about | _kept(file, about, args.parts)
    for part in args.parts:
        if part == "tests":
            leave_gpu(model, args.device)
            runs = args.device == "cuda" and _is_installed("pytest")
            result["tests"] = gpu_tests() if runs else None
        else:
            result["goals"] += [{"part": part, **line} for line in works[part]()]
            result["goals"].sort(key=lambda line: PARTS.index(line["part"]))
        result["parts"] = [other for other in PARTS if other in (*result["parts"], part)]
        missing = [f"{other}: not run yet" for other in PARTS if other not in result["parts"]]
        result["left_out"] = [*missing, *left_out(device)]
        write_result(file, result, indent=1)
    goals, tests = result["goals"], result["tests"]
    for line in goals:
        met = "met" if line["met"] else "not met"
        print(
            f"{line['contestant']} / {line['reference']}: {line['measured']:.3f}, goal {line['goal']}: {met}"
        )
    for line in result["left_out"]:
        print(f"left out: {line}")
    if tests is not None:
        print("\n".join(tests["output"][-3:]))
        if tests["exit_status"] is None:
            print(f"the tests of a GPU were ended after {tests['seconds_allowed']:.0f} s")


def _kept(file: Path, about: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """What a file has of other parts than ``parts``. Raises `InputError` for the file of another check."""
    nothing: dict[str, Any] = {"parts": [], "tests": None, "goals": []}
    if set(parts) == set(PARTS) or not file.exists():
        return nothing
    earlier = json.loads(file.read_text(encoding="utf-8"))
    if any(earlier.get(name) != value for name, value in about.items()):
        raise InputError(f"'{file}' is of another check; give another --out, or leave --parts out")
    return {
        "parts": [part for part in earlier["parts"] if part not in parts],
        "tests": None if "tests" in parts else earlier["tests"],
        "goals": [line for line in earlier["goals"] if line["part"] not in parts],
    }


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if wrong := [part for part in parts if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"there is no part '{wrong[0]}'; give some of {', '.join(PARTS)}")
    return [part for part in PARTS if part in parts]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
