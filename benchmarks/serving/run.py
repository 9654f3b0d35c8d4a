"""The measurement of a server and its table."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import machine, versions
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.serving.clients import Client, Hostile, hostile_status, request
from benchmarks.serving.hostile_requests import HostileRequests, random_images
from search_spaces import InputError, load_space
from search_spaces.streams import stream
from supernet import (
    DEFAULT_BACKBONE,
    Preprocessing,
    Subnet,
    Supernet,
    create_backbone,
    load_subnet,
    save_subnet,
)

OUT = RESULTS / "serving.json"
MAX_BODY = 1  # MiB
TOLERANCE = 1e-3  # of logits between -10 and 10, in batches of other sizes
FLAT = (
    24 * 2**20
)  # bytes by which a server may be larger after the hostile requests than after a tenth of them


@dataclass(frozen=True)
class Case:
    """A request, and the logits ``(classes,)`` that its answer must have."""

    sent: bytes
    task: str
    logits: np.ndarray


def write_subnets(folder: Path, tasks: int, seed: int) -> dict[str, Path]:
    """Subnet files of random architectures and weights, each with classes of its own."""
    backbone = create_backbone(DEFAULT_BACKBONE)
    space = load_space("large", backbone.depth)
    rng = stream(seed, "served subnets")
    generator = torch.Generator().manual_seed(seed)
    files = {}
    for index in range(tasks):
        classes = tuple(f"class {index}.{i}" for i in range(3 + index))
        network = Supernet(backbone.model, space.sample(rng), len(classes), seed=seed + index).eval()
        with torch.no_grad():
            for value in network.layers.parameters():
                value.add_(0.02 * torch.randn(value.shape, generator=generator))
            network.head.weight.mul_(40)
        files[f"task{index}"] = folder / f"task{index}.safetensors"
        subnet = Subnet(network, backbone, classes, Preprocessing.of(backbone.model), {}, {})
        save_subnet(subnet, files[f"task{index}"])
    return files


def expected_cases(files: dict[str, Path], images: Sequence[bytes]) -> list[Case]:
    """A case for each image and task, by each subnet alone. Raises if two could be taken for each other."""
    backbone = create_backbone(DEFAULT_BACKBONE)
    cases = []
    for name, file in files.items():
        logits = load_subnet(file, backbone).logits(Image.open(BytesIO(image)) for image in images).numpy()
        path = f"/tasks/{name}/predict?logits=true&top=1"
        cases += [Case(request("POST", path, i), name, row) for i, row in zip(images, logits, strict=True)]
        apart = min(np.abs(a - b).max() for a, b in itertools.combinations(logits, 2))
        if apart < 10 * TOLERANCE:
            raise ValueError(f"two images of {name} have nearly equal logits; give another --seed")
    return cases


@contextmanager
def started_server(files: dict[str, Path], folder: Path, send_seconds: float) -> Iterator[tuple[int, int]]:
    """Port and process of ``nas-peft serve``. At the end it must stop by SIGTERM with status 0."""
    words = [f"--task={name}={file}" for name, file in files.items()]
    words += [f"--folder={folder}", "--port=0", f"--max-body={MAX_BODY}", f"--send-seconds={send_seconds}"]
    command = [sys.executable, "-m", "nas_peft", "serve", *words, "--device=cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline() + server.stdout.readline()
            found = re.search(r"serving at http://127\.0\.0\.1:(\d+)", said)
            if found is None:
                raise InputError(f"the server did not start: {server.communicate()[1].strip()}")
            yield int(found[1]), server.pid
            server.send_signal(signal.SIGTERM)
            _, errors = server.communicate(timeout=60)
            if server.returncode != 0 or errors:
                raise RuntimeError(
                    f"the server ended with status {server.returncode}: {errors.strip()[-500:]}"
                )
        finally:
            with suppress(ProcessLookupError):
                server.kill()


async def measure_load(
    port: int, cases: Sequence[Case], clients: int, seconds: float, seed: int
) -> dict[str, Any]:
    """Latencies and throughput of clients that ask one question after another for ``seconds``."""
    latencies: list[float] = []
    wrong = 0

    async def client(number: int) -> None:
        nonlocal wrong
        rng = stream(seed, "load", clients, number)
        async with Client(port) as connection:
            while time.perf_counter() < end:
                case = cases[int(rng.integers(len(cases)))]
                asked = time.perf_counter()
                answer = await connection.ask(case.sent)
                latencies.append(time.perf_counter() - asked)
                wrong += not _is_own(answer, case)

    started = time.perf_counter()
    end = started + seconds
    await asyncio.gather(*(client(number) for number in range(clients)))
    wall = time.perf_counter() - started
    percentiles = np.percentile(np.array(latencies) * 1000, [50, 95, 99])
    return {
        "clients": clients,
        "answers": len(latencies),
        "wrong": wrong,
        "per_second": len(latencies) / wall,
        "milliseconds": dict(zip(("50%", "95%", "99%"), map(float, percentiles), strict=True)),
    }


async def check_answers(
    port: int, cases: Sequence[Case], count: int, clients: int, seed: int
) -> dict[str, int]:
    """Each of ``count`` answers compared with the logits of its own image by its own subnet."""
    found: Counter[str] = Counter()
    chosen = iter(stream(seed, "answers").integers(len(cases), size=count).tolist())

    async def client() -> None:
        async with Client(port) as connection:
            for index in chosen:  # shared: each question is asked once
                try:
                    answer = await asyncio.wait_for(connection.ask(cases[index].sent), 60)
                except (ConnectionError, EOFError, asyncio.TimeoutError):
                    found["lost"] += 1
                    await connection.close()
                else:
                    found["own" if _is_own(answer, cases[index]) else "mixed_up"] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return {"asked": count, "own": found["own"], "lost": found["lost"], "mixed_up": found["mixed_up"]}


def _is_own(answer: tuple[int, Any], case: Case) -> bool:
    status, content = answer
    if status != 200 or content["task"] != case.task or len(content["logits"]) != len(case.logits):
        return False
    best = f"class {case.task.removeprefix('task')}.{int(case.logits.argmax())}"
    near = np.abs(np.array(content["logits"]) - case.logits).max() < TOLERANCE
    return bool(near and content["classes"][0]["name"] == best)


async def check_hostile(
    port: int, pid: int, requests: Sequence[Hostile], at_once: int, seconds: float
) -> dict[str, Any]:
    """Statuses of hostile requests by kind, and the server's memory meanwhile, in MiB."""
    statuses: dict[str, Counter[int]] = {}
    memory: list[int] = []
    waiting = iter(requests)
    done = 0

    async def client() -> None:
        nonlocal done
        for hostile in waiting:
            status = await hostile_status(port, hostile, seconds)
            statuses.setdefault(hostile.kind, Counter())[status] += 1
            done += 1
            if done % max(1, len(requests) // 10) == 0:
                memory.append(_resident(pid))

    await asyncio.gather(*(client() for _ in range(at_once)))
    refused = sum(n for found in statuses.values() for status, n in found.items() if 400 <= status < 500)
    return {
        "sent": len(requests),
        "refused_with_4xx": refused,
        "statuses": {k: {str(s): n for s, n in sorted(v.items())} for k, v in sorted(statuses.items())},
        "memory_mib": [round(bytes_ / 2**20, 1) for bytes_ in memory],
        "memory_flat": memory[-1] - memory[0] <= FLAT,
    }


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(args: Any) -> dict[str, Any]:
    """All measurements of one server; JSON-able."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subnets = folder / "subnets"
        subnets.mkdir()
        files = write_subnets(subnets, args.tasks, args.seed)
        images = random_images(args.images, stream(args.seed, "images"))
        cases = expected_cases(files, images)
        marker = folder / "unpickled"
        maker = HostileRequests("task0", images, MAX_BODY * 2**20, str(marker), stream(args.seed, "hostile"))
        hostile = maker.draw(args.hostile)
        patience = args.send_seconds + 30
        with started_server(files, subnets, args.send_seconds) as (port, pid):
            asyncio.run(check_answers(port, cases, 4 * args.tasks, 4, args.seed))  # warm-up
            load = [
                asyncio.run(measure_load(port, cases, clients, args.seconds, args.seed))
                for clients in args.clients or (1, 8, 32)
            ]
            answers = _noted("answers", lambda: check_answers(port, cases, args.answers, 32, args.seed))
            refused = _noted("hostile requests", lambda: check_hostile(port, pid, hostile, 16, patience))
            after = asyncio.run(check_answers(port, cases, 100, 8, args.seed + 1))
        refused["unpickled"] = marker.exists()
    return {
        "backbone": DEFAULT_BACKBONE,
        "tasks": args.tasks,
        "seed": args.seed,
        "machine": machine() | {"load_before": round(os.getloadavg()[0], 1)},
        "versions": versions(),
        "load": load,
        "answers": answers,
        "hostile": refused,
        "answers_after_hostile": after,
    }


def _noted(what: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return await work()

    started = time.perf_counter()
    found = asyncio.run(run())
    print(f"{what}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def failures(found: dict[str, Any]) -> list[str]:
    """What the server got wrong; empty if nothing."""
    hostile = found["hostile"]
    checks = {
        "answers under load were wrong": any(row["wrong"] for row in found["load"]),
        "answers were lost or mixed up": found["answers"]["own"] != found["answers"]["asked"],
        "hostile requests were not answered with 4xx": hostile["refused_with_4xx"] != hostile["sent"],
        "a pickle was loaded": hostile["unpickled"],
        "memory grew": not hostile["memory_flat"],
        "answers after the hostile requests were wrong": found["answers_after_hostile"]["own"] != 100,
    }
    return [what for what, failed in checks.items() if failed]


def as_table(found: dict[str, Any]) -> Table:
    """Table with a row for each number of clients."""
    table = Table(title=f"{found['tasks']} tasks on {found['backbone']}, one image a request")
    for name in ("clients", "answers/s", "50% ms", "95% ms", "99% ms"):
        table.add_column(name, justify="right")
    for row in found["load"]:
        times = (f"{row['milliseconds'][p]:.1f}" for p in ("50%", "95%", "99%"))
        table.add_row(str(row["clients"]), f"{row['per_second']:.0f}", *times)
    return table


def run(argv: Sequence[str]) -> None:
    """Measure, print and write. Raises `InputError` for mistakes, and ``SystemExit`` if a check fails."""
    parser = StudyParser("serving", "Measure a server of many tasks on loopback.")
    add = parser.add_argument
    add("--clients", action="append", type=whole_number, help="clients at once; repeat for more (1, 8, 32)")
    add("--seconds", type=float, default=15.0, help="seconds of each number of clients (%(default)s)")
    add("--answers", type=whole_number, default=10_000, help="answers to compare (%(default)s)")
    add("--hostile", type=whole_number, default=1_000, help="hostile requests (%(default)s)")
    add("--tasks", type=whole_number, default=8, help="subnets of different architectures (%(default)s)")
    add("--images", type=whole_number, default=64, help="different images (%(default)s)")
    add("--send-seconds", type=float, default=1.0, help="the server's patience with senders (%(default)s)")
    add("--seed", type=int, default=0, help="seed of subnets, images and requests (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file to write (benchmarks/results/serving.json)")
    args = parser.parse_args(argv)
    if args.out.is_dir():
        raise InputError(f"--out '{args.out}' is a folder; give the name of a .json file")
    found = measure(args)
    Console().print(as_table(found))
    answers, hostile = found["answers"], found["hostile"]
    print(
        f"answers: {answers['own']:,} of {answers['asked']:,} own, {answers['lost']} lost, "
        f"{answers['mixed_up']} mixed up"
    )
    refused, memory = hostile["refused_with_4xx"], hostile["memory_mib"]
    print(f"hostile: {refused:,} of {hostile['sent']:,} refused; MiB from {memory[0]} to {memory[-1]}")
    write_result(args.out, found | {"failures": failures(found)}, indent=1)
    if failures(found):
        print(f"failed: {'; '.join(failures(found))}", file=sys.stderr)
        raise SystemExit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
