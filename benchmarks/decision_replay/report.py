"""The printed report of a replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.decision_replay.half_splits import WAYS
from benchmarks.decision_replay.recipe_splits import WAYS as OF_RECIPES

METHODS = ("methods", "exportable methods")


def print_report(report: Mapping[str, Any]) -> None:
    """Print the tables of those parts that were replayed."""
    for part in METHODS:
        if part in report:
            _print_methods(part, report[part])
    if "settings" in report:
        print("\nsettings of a method: share tested, validation accuracy lost on average, most lost")
        for name, row in report["settings"].items():
            print(f"  {name:34} {row['tested']:6.2f} {row['accuracy_lost']:6.2f} {row['most_lost']:6.2f}")
    if "contestants" in report:
        print(
            "\nmethods to tune: test accuracy of the one that validation chooses, gain on LoRA alone ± s.e."
        )
        for part in ("single", "with the reference", "left out", "best"):
            for name, row in report["contestants"][part].items():
                gain = f" {row['gain']:+6.2f} ± {row['gain_se']:.2f}" if "gain" in row else ""
                names = f" ({', '.join(row['methods'])})" if "methods" in row else ""
                print(f"  {f'{part}, {name}{names}':72} {row['test']:6.2f}{gain}")
    if "portfolio" in report:
        print("\nportfolio: settings, regret on the task left out ± s.e., of as many random settings")
        for size, row in report["portfolio"]["sizes"].items():
            print(f"  {size:>3} {row['regret']:6.2f} ± {row['regret_se']:.2f} {row['random']:6.2f}")
    for way in WAYS if "half splits" in report else ():
        print(f"\nhalf-splits, choice of {way}: accuracy on the other half, gain on the lowest loss ± s.e.")
        for name, row in report["half splits"][way].items():
            error = "" if row["gain_se"] is None else f" ± {row['gain_se']:.2f}"
            print(f"  {name:68} {row['accuracy']:6.2f} {row['gain_on_lowest_loss']:+6.2f}{error}")
    for way in OF_RECIPES if "recipe splits" in report else ():
        print(f"\nhalf-splits, choice of {way}: accuracy, then loss, elsewhere, each with its gain ± s.e.")
        for name, row in report["recipe splits"][way].items():
            points = f"{row['accuracy']:6.2f} {row['gain']:+6.2f} ± {row['gain_se']:.2f}"
            losses = f"{row['calibrated_loss']:.4f} {row['loss_gain']:+.4f} ± {row['loss_gain_se']:.4f}"
            print(f"  {name:78} {points}, {losses}")


def _print_methods(title: str, found: Mapping[str, Any]) -> None:
    print(f"\n{title}: test accuracy, regret ± s.e., gain on the lowest loss ± s.e., million parameters")
    print(f"  {'by hindsight':34} {found['by hindsight']['test']:6.2f}")
    for name, row in found["rules"].items():
        print(f"  {name:34} {_line(row)}")
    for name, row in found["chosen"].items():
        fractions = sorted(set(row["fractions"].values()))
        chosen = ", ".join(f"{f:g}" for f in fractions)
        print(f"  {f'{name}, fraction left out ({chosen})':34} {_line(row)}")


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['test']:6.2f} {row['regret']:6.2f} ± {row['regret_se']:.2f} "
        f"{row['gain_on_lowest_loss']:+6.2f} ± {row['gain_se']:.2f} {row['params'] / 1e6:6.2f}"
    )
