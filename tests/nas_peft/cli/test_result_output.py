"""The end of a run as it is printed, and the pictures of it in the documentation."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

from nas_peft.run.results import SearchResult

SCRIPT = Path(__file__).parents[3] / "docs" / "screenshots.py"


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshots", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_end_of_a_run_is_drawn_as_it_is_printed(screenshots: ModuleType, finished_run: SearchResult):
    drawn = screenshots.terminal(Path(finished_run.run), "nas-peft search")
    text = "".join(ElementTree.fromstring(drawn).itertext()).replace("\u00a0", " ")
    place = finished_run.run[:40]  # a picture of 80 columns ends in the middle of longer paths
    for said in ("chosen ", "how sure ", "nas-peft predict ", f"nas-peft report {place}"):
        assert said in text
    assert "font-face" not in drawn
    assert drawn.count("http") == drawn.count("http://www.w3.org/") + drawn.count("https://www.textualize.io")


def test_all_pictures_that_the_command_makes_are_in_the_documentation(screenshots: ModuleType):
    images = SCRIPT.parent / "images"
    pages = "".join(page.read_text("utf-8") for page in SCRIPT.parent.glob("*.md"))
    for name in ("terminal.svg", *(f"{name}.png" for name in screenshots.PICTURES)):
        assert (images / name).is_file()
        assert f"images/{name})" in pages
