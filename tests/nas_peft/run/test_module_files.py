"""Kinds of one's own from the command line: in the main process, in Ray's workers, and for predictions."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from sweep import sweep
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.run.module_files import import_module_files
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from search_spaces import KINDS, InputError
from supernet import read_header
from supernet.modules import ELASTIC

pytestmark = pytest.mark.slow

IMAGE = "image.png"
KIND = """
import torch
from torch import nn

from search_spaces import Kind
from supernet import ElasticModule, register_elastic


@register_elastic(Kind("NAME", "Shift", lambda size, shape: size * shape.width, max_size=1))
class Shift(ElasticModule):
    \"\"\"``y + b`` after the MLP.\"\"\"

    places = ("mlp",)

    def __init__(self, shape, capacity):
        super().__init__(shape, capacity)
        self.bias = nn.Parameter(torch.empty(capacity, shape.width))

    def reset(self, generator):
        nn.init.zeros_(self.bias)

    def forward(self, place, x, y, size):
        return y + (self.bias[0] if isinstance(size, int) else (size > 0)[:, None, None] * self.bias[0])
"""
WriteKind = Callable[..., Path]


@pytest.fixture
def write_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteKind:
    """Writes a file that registers a kind; what it registers here is forgotten afterwards."""
    for registry in (KINDS, ELASTIC):
        for name in ("shift", "other_shift"):  # to be absent again
            monkeypatch.setitem(registry, name, None)
            monkeypatch.delitem(registry, name)

    def write(name: str = "shift", more: str = "") -> Path:
        file = tmp_path / f"{name}.py"
        file.write_text(KIND.replace("NAME", name) + more)
        return file

    return write


@pytest.fixture
def run(
    run_program: Callable[..., subprocess.CompletedProcess[str]], ray_address: str, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``nas-peft`` as a user runs it, on the running Ray."""
    code = "from nas_peft.cli.app import main; main()"
    environment = os.environ | {"RAY_ADDRESS": ray_address}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_program("-W", "error", "-c", code, *arguments, cwd=tmp_path, env=environment)

    return run


