"""Words for people on how the parts of a data set were made, from `ImageDataset.record`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_DRAWN = re.compile(r"stratified split of (train and val|the rest of train|train), (\d+%), (seed \d+)")


def split_words(record: Mapping[str, Any]) -> dict[str, str]:
    """How each part was made, the parts in the order in which they were drawn: test, val, train.

    The record calls all images that were read ``train`` where they were in no parts, and these words do not.
    """
    recorded = record["splits"]
    words = {}
    for part in sorted(recorded, key=("test", "val", "train").index):
        how, *shots = str(recorded[part]).split("; ")
        words[part] = ", of these ".join([_in_words(how, record), *shots])
    return words


def _in_words(how: str, record: Mapping[str, Any]) -> str:
    if how in ("rest of train", "rest of val"):
        return "what remains"
    drawn = _DRAWN.fullmatch(how)
    if drawn is None:
        return how
    source, share, seed = drawn.groups()
    if source == "the rest of train":
        return f"{share} of the others"
    undivided = source == "train" and str(record["splits"].get("val")).startswith(
        "stratified split of the rest of train"
    )
    return f"{share} of {_all_images(record) if undivided else source}, by class, {seed}"


def _all_images(record: Mapping[str, Any]) -> str:
    """All images in words, with their number where the record tells."""
    if record.get("shots") is not None:
        return "all images"
    left_out = (record.get("duplicates") or {}).get("dropped") or {}
    return f"all {sum(record['counts'].values()) + sum(left_out.values()):,} images"
