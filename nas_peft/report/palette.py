"""Colours of the report by role, for light and dark grounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """One role's colour on a light and on a dark ground, as ``#rrggbb``."""

    light: str
    dark: str


PALETTE: dict[str, Colour] = {
    "ground": Colour("#f6f7f9", "#12151c"),
    "card": Colour("#ffffff", "#1b202a"),
    "ink": Colour("#1a1f2b", "#e8ebf2"),
    "quiet": Colour("#566074", "#a7b0c1"),
    "line": Colour("#d5dae3", "#343c4b"),
    "soft": Colour("#e8edfa", "#263150"),
    "chosen": Colour("#2454d6", "#8fb0ff"),
    "searched": Colour("#0b7a75", "#4fd8cb"),
    "single": Colour("#a85a08", "#f5b955"),
    "baseline": Colour("#8a2c9c", "#e08cf0"),
    "candidate": Colour("#727d92", "#8d97a9"),
    "bad": Colour("#b02a1c", "#ffaba0"),
}
"""``chosen`` is the exported row, ``searched``, ``single`` and ``baseline`` the groups of rows."""

TEXT = ("ink", "quiet", "chosen", "bad")
"""Roles that text has on a card or the ground."""
MARKS = ("chosen", "searched", "single", "baseline", "candidate")
"""Roles of the marks in plots."""
GROUPS = {"searched": "searched", "single": "single", "baseline": "baseline"}
"""The role of each group of rows."""


def light(role: str) -> str:
    """The colour to draw a role with; `svg.inline_svg` replaces it by the role's variable."""
    return PALETTE[role].light


def variables(dark: bool) -> str:
    """The colours as CSS variables: ``--ink: #1a1f2b; …``."""
    return " ".join(f"--{role}: {c.dark if dark else c.light};" for role, c in PALETTE.items())


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours ``#rrggbb`` by WCAG 2.2, from 1 to 21."""
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
