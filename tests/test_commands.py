"""The commands of the pages that use a finished run of the digits are run on one, and end well."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from nas_peft.cli.app import app

pytestmark = [pytest.mark.thorough, pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[1]
RUN, SUBNET = "runs/digits", "half.safetensors"
FILES = ("photo1.png", "photo2.png", "scans/a.png", "scans/b.png", "more/photo.jpg")
ELSEWHERE = {"audit", "baselines", "dashboard", "robustness", "search", "serve"}
"""Commands that train, or listen until Ctrl-C: each is run in its own test."""
MISSING = ("runs/photos", "runs/digits-long", "pacs/", "114")
"""What commands name that is not on a run of the digits with few candidates."""
SHORT = "--epochs 1 --supernet-epochs 1 --head-epochs 1 --linear-epochs 1 --generations 1 --population 16"
ROWS = "--retrain 1 --singles lora-everywhere --baselines full"
DIGITS = f"search --dataset digits --shots 5 --space large --budget 9% {SHORT} {ROWS} --out {RUN}"


def commands() -> list[str]:
    """Each command of a shell block that names the run, in the order of the pages."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        b for p in pages for b in re.findall(r"```sh\n(.*?)```", p.read_text(encoding="utf-8"), re.DOTALL)
    ]
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    found = [shlex.join(words) for words in lines if words[:1] == ["nas-peft"] and words[1] not in ELSEWHERE]
    named = [line for line in found if RUN in line or SUBNET in line]
    return list(dict.fromkeys(line for line in named if not any(name in line for name in MISSING)))


def test_every_command_on_the_run_of_the_readme_ends_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_program: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name, pixels in zip(FILES, load_digits().images, strict=False):
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray((pixels * 15.9).astype("uint8")).save(name)
    lines = ["nas-peft " + DIGITS, *commands()]
    assert len(lines) > 20
    for line in lines:
        words = shlex.split(line)[1:]
        if "--module-file" in words:  # what the file registers stays registered in its process
            ended = run_program("-m", "nas_peft", *words, cwd=tmp_path)
            status, said = ended.returncode, ended.stderr
        else:
            done = CliRunner().invoke(app, words)
            status, said = done.exit_code, done.stderr
        assert status == 0, f"{line}\n{said}"
    for name in ("small.safetensors", "digits.onnx", "lora.safetensors", f"{RUN}/report.html", "answers.csv"):
        assert (tmp_path / name).is_file(), name
