"""What the README says is so: its first commands run, its tree is the tree, CI runs its test command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from nas_peft.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TINY = ["--supernet-epochs", "1", "--epochs", "1", "--linear-epochs", "1", "--generations", "1"]
TINY += [
    "--population",
    "4",
    "--retrain",
    "1",
    "--shots",
    "5",
    "--cpus-per-trial",
    "2",
    "--baselines",
    "full",
]


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
    first_screen = "\n".join(README.splitlines()[:45])
    assert "nas-peft search --dataset digits" in first_screen
    assert "<!-- digits table -->" in first_screen
    assert "<!-- end of digits table -->" in first_screen


def test_every_folder_in_the_tree_is_there() -> None:
    tree = README.split("## What is where")[1].split("```")[1]
    named = re.findall(r"^ *([a-z_]+)/", tree, flags=re.MULTILINE)
    assert [name for name in named if not is_a_folder(name)] == []
    assert 0 < len(named) <= 12


def test_every_room_is_in_the_design() -> None:
    rooms = {path.parent.name for path in (ROOT / "nas_peft").glob("*/__init__.py")}
    layers = (ROOT / "docs" / "design.md").read_text().split("## Layers")[1].split("\n## ")[0]
    assert set(re.findall(r"`([a-z_]+)/`", layers)) == rooms


def is_a_folder(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / "nas_peft" / name).is_dir()


def test_ci_runs_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    assert "eval" in script
    command = README.split("<!-- test command -->")[1].split("```")[1].removeprefix("sh\n").strip()
    assert "'.[test]'" in command
    for part in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert f" .venv/bin/{part} " in command


@pytest.mark.parametrize("failing", [None, "pip", "ruff", "mypy", "pytest"])
def test_the_test_command_fails_when_a_part_fails(tmp_path: Path, failing: str | None) -> None:
    """With parts that do nothing, one of which fails."""
    command = README.split("<!-- test command -->")[1].split("```")[1].removeprefix("sh\n").strip()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for part in ("pip", "ruff", "mypy", "pytest", "python3"):
        program = tmp_path / (".venv/bin" if part != "python3" else "") / part
        program.write_text(f"#!/bin/sh\nexit {int(part == failing)}\n")
        program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=os.environ | path)
    assert (done.returncode == 0) == (failing is None)


def test_ci_leaves_the_checkout_alone_and_fails_with_the_command(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    tracked = {
        "README.md": "<!-- test command -->\n```sh\n[ ! -e .venv ] && touch made && cat 'a b'; exit 3\n```\n"
    }
    tracked |= {"a b": "tracked\n", "deleted": ""}
    tracked |= dict.fromkeys((".ci/thorough", ".ci/wheel"), "echo never reached\n")
    for name, text in tracked.items():
        (tmp_path / name).write_text(text)
    for arguments in (["init", "-q"], ["add", "README.md", "a b", "deleted", ".ci"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    (tmp_path / "deleted").unlink()
    (tmp_path / ".venv").mkdir()
    room = tmp_path / "room"
    room.mkdir()
    for program in ("chromium", "chromedriver"):
        make_program(tmp_path / "bin" / program, "exit 9")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"TMPDIR": str(room), "PATH": path}
    done = subprocess.run(
        ["bash", tmp_path / ".ci" / "run"], capture_output=True, text=True, env=environment, cwd=room
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "tracked"
    assert (tmp_path / ".venv").is_dir()
    assert not (tmp_path / "made").exists()
    assert list(room.iterdir()) == []


@pytest.mark.parametrize("there", [(), ("chromium",), ("chromium", "chromedriver")])
def test_ci_installs_the_browser_where_it_is_missing(tmp_path: Path, there: tuple[str, ...]) -> None:
    programs = tmp_path / "bin"
    for name in ("bash", "git", "sed", "tar", "mktemp", "rm", "dirname"):
        found = shutil.which(name)
        assert found
        programs.mkdir(exist_ok=True)
        (programs / name).symlink_to(found)
    for name in there:
        make_program(programs / name, "exit 9")
    make_program(programs / "id", "echo 0")
    make_program(programs / "apt-get", f'echo "$@" >> {tmp_path}/installed')
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    for step in ("thorough", "wheel"):  # after the command
        (tmp_path / ".ci" / step).write_text(f"echo {step} $NAS_PEFT_REQUIRE_BROWSER\n")
    command = "true"
    (tmp_path / "README.md").write_text(f"<!-- test command -->\n```sh\n{command}\n```\n")
    for arguments in (["init", "-q"], ["add", "README.md", ".ci"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    environment = {"PATH": str(programs), "HOME": str(tmp_path)}
    done = subprocess.run(
        [programs / "bash", tmp_path / ".ci" / "run"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (0, ["thorough 1", "wheel 1"]), done.stderr
    wanted = " ".join(("chromium", "chromium-driver")[len(there) :])
    expected = f"-qq update\n-qq install -y {wanted}\n" if wanted else ""
    installed = tmp_path / "installed"
    assert (installed.read_text() if installed.exists() else "") == expected


def make_program(path: Path, line: str) -> None:
    """A shell script of one line."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{shutil.which('bash')}\n{line}\n")
    path.chmod(0o755)


def test_the_quick_command_is_that_of_pytest() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    command = text.split("<!-- quick command -->")[1].split("```")[1].removeprefix("sh\n").strip()
    assert command.startswith(".venv/bin/pytest ")


@pytest.mark.thorough
@pytest.mark.ray
def test_main_job_and_predict_run(tmp_path: Path, run_program: Callable[..., Any]) -> None:
    line = next(line for line in shell_lines() if "nas-peft search --dataset digits" in line)
    command = shlex.split(line.split("&&")[-1])
    tool = Path(sys.executable).with_name(Path(command[0]).name)
    out, space = tmp_path / "run", tmp_path / "small.yaml"
    space.write_text("name: small\nkinds: {lora_rank: {sizes: [0, 2]}}\n")
    assert os.access(tool, os.X_OK)
    done = run_program(tool, *command[1:], *TINY, "--space", space, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "full fine-tuning" in done.stdout
    image = tmp_path / "digit.png"
    Image.new("L", (8, 8), 128).save(image)
    words = ["predict", str(out / "subnet.safetensors"), str(image)]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert shown.exit_code == 0, shown.stderr
    assert "digit.png" in shown.stdout
    assert "%" in shown.stdout
