"""Tables of a measurement of robustness, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from nas_peft.corruptions.catalogue import LARGEST_SMALL
from nas_peft.robustness.result import WITHOUT_VAL, ModelRobustness, RobustnessResult
from nas_peft.run.plain_table import plain_table

MOST_COLUMNS = 4
"""Models up to which each corruption has a row and each model a column; more models have a row each."""


def tables(result: RobustnessResult) -> Iterator[Table]:
    """A row for each model; then corruptions, domains and class frequency in detail for a few models."""
    yield _overview(result)
    best = max(result.models, key=lambda model: model.clean.accuracy)
    shown = result.models if len(result.models) <= MOST_COLUMNS else _exported(result, best)
    if best.corruptions:
        yield _corruptions(result, shown)
    if best.domains:
        yield _domains(shown)
    if best.frequency:
        yield _frequency(shown)


def _exported(result: RobustnessResult, best: ModelRobustness) -> tuple[ModelRobustness, ...]:
    """The exported model, or else the one with the best clean accuracy."""
    return tuple(m for m in result.models if m.exported) or (best,)


def _overview(result: RobustnessResult) -> Table:
    first = result.models[0]
    calibrated = "with the stored temperature" if first.temperature is not None else "of the plain logits"
    without_val = any(model.without_val for model in result.models)
    alone = (
        f"; {WITHOUT_VAL} weights of the training on the training set alone, without the validation images: "
        "the row lost to another of its kind and has no final model"
        if without_val
        else ""
    )
    table = plain_table(
        result.images,
        f"accuracy in % ± one standard error over images; ECE: expected calibration error in points, "
        f"{calibrated}{alone}",
    )
    table.add_column("model", overflow="fold", min_width=12)
    table.add_column("clean", justify="right", no_wrap=True)
    table.add_column("ECE", justify="right", no_wrap=True)
    if first.corruptions:
        table.add_column("corrupted", justify="right", no_wrap=True)
        table.add_column("ECE", justify="right", no_wrap=True)
    if first.domains:
        table.add_column("domains", justify="right", no_wrap=True)
        table.add_column("worst", justify="right", no_wrap=True)
    for model in result.models:
        cells = [
            model.shown_label,
            f"{100 * model.clean.accuracy:.1f} ± {100 * model.clean.standard_error:.1f}",
            f"{100 * model.clean.calibration_error:.1f}",
        ]
        if model.corruptions:
            cells += [
                f"{100 * (model.mean_corruption_accuracy or 0):.1f} ± "
                f"{100 * (model.corruption_error or 0):.1f}",
                f"{100 * (model.mean_corruption_calibration_error or 0):.1f}",
            ]
        if model.domains and model.worst_domain is not None:
            worst = model.domains[model.worst_domain].accuracy
            cells += [f"{100 * (model.average_domain_accuracy or 0):.1f}", f"{100 * worst:.1f}"]
        table.add_row(*cells, style="bold" if model.exported else None)
    return table


def _corruptions(result: RobustnessResult, models: tuple[ModelRobustness, ...]) -> Table:
    height, width = result.pixels
    source = "CIFAR-C" if max(height, width) <= LARGEST_SMALL else "ImageNet-C"
    if len(models) > 1:
        table = plain_table(
            f"accuracy % on corrupted images, mean of severities {_listed(result.severities)}",
            f"corrupted at {height} × {width} pixels with the parameters of {source}",
        )
        table.add_column("corruption", no_wrap=True)
        for model in models:
            table.add_column(model.shown_label, justify="right", overflow="fold")
        for rows in zip(*(model.corruptions for model in models), strict=True):
            table.add_row(rows[0].name, *(f"{100 * row.accuracy:.1f}" for row in rows))
        return table
    (model,) = models
    table = plain_table(
        f"accuracy % on corrupted images: {model.shown_label}",
        f"corrupted at {height} × {width} pixels with the parameters of {source}; ECE in points, mean of "
        "severities",
    )
    table.add_column("corruption", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    for severity in result.severities:
        table.add_column(f"sev. {severity}", justify="right", no_wrap=True)
    table.add_column("ECE", justify="right", no_wrap=True)
    for row in model.corruptions:
        levels = [f"{100 * row.by_severity[severity].accuracy:.1f}" for severity in result.severities]
        table.add_row(row.name, f"{100 * row.accuracy:.1f}", *levels, f"{100 * row.calibration_error:.1f}")
    return table


def _domains(models: tuple[ModelRobustness, ...]) -> Table:
    table = plain_table("other domains")
    table.add_column("domain", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for model in models:
        table.add_column(f"{model.shown_label} %" if len(models) > 1 else "accuracy %", justify="right")
        table.add_column("ECE", justify="right", no_wrap=True)
    for name, scores in models[0].domains.items():
        cells = []
        for model in models:
            found = model.domains[name]
            cells += [
                f"{100 * found.accuracy:.1f} ± {100 * found.standard_error:.1f}",
                f"{100 * found.calibration_error:.1f}",
            ]
        table.add_row(name, f"{scores.images:,}", *cells)
    return table


def _frequency(models: tuple[ModelRobustness, ...]) -> Table:
    table = plain_table("mean recall % by class frequency in training, on clean images")
    table.add_column("classes", no_wrap=True)
    table.add_column("training images", justify="right", no_wrap=True)
    for model in models:
        table.add_column(f"{model.shown_label} %" if len(models) > 1 else "recall %", justify="right")
        table.add_column("ECE", justify="right", no_wrap=True)
    for number, group in enumerate(models[0].frequency):
        cells = []
        for model in models:
            found = model.frequency[number]
            cells += [f"{100 * found.recall:.1f}", f"{100 * found.calibration_error:.1f}"]
        span = f"{group.fewest}" if group.fewest == group.most else f"{group.fewest} to {group.most}"
        table.add_row(f"{group.name} ({group.classes})", span, *cells)
    return table


def _listed(severities: tuple[int, ...]) -> str:
    return ", ".join(map(str, severities))
