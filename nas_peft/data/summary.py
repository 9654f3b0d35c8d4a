"""Summary of the data that were read, shown before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas_peft.data.count_words import count_words
from nas_peft.data.listing import GIVEN
from nas_peft.data.remarks import duplicates_sentence
from nas_peft.data.split_words import split_words

IMBALANCE = 10
"""Ratio of the largest to the smallest class above which accuracy alone misleads."""

_MOST_CLASSES = 12
_LONGEST_NAME = 28


def data_summary(record: Mapping[str, Any], classes: tuple[str, ...], kept: str = "") -> str:
    """Lines of text on the parts, the classes with counts, left-out files with reasons, and the source.

    Args:
        record: `ImageDataset.record`.
        classes: the class names.
        kept: `ImageDataset.kept`.
    """
    return "\n".join([*_lines(record, classes), *([f"  decoded images: {kept}"] if kept else [])])


def uneven(class_counts: Mapping[str, Sequence[int]]) -> bool:
    """Whether the classes of the training or of the test set differ so much that accuracy alone misleads.

    ``class_counts`` are the numbers of images by part and class; classes without images are left out.
    """
    found = [[count for count in class_counts[part] if count] for part in ("train", "test")]
    return any(max(counts) > IMBALANCE * min(counts) for counts in found)


def _lines(record: Mapping[str, Any], classes: tuple[str, ...]) -> Iterator[str]:
    yield f"data: {record['source']}"
    counts = record["class_counts"]
    rows = [(name, [counts[part][i] for part in counts]) for i, name in enumerate(classes)]
    shown = rows if len(rows) <= _MOST_CLASSES else rows[: _MOST_CLASSES - 2]
    names = [_short(name) for name, _ in shown]
    width = max(len(name) for name in [*names, f"all {len(classes)} classes"])
    yield f"  {'':<{width}}" + "".join(f"{part:>8}" for part in counts)
    for name, (_, numbers) in zip(names, shown, strict=True):
        yield f"  {name:<{width}}" + "".join(f"{number:>8,}" for number in numbers)
    if len(shown) < len(rows):
        rest = [sum(numbers) for _, numbers in rows[len(shown) :]]
        yield f"  ... {len(rest)} more classes, {min(rest):,} to {max(rest):,} images each"
    totals = "".join(f"{sum(counts[part]):>8,}" for part in counts)
    yield f"  {f'all {len(classes)} classes':<{width}}{totals}"
    splits = {part: how for part, how in split_words(record).items() if how != GIVEN}
    if splits:
        ways = dict.fromkeys(splits.values())
        yield "  " + "; ".join(
            f"{', '.join(part for part in splits if splits[part] == how)}: {how}" for how in ways
        )
    if record["skipped"]:
        count = len(record["skipped"])
        yield f"  left out: {count_words(count, 'undecodable images')} (such as {record['skipped'][0]})"
    for reason, found in record["left_out"].items():
        yield f"  left out: {count_words(found['count'], reason)} (such as {found['examples'][0]})"
    if record["ignored"]:
        more = f" and {len(record['ignored']) - 4} more" if len(record["ignored"]) > 4 else ""
        yield f"  not read, beside the data: {', '.join(record['ignored'][:4])}{more}"
    for note in record["notes"]:
        yield f"  note: {note}"
    if sentence := duplicates_sentence(record):
        yield f"  {sentence}"
    for warning in record["warnings"]:
        yield f"  warning: {warning}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
