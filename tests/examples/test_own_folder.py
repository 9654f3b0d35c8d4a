"""The notebook runs from its first cell to its last.

The cells are executed in order in this process: the kernel of a notebook would import torch anew, which takes
longer than all cells together.
"""

import ast
import json
import logging
from pathlib import Path
from typing import Any

import pytest

import nas_peft

NOTEBOOK = Path(__file__).parents[2] / "examples" / "own_folder.ipynb"


def cells(kind: str) -> list[str]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def shown(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.thorough
@pytest.mark.usefixtures("ray_address")
def test_every_cell_runs(tmp_path: Path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(
        logging.INFO, logger="nas_peft"
    )  # which a cell sets, too, and the end of the test restores
    names: dict[str, Any] = {}
    values = [shown(code, names) for code in cells("code")]
    table = next(value for value in values if hasattr(value, "columns"))
    assert list(table["selected"]).count(True) == 1
    assert "search: ended after " in caplog.text
    assert "test accuracy: " in capsys.readouterr().out
    assert nas_peft.PeftSearchClassifier.load("classifier").classes_.tolist() == [
        "level",
        "slanting",
        "upright",
    ]


def test_it_is_kept_without_outputs_and_each_part_has_its_words():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["cells"][0]["cell_type"]) == (4, "markdown")
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert len(cells("markdown")) >= 4
