"""Spans of time on the command line: ``90s``, ``5m``, ``1h30m``."""

from __future__ import annotations

import re

AUTO = "auto"
"""The time that the data and the machine deserve, at most an hour."""

PRESETS = {"fast": "3m", "standard": "20m", "thorough": "2h"}
"""Names of times."""

UNITS = {"h": 3600, "m": 60, "s": 1}

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds_of(text: str) -> float:
    """The number of seconds that ``text`` stands for. Raises ``ValueError`` with the remedy."""
    match = _SPAN.fullmatch(text.strip().lower())
    found = [float(number or 0) for number in match.groups()] if match else []
    seconds = sum(n * unit for n, unit in zip(found, UNITS.values(), strict=False))
    if not seconds:
        raise ValueError("give hours, minutes or seconds, such as 2h, 5m, 1h30m or 90s, or auto")
    return seconds


def in_words(seconds: float) -> str:
    """The span in the two largest units that are not zero: ``1 h 30 min``, ``4 min 10 s``, ``8 s``."""
    whole = max(1, round(seconds))
    if whole >= 3600:
        hours, minutes = divmod(round(whole / 60), 60)
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    minutes, left = divmod(whole, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((minutes, "min"), (left, "s")) if n)