@pytest.mark.thorough
def test_a_run_searches_trains_on_ray_and_predicts_with_it(
    write_kind: WriteKind,
    run: Callable[..., subprocess.CompletedProcess[str]],
    tiny_values: dict[str, Any],
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    write_kind()
    (tmp_path / "space.yaml").write_text("name: mine\nkinds: {shift: {sizes: [0, 1]}}\n")
    values = tiny_values | {"space": "space.yaml", "population": 4, "generations": 1, "supernet_epochs": 1}
    values |= {"baselines": "linear"}
    options = [w for name, value in values.items() for w in (f"--{name.replace('_', '-')}", str(value))]
    done = run("search", *options, "--module-file", "shift.py", "--cpus-per-trial", "2", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "Shift" in done.stdout
    shown = run("show", "run")
    assert shown.returncode == 0, shown.stderr
    assert "Shift alone" in shown.stdout
    folder = tmp_path / "run"
    assert yaml.safe_load((folder / "config.yaml").read_text())["module_files"] == ["shift.py"]
    results = json.loads((folder / "results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert rows["shift-1"]["module_params"] == 8 * 128  # trained by a worker, as all rows are
    assert rows["shift-1"]["seeds"][0]["test_accuracy"] is not None
    done = run("front", "run", "--export", "mine.safetensors")  # whichever row was chosen
    assert done.returncode == 0, done.stderr
    exported = tmp_path / "mine.safetensors"
    assert set(read_header(exported)["architecture"]) == {"depth", "shift"}

    image = next(image_folder.rglob("*.png"))
    done = run("predict", exported, image, "--module-file", "shift.py")
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout
    monkeypatch.chdir(tmp_path)  # this process does not know the kind either, and starts sooner
    refused = CliRunner().invoke(app, ["predict", str(exported), str(image)])
    assert (refused.exit_code, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: '{exported}': unknown module kind 'shift'")
    assert "once the file that registers it is imported (--module-file FILE.py)" in line

    # the run is not gone on with when the file is another, nor is the file executed
    write_kind(more="\n# another\n")
    refused = CliRunner().invoke(app, ["front", "run"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "the module file 'shift.py' has changed since 'run' was run; put the former" in refused.stderr
    assert "shift" not in KINDS
    refused = CliRunner().invoke(app, ["search", *options, "--module-file", "shift.py", "--out", "run"])
    assert refused.exit_code == 2
    assert "the run was started with another module_files" in refused.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    sweep(
        [
            (None, "no module file at 'mine.py'; give a Python file that registers a module kind with"),
            (
                "x = 1\n",
                "the module file 'mine.py' registers no module kind and no searcher; give a Python file that",
            ),
            (
                "x = 1\nx.y\n",
                "the module file 'mine.py' raised AttributeError in line 2: 'int' object has no",
            ),
            (
                "x = 1\nx = (\n",
                "the module file 'mine.py' raised SyntaxError in line 2: '(' was never closed",
            ),
            (
                "import sys\nsys.exit(0)\n",
                "the module file 'mine.py' raised SystemExit in line 2: 0; correct",
            ),
            (
                KIND.replace("NAME", "ssf"),
                "raised ValueError in line 9: module kind 'ssf' is registered already",
            ),
        ],
        2,
    ),
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("mine.py").write_text(content)
    before = dict(KINDS), dict(ELASTIC), set(sys.modules)
    for _ in range(2):  # it fails again, and may be mended
        with pytest.raises(InputError) as caught:
            import_module_files([Path("mine.py")])
        assert message in str(caught.value)
    assert before == (KINDS, ELASTIC, set(sys.modules))


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    file = tmp_path / "mine.txt"
    file.write_text(KIND)
    with pytest.raises(InputError, match=r"mine.txt' does not end in .py; give a Python file"):
        import_module_files([file])


@pytest.mark.thorough
def test_what_a_failing_file_registered_is_forgotten(write_kind: WriteKind):
    file = write_kind(more="\nraise RuntimeError('later')\n")
    with pytest.raises(InputError, match="raised RuntimeError in line 25: later"):
        import_module_files([file])
    assert "shift" not in KINDS
    assert "shift" not in ELASTIC
    import_module_files([write_kind()])
    assert KINDS["shift"].label == ELASTIC["shift"].__name__ == "Shift"


def test_files_are_imported_once_each_and_in_order(write_kind: WriteKind, monkeypatch: pytest.MonkeyPatch):
    first, second = write_kind("shift"), write_kind("other_shift")
    import_module_files([first, second])
    module = ELASTIC["shift"]
    monkeypatch.chdir(first.parent)
    import_module_files([second, Path("shift.py"), first])
    assert ELASTIC["shift"] is module
    assert "other_shift" in KINDS
    write_kind("shift", more="\n# changed\n")
    with pytest.raises(InputError, match="has changed since this process imported it; start Python anew"):
        import_module_files([first])


@pytest.mark.thorough
def test_a_file_that_was_imported_otherwise_is_not_run_again(
    write_kind: WriteKind, monkeypatch: pytest.MonkeyPatch
):
    file = write_kind("other_shift")
    monkeypatch.syspath_prepend(file.parent)
    __import__("other_shift")
    module = ELASTIC["other_shift"]
    import_module_files([file])
    assert ELASTIC["other_shift"] is module


@pytest.mark.parametrize("command", [["search", "--dataset", "digits"], ["predict", "no.safetensors", IMAGE]])
def test_a_mistake_on_the_command_line_is_one_line(tmp_path: Path, command: list[str]):
    Image.new("L", (8, 8)).save(tmp_path / IMAGE)
    (tmp_path / "no.safetensors").touch()
    result = CliRunner().invoke(
        app,
        [w if w not in (IMAGE, "no.safetensors") else str(tmp_path / w) for w in command]
        + ["--module-file", str(tmp_path / "gone.py")],
    )
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: no module file at '{tmp_path / 'gone.py'}'; give a Python file")


@pytest.mark.thorough
def test_several_files_can_be_given(write_kind: WriteKind, tiny_values: dict[str, Any], tmp_path: Path):
    files = [write_kind("shift"), write_kind("other_shift")]
    space = tmp_path / "space.yaml"
    space.write_text("name: mine\nkinds: {shift: {sizes: [0, 1]}, other_shift: {sizes: [0, 1]}}\n")
    config = SearchConfig.of(**tiny_values | {"space": str(space), "module_files": files})
    inputs = SearchInputs.load(config, StageBars(quiet=True))
    assert list(inputs.single_methods())[-2:] == ["other_shift-1", "shift-1"]
    assert list(inputs.record().module_files) == [str(file) for file in files]
