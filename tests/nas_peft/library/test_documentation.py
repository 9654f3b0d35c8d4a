"""The snippets of docs/python.md that train nothing are run on a finished run.

Those that train are parsed in `tests/test_docs.py`; what they show is trained in the tests beside this one.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas_peft import PeftSearchClassifier
from nas_peft.run.results import SearchResult

PAGE = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
SECTIONS = {
    title: re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    for title, text in re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
}


def run(title: str, names: dict[str, Any]) -> dict[str, Any]:
    """The names after the snippets of a section."""
    for snippet in SECTIONS[title]:
        exec(compile(snippet, f"docs/python.md, {title}", "exec"), names)
    return names


def test_results_and_subnet(finished_run: SearchResult, caplog):
    names: dict[str, Any] = {"result": finished_run, "image": Image.new("RGB", (40, 40))}
    run("Results", names)
    assert len(names["table"]) == len(finished_run.rows)
    assert len(names["trainings"]) > len(finished_run.rows)
    exec("import nas_peft", names)
    run("The subnet", names)
    assert names["probabilities"].shape == (1, 3)
    assert names["other"].classes == names["subnet"].classes
    for attribute in re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", PAGE, flags=re.MULTILINE):
        assert all(hasattr(names["subnet"], name) for name in attribute if name), attribute
    caplog.set_level("WARNING", logger="nas_peft")  # restored at the end
    run("Logging", names)


def test_the_classifier_s_lines_but_the_fits(finished_run: SearchResult, tmp_path: Path, monkeypatch):
    (snippet,) = SECTIONS["A classifier in the style of scikit-learn"]
    monkeypatch.chdir(tmp_path)
    lines = [line for line in snippet.splitlines() if ".fit(" not in line and "time=" not in line]
    names: dict[str, Any] = {"paths": [Image.new("RGB", (40, 40))]}
    names["classifier"] = PeftSearchClassifier.load(finished_run.run)
    exec("\n".join(lines), names)
    assert np.isclose(names["classifier"].predict_proba(names["paths"]).sum(), 1)


def test_every_section_with_a_snippet_is_run_or_trains():
    trained = {"A classifier in the style of scikit-learn"}
    assert {title for title, found in SECTIONS.items() if found} == {
        "Results",
        "The subnet",
        "Logging",
    } | trained


@pytest.mark.parametrize("name", ["classes", "preprocessing"])
def test_what_a_newcomer_missed_is_in_the_docstring(name: str):
    from nas_peft import Subnet

    assert f"``{name}``" in str(Subnet.__doc__)
