"""A cluster that is reached through Ray's client, from a process that does not belong to it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from nas_peft.cli.app import app

pytestmark = pytest.mark.ray

LIMIT = 400  # seconds; about 30 on two idle cores
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
"""As clusters ask for; both sides have to be told."""
COMMAND = "from nas_peft.cli.app import app; app()"
CONNECT = "import ray, sys; ray.init(address=sys.argv[1]); assert ray.cluster_resources()['CPU'] == 2"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def connects(address: str) -> bool:
    """Whether the cluster is ready: its client server is there a little earlier."""
    program = [sys.executable, "-c", CONNECT, address]
    return subprocess.run(program, env=os.environ | TOKEN, capture_output=True, timeout=LIMIT).returncode == 0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the client server of a Ray in other processes."""
    port, client = free_ports(2)
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path: sockets lie in it
    ray = Path(sys.executable).with_name("ray")
    options = ["--port", port, "--ray-client-server-port", client, "--num-cpus", 2, "--temp-dir", folder]
    head = subprocess.Popen(
        [str(ray), "start", "--head", "--block", "--include-dashboard=false", *map(str, options)],
        env=os.environ | TOKEN,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + LIMIT
        address = f"ray://127.0.0.1:{client}"
        while not connects(address):
            assert head.poll() is None, "Ray did not start"
            assert time.monotonic() < end, "Ray's client server does not answer"
        yield address
    finally:
        head.terminate()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def nas_peft(*arguments: Any) -> None:
    """Run the tool in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments), "--device", "cpu"],
        env=os.environ | TOKEN,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr


def numbers(run: Path) -> list[Any]:
    """What must not depend on where trainings run."""
    result = json.loads((run / "results.json").read_text())
    return [
        (row["name"], row["error"], [(seed["val_loss"], seed["test_loss"]) for seed in row["seeds"]])
        for row in result["rows"]
    ]


def test_trainings_on_a_cluster_come_back_and_are_those_of_this_machine(
    address: str, tiny_values: dict[str, Any], tmp_path: Path
):
    same = ["--dataset", tiny_values["dataset"], "--budget", "2100", "--batch-size", 16, "--epochs", 2]
    command = ["baselines", *same, "--baselines", "linear", "--linear-epochs", 2, "--cpus-per-trial", 1]
    there, here = tmp_path / "there", tmp_path / "here"
    nas_peft(*command, "--out", there, "--ray-address", address)
    nas_peft(*command, "--out", here)
    assert numbers(there) == numbers(here)
    files = [sorted(file.name for file in (run / "trainings").iterdir()) for run in (there, here)]
    assert files[0] == files[1]
    for file in (here / "trainings").glob("*.safetensors"):
        assert (there / "trainings" / file.name).read_bytes() == file.read_bytes()


def test_workers_on_a_cluster_score_as_this_process_does(
    address: str, tiny_values: dict[str, Any], tmp_path: Path
):
    sizes = {"population": 6, "generations": 1, "supernet_epochs": 1, "epochs": 1, "linear_epochs": 2}
    options = [text for name, value in sizes.items() for text in (f"--{name.replace('_', '-')}", value)]
    command = ["search", "--dataset", tiny_values["dataset"], "--batch-size", 16, "--no-retrain", *options]
    there, here = tmp_path / "there", tmp_path / "here"
    nas_peft(*command, "--out", there, "--workers", 2, "--ray-address", address)
    done = CliRunner().invoke(app, [*map(str, command), "--out", str(here), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert numbers(there) == numbers(here)
    first, second = (load_file(run / "generations" / "000.safetensors") for run in (there, here))
    assert first.keys() == second.keys()
    assert all(
        torch.equal(value.nan_to_num(-1), second[name].nan_to_num(-1)) for name, value in first.items()
    )
