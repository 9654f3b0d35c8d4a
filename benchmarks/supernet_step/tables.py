"""Goals of the benchmark of training steps, and its results and goals as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Goal:
    """Least speed or largest peak memory of a contestant, in multiples of those of a reference."""

    contestant: str
    quantity: str
    reference: str
    value: float

    def holds(self, measured: float) -> bool:
        """Whether the goal is met."""
        return measured >= self.value if self.quantity == "speed" else measured <= self.value


GOALS = (
    Goal("supernet-10", "speed", "floor", 0.90),
    Goal("supernet-per-image-10", "speed", "floor", 0.80),
    Goal("supernet-100", "speed", "floor", 0.75),
    Goal("supernet-lora", "speed", "peft-lora", 1.0),
    Goal("supernet-prompts", "speed", "vpt-prompts", 1.3),
    Goal("supernet-10", "peak memory", "floor", 1.15),
    Goal("eval-supernet-per-image-10", "speed", "eval-timm", 0.85),
)


def goals_met(
    results: Mapping[str, Mapping[str, Any]], speed_ratio: Callable[[str, str], float | None]
) -> list[dict[str, Any]]:
    """Goals whose contestant and reference were measured, with the measured ratios; JSON-able."""
    found = []
    for goal in GOALS:
        if not {goal.contestant, goal.reference} <= results.keys():
            continue
        ratio = memory_ratio(results, goal.contestant, goal.reference)
        if goal.quantity == "speed":
            ratio = speed_ratio(goal.contestant, goal.reference) or 0.0
        line = {"contestant": goal.contestant, "quantity": goal.quantity, "reference": goal.reference}
        found.append(line | {"goal": goal.value, "measured": ratio, "met": goal.holds(ratio)})
    return found


def memory_ratio(results: Mapping[str, Mapping[str, Any]], name: str, reference: str) -> float:
    """Peak memory of a contestant in multiples of that of the reference."""
    return float(results[name]["peak_bytes"] / results[reference]["peak_bytes"])


def speed_table(entry: Mapping[str, Any]) -> Table:
    """Table of speed and memory of all contestants."""
    results = entry["contestants"]
    size = "×".join(map(str, entry["image_size"]))
    table = Table(
        title=f"{entry['backbone']}, {entry['layers']} layers, {size} pixels, batch {entry['batch']}, "
        f"{entry['precision']}, {entry['device']}, {entry['machine']['threads']} threads",
        caption=f"median of {entry['repeats']} repeats; ratios to the floor, of evaluations to timm's own; "
        f"load of the machine before: {entry['machine']['load_before']}",
    )
    table.add_column("Contestant", no_wrap=True)
    for header in ("ms per step", "Images/s", "Speed ratio", "Peak MB", "Memory ratio"):
        table.add_column(header, justify="right")
    for name, result in results.items():
        reference = result["reference"]
        speed = result["speed_of_reference"]
        memory = f"{memory_ratio(results, name, reference):.2f}" if reference in results else "-"
        table.add_row(
            name,
            f"{1000 * result['median_seconds']:.1f}",
            f"{result['images_per_second']:.1f}",
            "-" if speed is None else f"{speed:.2f}",
            f"{result['peak_bytes'] / 1e6:.0f}",
            memory,
            end_section=name == "full",
        )
    return table


def goals_table(entry: Mapping[str, Any]) -> Table:
    """Table of goals and measured ratios."""
    table = Table(title="Goals")
    for header in ("Contestant", "Quantity", "Reference"):
        table.add_column(header)
    for header in ("Goal", "Measured", "Met"):
        table.add_column(header, justify="right")
    for goal in entry["goals"]:
        sign = "≥" if goal["quantity"] == "speed" else "≤"
        table.add_row(
            goal["contestant"],
            goal["quantity"],
            goal["reference"],
            f"{sign} {goal['goal']:.2f}",
            f"{goal['measured']:.3f}",
            "yes" if goal["met"] else "no",
        )
    return table
