"""Curves of training losses: of the supernet, and of the separate trainings."""

from __future__ import annotations

from typing import Any

from nas_peft.report.chart import Chart, chart, drawing, legend_below, whole_numbers
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.palette import GROUPS, light
from nas_peft.report.reported_run import ReportedRun

_STYLES = ("-", "--", ":", "-.")


def supernet_chart(run: ReportedRun) -> Chart | None:
    """The loss of each supernet by epoch; ``None`` in a run without."""
    curves = _supernet_curves(run)
    if not curves:
        return None
    with drawing() as (figure, axes):
        for place, (name, losses) in enumerate(curves.items()):
            style: dict[str, Any] = {
                "color": light("searched"),
                "ls": _STYLES[place % len(_STYLES)],
                "label": name,
            }
            axes.plot(range(1, len(losses) + 1), losses, marker="o", ms=4, **style)
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean training loss")
        whole_numbers(axes)
        if len(curves) > 1:
            legend_below(axes)
        first, last = (next(iter(curves.values()))[i] for i in (0, -1))
        said = f"The mean training loss falls from {first:.3f} in the first epoch to {last:.3f} in the last."
        if last > first:
            said = f"The mean training loss is {first:.3f} in the first epoch and {last:.3f} in the last."
        return chart(figure, "Training of the supernet", said, _table("Supernet losses by epoch", curves))


def _supernet_curves(run: ReportedRun) -> dict[str, list[float]]:
    stage = run.result.stages.get("supernet")
    given: dict[str, Any] = {} if stage is None else stage.model_extra or {}
    several = given.get("supernets") or []
    if several:
        return {
            ("supernet" if len(several) == 1 else f"fold {number}"): list(one["losses"])
            for number, one in enumerate(several, 1)
        }
    losses = given.get("losses")
    return {"supernet": losses} if isinstance(losses, list) and losses else {}


def trainings_chart(run: ReportedRun) -> Chart | None:
    """The loss by epoch of each row's training on the training split; ``None`` where nothing was trained."""
    seed = run.result.config["seed"]
    curves: dict[str, tuple[str, list[float]]] = {}
    for row in run.result.rows:
        runs = [r for r in row.runs if r.on == "train" and r.seed == seed and r.chosen and r.losses]
        if runs and row.averaging is None and row.method != "linear":
            curves[run.labels[row.name]] = ("chosen" if row.selected else GROUPS[row.group], runs[0].losses)
    if not curves:
        return None
    with drawing(3.4 + 0.11 * len(curves)) as (figure, axes):
        drawn: dict[str, int] = {}
        for label, (role, losses) in curves.items():
            style = _STYLES[drawn.get(role, 0) % len(_STYLES)]
            drawn[role] = drawn.get(role, 0) + 1
            width = 2.2 if role == "chosen" else 1.3
            axes.plot(
                range(1, len(losses) + 1),
                losses,
                style,
                color=light(role),
                lw=width,
                marker="o",
                ms=3,
                label=label,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean training loss")
        axes.set_yscale("log")
        _plain_decimals(axes)
        whole_numbers(axes)
        legend_below(axes, 1 if max(map(len, curves)) > 24 else 2)
        table = _table("Losses of the separate trainings by epoch", {n: c for n, (_, c) in curves.items()})
        said = (
            f"{len(curves)} trainings by the recipe that validation chose, each on the training images, by "
            "the run's first seed. Linear probing trains on stored features and has no curve here."
        )
        return chart(figure, "Separate trainings", said, table)


def _plain_decimals(axes: Any) -> None:
    """Label the logarithmic loss axis as ``0.05``, not as powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _table(caption: str, curves: dict[str, list[float]]) -> DataTable:
    longest = max(map(len, curves.values()))
    return data_table(
        caption,
        ("epoch", *curves),
        (
            (str(epoch + 1), *(f"{c[epoch]:.3f}" if epoch < len(c) else "" for c in curves.values()))
            for epoch in range(longest)
        ),
    )
