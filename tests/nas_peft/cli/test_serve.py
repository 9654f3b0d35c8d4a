"""``nas-peft serve`` as a command: mistakes in one line, a start, and an end with status 0."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas_peft.cli.app import app
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet, save_subnet

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def checkpoint(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained subnet of two classes."""
    network = Supernet(backbone.model, Architecture.uniform(8, "lora_rank", 1), 2, seed=5).eval()
    file: Path = tmp_path_factory.mktemp("run") / "subnet.safetensors"
    preprocessing = Preprocessing.of(backbone.model)
    save_subnet(Subnet(network, backbone, ("ant", "bee"), preprocessing, {}, {}), file)
    return file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no subnet to serve; give a FILE"),
        (("FILE", "--task", "x"), "--task 'x' names no file"),
        (("FILE", "--host", "0.0.0.0"), "needs a token"),
        (("FILE", "--token-file", "none"), "no token file at 'none'"),
        (("FILE", "--folder", "none"), "no folder at 'none'"),
        (("FILE", "--host", "192.0.2.1", "--token-file", "TOKEN"), "no address of this machine"),
        (("FILE", "--device", "tpu"), "give auto, cpu or cuda"),
        (("FILE", "--max-body", "inf"), "--max-body is inf; give a finite number of MiB"),
        (("FILE", "--max-wait", "inf"), "--max-wait is inf; give a finite number of milliseconds"),
        (("FILE", "--send-seconds", "inf"), "--send-seconds is inf; give a finite number of seconds"),
        (("none.safetensors",), "no subnet checkpoint at 'none.safetensors'"),
        (("FILE", "--module-file", "none.py"), "no module file at 'none.py'"),
    ],
)
def test_mistakes_are_one_line(arguments, message, checkpoint: Path, tmp_path: Path):
    (tmp_path / "token").write_text(TOKEN)
    given = {"FILE": str(checkpoint), "TOKEN": str(tmp_path / "token")}
    words = [given.get(word, word) for word in arguments]
    result = CliRunner(env={"NAS_PEFT_TOKEN": None}).invoke(app, ["serve", *words, "--port", "0"])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_the_extra_is_named_where_it_is_missing(checkpoint: Path, monkeypatch):
    monkeypatch.setattr("nas_peft.deployment.extra.EXTRAS", {"serve": ("fastapi", "no_such_library")})
    result = CliRunner().invoke(app, ["serve", str(checkpoint)])
    assert result.exit_code == 2
    assert result.stderr == (
        "error: nas-peft serve needs no_such_library, which is not installed; install with: "
        "pip install 'nas-peft[serve]'\n"
    )


@pytest.mark.thorough
@pytest.mark.slow
def test_it_serves_with_a_token_until_it_is_told_to_end(checkpoint: Path):
    words = ["serve", "--task", f"insects={checkpoint}", "--port", "0", "--device", "cpu"]
    environment = os.environ | {"NAS_PEFT_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-m", "nas_peft", *words]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "loaded insects on vit_micro_patch8_32 (cpu)\n"
        found = re.fullmatch(
            r"serving at (http://127.0.0.1:\d+) \(Ctrl\+C ends\)\n", started.stdout.readline()
        )
        assert found
        request = urllib.request.Request(f"{found[1]}/tasks", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert [task["name"] for task in json.load(answer)["tasks"]] == ["insects"]
        started.send_signal(signal.SIGTERM)
        said, errors = started.communicate(timeout=60)
        assert (started.returncode, said, errors) == (0, "ended; all requests are answered\n", "")
    finally:
        started.kill()
        started.communicate()
