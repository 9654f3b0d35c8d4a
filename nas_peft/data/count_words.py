"""Counts with their nouns, in the singular for one."""

from __future__ import annotations

import re


def count_words(count: int, things: str) -> str:
    """``3 epochs`` or ``1 epoch``; of ``things`` of several words the first noun in the plural counts.

    Things of two kinds (``broken links and special files``) keep the plural.
    """
    if count == 1 and " and " not in things:
        things = re.sub(r"(\w{2,})s\b", r"\1", things, count=1)
    return f"{count:,} {things}"
