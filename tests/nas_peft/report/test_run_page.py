"""The report of a run: its sections and numbers, hostile names, moved data, a screen reader, a phone."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.base import AXE_FILE_PATH
from axe_core_python.selenium import Axe
from selenium import webdriver

from nas_peft.report.comparison_page import comparison_page
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.run_page import RunPage, run_page
from nas_peft.run.progress import StageBars
from search_spaces import InputError

from .conftest import ChangedRun

QUIET = StageBars(quiet=True)
HOSTILE = "<script>alert(1)</script>"
AXE = Path(os.environ.get("NAS_PEFT_AXE", AXE_FILE_PATH))
"""The script of axe-core: another version than that of axe-core-python can be given."""
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")


class Elements(HTMLParser):
    """Tags with their attributes, and the text of headings, of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.fixture(scope="module")
def elements(page: RunPage) -> Elements:
    return Elements(page.html)


def report_of(run: ReportedRun, dataset: str | None = None) -> RunPage:
    return run_page(run, dataset=dataset, device="cpu", bars=QUIET)


def test_nothing_is_missing_and_every_link_has_its_target(page: RunPage, elements: Elements):
    assert page.missing == ()
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for attributes in elements.of("a", "use")]
    assert len(elements.of("section")) == len([t for t in targets if f"{t[1:]}-heading" in ids])
    assert {target for target in targets if target[1:] not in ids} == set()
    for name in ("aria-labelledby", "aria-describedby"):
        named = [a[name] for _, a in elements.found if name in a]
        assert {n for n in named if n not in ids} == set()


def test_the_file_loads_nothing_and_runs_nothing(page: RunPage, elements: Elements):
    assert {a["src"][:11] for a in elements.of("img")} == {"data:image/"}
    assert {a["href"][:1] for a in elements.of("a", "use", "image")} == {"#"}
    assert not elements.of("script", "iframe", "object", "form")
    assert not re.search(r"url\((?!#)|@import|https?://(?!\w+\.w3\.org)", page.html)
    assert not [a for _, a in elements.found for name in a if name.startswith("on")]
    assert len(page.html) < 2_000_000


def test_headings_go_down_by_one(elements: Elements):
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_numbers_are_those_of_the_run(run: ReportedRun, page: RunPage):
    models = page.html[page.html.index("Compared models</h2>") :]
    for row in run.result.rows:
        line = re.search(rf"<th scope=\"row\"><bdi>{re.escape(run.labels[row.name])}</bdi>.*", models)
        assert line is not None
        assert f"{100 * row.mean('val_accuracy'):.1f}" in line[0]
        assert f"{row.params:,}" in line[0]
    decided = run.result.decision
    assert decided is not None
    assert f"{100 * decided.expected_regret:.1f} points on average" in page.html
    assert run.search is not None
    assert f"{len(run.search.candidates)} candidates" in page.html


def test_each_picture_has_words(elements: Elements, run: ReportedRun):
    words = [attributes["alt"] for attributes in elements.of("img")]
    classes = "|".join(run.inputs.classes)
    assert len(words) >= 12
    assert all(
        re.match(rf"Test image of ({classes}), predicted (correctly|as ({classes}))$", w) for w in words
    )
    figures = elements.of("svg")
    assert len(figures) == 8
    assert all(figure["role"] == "img" for figure in figures)


def test_hostile_names_are_shown_and_what_is_lost_is_said(changed_run: ChangedRun):
    names = [HOSTILE, '"><img src=x onerror=alert(2)>', "$x^2$ {{ 7 * 7 }} ‮漢"]
    run = changed_run(
        dataset="/gone/<b>photos</b>",
        classes=names,
        results={"decision": None, "paired": None, "stages": {}},
    )
    found = report_of(dataclasses.replace(run, search=None, no_search="Its candidates are gone."))
    elements = Elements(found.html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found.html
    assert not elements.of("script", "b", "img")
    assert "$x^2$ {{ 7 * 7 }} ‮漢" in found.html
    missing = {part.what: part.why for part in found.missing}
    assert set(missing) == {"Sample predictions and mistakes", "Search", "Training of the supernet"}
    assert "no such folder '/gone/<b>photos</b>'" in missing["Sample predictions and mistakes"]
    assert "--dataset" in missing["Sample predictions and mistakes"]
    assert "Its candidates are gone." in found.html
    assert "did not record how sure that is" in found.html
    accuracy = run.selected.seeds[0].val_accuracy
    assert f"with {100 * accuracy:.1f}% accuracy. Its probabilities are not calibrated." in found.html


def test_data_of_another_run_are_refused(run: ReportedRun, image_folder: Path, tmp_path: Path):
    fewer = tmp_path / "fewer"
    shutil.copytree(image_folder, fewer, ignore=shutil.ignore_patterns("1*.png"))
    with pytest.raises(InputError, match="are not those of the subnet's run"):
        report_of(run, str(fewer))
    with pytest.raises(InputError, match="no such folder '/nowhere/at/all'"):
        report_of(run, "/nowhere/at/all")


SIZES = "return [document.documentElement.scrollWidth, window.innerWidth]"
OPEN = "for (const found of document.querySelectorAll('details')) found.open = true"


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "scheme", "width"), [("run", "dark", 360), ("comparison", "light", 1200)])
def test_a_screen_reader_and_a_phone_can_read_it(
    browser: webdriver.Chrome,
    page: RunPage,
    run: ReportedRun,
    tmp_path: Path,
    kind: str,
    scheme: str,
    width: int,
):
    file = tmp_path / "report.html"
    file.write_text(page.html if kind == "run" else comparison_page([run, run]), encoding="utf-8")
    emulate: Callable[..., Any] = browser.execute_cdp_cmd
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    emulate("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    emulate("Emulation.setDeviceMetricsOverride", size)
    browser.get(file.as_uri())
    emulate("Page.setBypassCSP", {"enabled": True})  # axe is a script, and the page allows none
    found = Axe(AXE.read_text(encoding="utf-8")).run(browser, options={"runOnly": list(RULES)})
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]] == []
    browser.execute_script(OPEN)
    needed, there = browser.execute_script(SIZES)
    assert needed <= there == width
