"""A figure of matplotlib as an element of an HTML page, in the page's own colours and fonts."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from nas_peft.report.palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIABLES = {colour.light: f"var(--{role})" for role, colour in PALETTE.items()}
_HEX = re.compile(r"#[0-9a-f]{6}\b")
_REFERENCE = re.compile(r"#([\w.-]+)")
_FONT = re.compile(r"font-family:[^;]*(;|$)|font: (\S+) [^;]*(;|$)")


def inline_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The figure as one ``<svg>``, which a screen reader reads as an image with title and description.

    Colours of the palette become the page's variables, so that they follow light and dark. Identifiers begin
    with ``name``, because all figures of a page share one space of them; those that nothing refers to are
    left out. Texts stay texts, in the font of the page.
    """
    data = io.BytesIO()
    figure.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(data.getvalue())
    elements = [*root.iter()]
    used = {
        found
        for element in elements
        for key, value in element.attrib.items()
        if key.endswith("href") or "url(" in value
        for found in _REFERENCE.findall(value)
    }
    for element in elements:
        element.tag = _local(element.tag)
        element.attrib = dict(_attributes(element.attrib, used, name))
        element.tail = None if element.tag != "tspan" else element.tail
        if element.tag not in ("text", "tspan"):
            element.text = None
    for parent in elements:
        for child in [c for c in parent if c.tag in ("metadata", "style")]:
            parent.remove(child)
    for dimension in ("width", "height", "version"):
        root.attrib.pop(dimension, None)
    heading, told = f"{name}-title", f"{name}-description"
    root.attrib |= {"role": "img", "aria-labelledby": heading, "aria-describedby": told}
    for place, (tag, identity, text) in enumerate((("title", heading, title), ("desc", told, description))):
        element = ElementTree.Element(tag, {"id": identity})
        element.text = text
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _attributes(found: dict[str, str], used: set[str], name: str) -> list[tuple[str, str]]:
    kept = []
    for key, value in found.items():
        key = _local(key)
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key == "href" or "url(" in value:
            value = _REFERENCE.sub(rf"#{name}-\1", value)
        elif key == "style":
            value = _FONT.sub(lambda m: f"font-size: {m[2]};" if m[2] else "", value)
            value = _HEX.sub(lambda m: _VARIABLES.get(m[0], m[0]), value).strip()
        elif key == "d":
            value = " ".join(value.split())
        kept.append((key, value))
    return kept


def _local(name: str) -> str:
    return name.rpartition("}")[2]
