"""The site of the documentation builds without a warning, has every page, and loads nothing from outside."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
IN_THE_INDEX_ALONE = "log/"
"""Entries of the log are reached from its index, and stand in no menu."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; mkdocs ends with an error at the first warning, as ``--strict`` has it."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")  # about another program
        seen: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("mkdocs").addHandler(handler)
        try:
            build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
        finally:
            logging.getLogger("mkdocs").removeHandler(handler)
    assert seen == []
    return folder


def named(entries: list[dict[str, object]]) -> Iterator[str]:
    """The pages of a menu."""
    for entry in entries:
        for value in entry.values():
            yield from named(value) if isinstance(value, list) else [str(value)]


def test_every_page_stands_in_the_menu() -> None:
    text = re.sub(r"!!python\S+ \{.*\}", "x", (ROOT / "mkdocs.yml").read_text())
    menu = list(named(yaml.safe_load(text)["nav"]))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    wanted = {page for page in pages if not page.startswith(IN_THE_INDEX_ALONE)} | {"log/README.md"}
    assert sorted(menu) == sorted(wanted)


@pytest.mark.thorough
def test_every_page_is_on_the_site(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix("")
        assert (site / (name.parent if name.name == "README" else name) / "index.html").is_file(), path
    assert (site / "images" / "layer.svg").is_file()


@pytest.mark.thorough
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in (site / "index.html", site / "how_it_works" / "index.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\bsrc=\"?([^\" >]+)", text)
        loaded += re.findall(
            r"<link[^>]*rel=\"?(?:stylesheet|preconnect|icon)\"?[^>]*href=\"?([^\" >]+)", text
        )
        assert loaded
        assert [address for address in loaded if address.startswith(("http:", "https:", "//"))] == []


@pytest.mark.thorough
def test_links_out_of_the_pages_are_texts(site: Path) -> None:
    text = (site / "extending" / "index.html").read_text(encoding="utf-8")
    assert "CONTRIBUTING has the checklists" in text


@pytest.mark.parametrize("name", ["layer", "supernet", "run"])
def test_drawings_are_for_light_and_dark_and_have_words(name: str) -> None:
    text = (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert re.search(r"<title id=\"title\">.{10,}</title>", text)
    assert re.search(r"<desc id=\"desc\">.{40,}</desc>", text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
