"""What a reader has to know of the data: splits, duplicates across them, sizes of classes."""

from __future__ import annotations

from dataclasses import dataclass

from nas_peft.data.image_files import shown_name
from nas_peft.data.remarks import data_remarks
from nas_peft.data.split_words import split_words
from nas_peft.data.summary import IMBALANCE
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.reported_run import ReportedRun


@dataclass(frozen=True)
class DataSection:
    """Tables of splits, duplicates and classes, and remarks in sentences."""

    splits: DataTable
    duplicates: DataTable | None
    classes: DataTable | None
    imbalance: str
    remarks: tuple[str, ...]


def data_section(run: ReportedRun) -> DataSection:
    """The data of a run as its record has them; needs no image."""
    record = run.result.dataset
    parts, origins = list(record["counts"]), split_words(record)
    splits = data_table(
        "Splits",
        ("split", "origin", "images"),
        ((part, origins.get(part, ""), f"{record['counts'][part]:,}") for part in parts),
        texts=2,
    )
    remarks = [text.removeprefix("data: ") for text in data_remarks(record)]
    sentences = tuple(text[:1].upper() + text[1:].rstrip(".") + "." for text in remarks)
    return DataSection(splits, _duplicates(run), _classes(run), _imbalance(run), sentences)


def _classes(run: ReportedRun) -> DataTable | None:
    counts = run.result.dataset.get("class_counts")
    if counts is None:  # in runs of version 0.1
        return None
    rows = (
        (shown_name(name), *(f"{of_part[label]:,}" for of_part in counts.values()))
        for label, name in enumerate(run.inputs.classes)
    )
    return data_table("Images by class", ("class", *counts), rows)


def _duplicates(run: ReportedRun) -> DataTable | None:
    found = run.result.dataset.get("duplicates")
    if not isinstance(found, dict):
        return None
    left_out = (
        " --drop-duplicates left the copies in the earlier split out of this run."
        if found.get("dropped")
        else ""
    )
    return data_table(
        "Duplicates across the splits",
        ("splits", "identical", "nearly identical"),
        (
            (pair, f"{count:,}", f"{found['near'].get(pair, 0):,}")
            for pair, count in found["identical"].items()
        ),
        note="Images of the later split that have a duplicate in the earlier one. An accuracy on images "
        f"that were trained on says nothing about new images.{left_out}",
    )


def _imbalance(run: ReportedRun) -> str:
    by_part = run.result.dataset.get("class_counts")
    if by_part is None:
        return "The run is of a version that did not record the sizes of the classes."
    counts = by_part["train"]
    names = [shown_name(name) for name in run.inputs.classes]
    least, most = min(counts), max(counts)
    small, large = names[counts.index(least)], names[counts.index(most)]
    if not least:
        return f"The class {small} has no training image."
    if most <= IMBALANCE * least:
        return f"The classes are even: {least:,} to {most:,} training images each."
    first = run.selected.seeds[0]
    balanced = first.test_balanced_accuracy
    said = (
        f"The classes are uneven: {large} has {most:,} training images, {most / least:.1f} times as many as "
        f"{small} with {least:,}. A classifier that favours large classes can have a high accuracy."
    )
    return (
        said
        if balanced is None
        else f"{said} The mean of the classes' test accuracies is {100 * balanced:.1f}%."
    )
