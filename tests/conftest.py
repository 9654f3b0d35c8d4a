"""One thread and one Ray for a process, laws on the same examples every time, and the groups of the tests."""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process that the tests start compiles torch anew
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the networks are tiny
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread that waits leaves its core to others
os.environ.setdefault("RAY_worker_niceness", "0")  # else workers starve beside another process of pytest
os.environ["NAS_PEFT_CACHE"] = "none"  # never the user's own; tests of the cache have folders of their own
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # nobody uses them: they are not forked

import gc
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from collected import COLLECTED, DESELECTED
from hypothesis import settings
from PIL import Image
from programs import ADDRESS, order

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=30)
settings.load_profile("repeatable")

TESTS = Path(__file__).parent
ON_RAY = {"ray_address", "run_between_states"}
"""Fixtures that use Ray, or were made on it."""
PROGRAMS = {"examples", "benchmarks"}
"""Folders whose tests run whole programs."""
SHARED = {"run_between_states": "the finished run", "store": "Ray of the programs"}
"""Fixtures that take long and are of several files, and the group of their tests."""
LIMIT = 400
"""Seconds for a program; about 30 on two idle cores."""

RunProgram = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def programs() -> Iterator[str]:
    """The address of a process that forks others, also the workers of Ray (see ``programs.py``)."""
    with tempfile.TemporaryDirectory(prefix="programs-", dir="/tmp") as folder:  # a short path for the socket
        address = str(Path(folder) / "orders")
        command = [sys.executable, str(TESTS / "programs.py"), address]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
            assert server.stdin is not None
            while not Path(address).exists():
                assert server.poll() is None, "the server of programs did not start"
                time.sleep(0.05)
            os.environ[ADDRESS], os.environ["RAY_RUNTIME_ENV_HOOK"] = address, "programs.fork_workers"
            yield address
            server.stdin.close()


@pytest.fixture(scope="session")
def ray_address(programs: str) -> Iterator[str]:
    """The address of a Ray of two cores, which this process is connected to, as a user with a cluster is."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    import ray

    started = ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield started.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="session")
def run_program(programs: str, tmp_path_factory: pytest.TempPathFactory) -> RunProgram:
    """Runs ``python ARGUMENTS`` in a process of its own, with what it writes (see ``programs.py``)."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] = os.environ
    ) -> subprocess.CompletedProcess[str]:
        output = tmp_path_factory.mktemp("output")
        names = [output / name for name in ("stdout", "stderr")]
        words = [str(argument) for argument in arguments]
        what = {"arguments": words, "cwd": str(cwd or Path.cwd()), "env": dict(env)}
        with Path(os.devnull).open() as nothing, names[0].open("w") as out, names[1].open("w") as errors:
            files = [file.fileno() for file in (nothing, out, errors)]
            with order(programs, files, **what, limit=LIMIT, group=False) as answer:
                status = int(answer.makefile().readline())
        return subprocess.CompletedProcess(words, status, *(name.read_text() for name in names))

    return run


@pytest.fixture(scope="session")
def insects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Task folder with two classes of 15 images, the second class a little brighter."""
    root = tmp_path_factory.mktemp("task") / "insects"
    rng = np.random.default_rng(0)
    for name, darkest in (("ant", 0), ("bee", 16)):
        (root / name).mkdir(parents=True)
        for i in range(15):
            pixels = rng.integers(darkest, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses Ray or is slow, tell pytest-xdist what belongs together, and begin with the longest."""
    collected = config.stash[COLLECTED] = {}
    for item in items:
        file = str(item.path.relative_to(TESTS))
        collected.setdefault(file, []).append(item.get_closest_marker("thorough") is not None)
        names = set(getattr(item, "fixturenames", ()))
        if names & ON_RAY:
            item.add_marker("ray")
        if PROGRAMS & set(item.path.relative_to(TESTS).parts) or _family(item) not in (None, "plain"):
            item.add_marker("slow")
        item.add_marker(pytest.mark.xdist_group(_group(item, names)))
    items.sort(key=_turn)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what is deselected, for the test of the suite."""
    if items:
        stash = items[0].config.stash
        stash[DESELECTED] = stash.get(DESELECTED, 0) + len(items)


def pytest_collection_finish() -> None:
    """Leave out what importing and collecting have made, millions of objects, when garbage is looked for."""
    gc.collect()
    gc.freeze()


def _group(item: pytest.Item, fixtures: set[str]) -> str:
    """Tests of a group run in one process and share fixtures: what takes long, a model family, a file."""
    for fixture in SHARED.keys() & fixtures:
        return SHARED[fixture]
    if "ray_address" in fixtures:  # few processes with a Ray: its workers take seconds each to import torch
        programs = PROGRAMS & set(item.path.relative_to(TESTS).parts)
        return "Ray of the programs" if programs else "Ray of the runs"
    if family := _family(item):
        return f"supernet of {family}"
    return str(item.path.relative_to(TESTS))


def _family(item: pytest.Item) -> str | None:
    """The model family that a test of supernets is repeated on."""
    return item.callspec.params.get("vit") if hasattr(item, "callspec") else None


def _turn(item: pytest.Item) -> int:
    """The finished run is made before there is a Ray; then what waits for other processes."""
    if "run_between_states" in getattr(item, "fixturenames", ()):
        return 0
    if item.get_closest_marker("ray"):
        return 1
    return 2 if item.get_closest_marker("slow") else 3
