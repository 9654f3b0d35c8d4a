"""A cluster that is reached through Ray's client, from a process that does not belong to it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from nas_peft.cli.app import app

pytestmark = [pytest.mark.ray, pytest.mark.thorough]

LIMIT = 400  # seconds; about 30 on two idle cores
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
"""As clusters ask for; both sides have to be told."""
PATIENT = {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "60"}
"""Ray gives a client's own server half a minute to start, which is little beside other tests."""
COMMAND = "from nas_peft.cli.app import app; app()"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def connects(port: int) -> bool:
    """Whether something listens at this port: the client server is the last to start."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the client server of a Ray in other processes."""
    port, client = free_ports(2)
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path: sockets lie in it
    ray = Path(sys.executable).with_name("ray")
    options = ["--port", port, "--ray-client-server-port", client, "--num-cpus", 2, "--temp-dir", folder]
    head = subprocess.Popen(
        [str(ray), "start", "--head", "--block", "--include-dashboard=false", *map(str, options)],
        env=os.environ | TOKEN | PATIENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + LIMIT
        address = f"ray://127.0.0.1:{client}"
        while not connects(client):
            assert head.poll() is None, "Ray did not start"
            assert time.monotonic() < end, "Ray's client server does not answer"
            time.sleep(0.2)
        yield address
    finally:
        head.terminate()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def nas_peft(run_program: Callable[..., Any], *arguments: Any) -> None:
    """Run the tool in a process of its own."""
    done = run_program("-c", COMMAND, *arguments, "--device", "cpu", env=os.environ | TOKEN)
    assert done.returncode == 0, done.stderr


def numbers(run: Path) -> list[Any]:
    """What must not depend on where trainings run."""
    result = json.loads((run / "results.json").read_text())
    return [
        (row["name"], row["error"], [(seed["val_loss"], seed["test_loss"]) for seed in row["seeds"]])
        for row in result["rows"]
    ]


@pytest.fixture(scope="module")
def runs(
    address: str,
    ray_address: str,
    tiny_values: dict[str, Any],
    tmp_path_factory: Any,
    run_program: Callable[..., Any],
) -> tuple[Path, Path]:
    """One search whose candidates are scored and rows are trained on the cluster, and the same one here."""
    values = tiny_values | {"generations": 1, "supernet_epochs": 1, "baselines": "linear"}
    options = [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", value)]
    command = ["search", *options, "--cpus-per-trial", 2]
    there, here = (tmp_path_factory.mktemp("runs") / name for name in ("there", "here"))
    nas_peft(run_program, *command, "--workers", 2, "--out", there, "--ray-address", address)
    done = CliRunner().invoke(app, [*map(str, command), "--out", str(here), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    return there, here


def test_trainings_on_a_cluster_come_back_and_are_those_of_this_machine(runs: tuple[Path, Path]):
    there, here = runs
    assert numbers(there) == numbers(here)
    files = [sorted(file.name for file in (run / "trainings").iterdir()) for run in runs]
    assert files[0] == files[1]
    for file in (here / "trainings").glob("*.safetensors"):
        assert (there / "trainings" / file.name).read_bytes() == file.read_bytes()


def test_workers_on_a_cluster_score_as_those_of_this_machine(runs: tuple[Path, Path]):
    first, second = (load_file(run / "generations" / "000.safetensors") for run in runs)
    assert first.keys() == second.keys()
    assert all(
        torch.equal(value.nan_to_num(-1), second[name].nan_to_num(-1)) for name, value in first.items()
    )
