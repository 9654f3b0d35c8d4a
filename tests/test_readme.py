"""What the README says is so: its commands run, its file tree is the tree, CI runs its test command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from nas_peft.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TINY = ["--supernet-epochs", "1", "--epochs", "1", "--linear-epochs", "1", "--generations", "1"]
TINY += ["--population", "4", "--retrain", "1"]


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def tool_commands() -> list[list[str]]:
    return [shlex.split(line)[1:] for line in shell_lines() if line.startswith("nas-peft ")]


def test_every_folder_in_the_tree_is_there() -> None:
    tree = README.split("## What is where")[1].split("```")[1]
    assert [name for name in re.findall(r"[a-z_]+(?=/)", tree) if not is_a_folder(name)] == []
    rooms = {path.parent.name for path in (ROOT / "nas_peft").glob("*/__init__.py")}
    assert {room for room in rooms if f"{room}/" not in tree} == set()


def is_a_folder(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / "nas_peft" / name).is_dir()


def test_ci_runs_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    assert "eval" in script
    command = README.split("<!-- test command -->")[1].split("```")[1].removeprefix("sh\n").strip()
    assert command.endswith("/pytest")
    assert "'.[test]'" in command


def test_every_command_is_understood() -> None:
    commands = tool_commands()
    assert any(command[0] == "predict" for command in commands)
    for command in commands:
        if command == ["search", "--help"]:
            continue
        # with --help after them, options and their values are parsed, and nothing is run
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0, (command, result.output)


def test_main_job_and_predict_run(tmp_path: Path) -> None:
    line = next(line for line in shell_lines() if "nas-peft search --dataset digits" in line)
    command = shlex.split(line.split("&&")[-1])
    tool = Path(sys.executable).with_name(Path(command[0]).name)
    out = tmp_path / "run"
    done = subprocess.run([tool, *command[1:], *TINY, "--out", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "full fine-tuning" in done.stdout
    image = tmp_path / "digit.png"
    Image.new("L", (8, 8), 128).save(image)
    done = subprocess.run(
        [tool, "predict", out / "subnet.safetensors", image], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "digit.png:" in done.stdout
    assert "%" in done.stdout


def test_python_snippet_names_exist() -> None:
    import nas_peft

    snippet = next(block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
    for name in re.findall(r"nas_peft\.(\w+)", snippet):
        assert hasattr(nas_peft, name)
