"""Remarks on the data to print beside a test accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def data_remarks(record: Mapping[str, object]) -> list[str]:
    """Sentences from `ImageDataset.record`: duplicates, warnings, and notes on how the source was read."""
    duplicates = duplicates_sentence(record)
    said = [duplicates] if duplicates else []
    for kind in ("warnings", "notes"):
        found = record.get(kind)
        said += [f"data: {text}" for text in found] if isinstance(found, list) else []
    return said


def duplicates_sentence(record: Mapping[str, object]) -> str:
    """Sentence on duplicates, from `ImageDataset.record`; empty without duplicates."""
    found = record.get("duplicates")
    if not isinstance(found, Mapping):
        return ""
    if dropped := found.get("dropped"):
        return _left_out(dropped, found["two_labels"])
    said = []
    for kind, word in (("identical", "the same as"), ("near", "nearly the same as")):
        for pair, count in found[kind].items():
            if count:
                earlier, _, later = pair.partition(" and ")
                said.append(
                    f"{count} {later} image{' is' if count == 1 else 's are'} {word} one in {earlier}"
                )
    text = "; ".join(said)
    if found["two_labels"]:
        groups = "picture has" if found["two_labels"] == 1 else "pictures have"
        text += f"{'; ' if text else ''}{found['two_labels']} {groups} two labels"
    if not text:
        return ""
    pairs = found["examples"]
    example = f" (such as {pairs[0][0]} and {pairs[0][1]})" if pairs else ""
    remedy = "; --drop-duplicates leaves them out of train and val" if pairs else ""
    return f"duplicates: {text}{example}{remedy}"


def _left_out(dropped: Mapping[str, int], two_labels: int) -> str:
    """Sentence on the images that each part lost, and on pictures with ``two_labels`` among all images."""
    first, *others = [(part, count) for part, count in dropped.items() if count]
    total = first[1] + sum(count for _, count in others)
    parts = [f"{first[1]:,} image{'' if first[1] == 1 else 's'} of {first[0]}"]
    parts += [f"{count:,} of {part}" for part, count in others]
    text = f"left out {' and '.join(parts)} that {'is' if total == 1 else 'are'} also in a later part"
    if two_labels:
        text += f"; before that {two_labels:,} picture{'' if two_labels == 1 else 's'} had two labels"
    return f"duplicates: {text}"


def alike_classes(classes: Sequence[str]) -> list[str]:
    """A sentence for each group of classes whose names differ in case and spaces alone."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault("".join(name.casefold().split()), []).append(name)
    return [
        f"{', '.join(repr(name) for name in names)} differ in case or spaces alone, and are "
        f"{len(names)} classes; give them one spelling if they are one"
        for names in groups.values()
        if len(names) > 1
    ]
