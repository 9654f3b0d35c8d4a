"""What each stage of a run cost, and how often one could have retrained a subnet for it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from nas_peft.results import SearchResult

BACKWARD = 2
"""A backward pass in forward passes: gradients of activations and, where they are trained, of weights."""


@dataclass(frozen=True)
class StageCost:
    """Images through the backbone, forward and backward, and seconds, of one stage."""

    name: str
    forward: float
    backward: float
    seconds: float

    @property
    def work(self) -> float:
        """In forward passes."""
        return self.forward + BACKWARD * self.backward


def stage_costs(result: SearchResult) -> list[StageCost]:
    """The stages in their order; a pass of training goes forward and back, one of scoring only forward."""
    return [
        StageCost(
            name,
            stage.get("image_passes", 0) + stage.get("image_passes_forward", 0),
            stage.get("image_passes", 0),
            stage["seconds"],
        )
        for name, stage in result.stages.items()
    ]


def one_retraining(result: SearchResult) -> StageCost:
    """Training one subnet on the training part by the run's recipe; seconds are not told apart."""
    passes = result.config["epochs"] * result.dataset["counts"]["train"]
    return StageCost("one retraining", passes, passes, 0.0)


def cost_table(result: SearchResult) -> Table:
    """Passes and seconds of each stage, and its work as a multiple of `one_retraining`."""
    reference = one_retraining(result).work
    table = Table(
        caption="1 is the work of one retraining on the training part; a backward pass counts as "
        f"{BACKWARD} forward passes; several trainings run at once, so seconds do not add up to work",
        title="cost",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("stage", no_wrap=True)
    for name in ("forward passes", "backward passes", "seconds", "retrainings"):
        table.add_column(name, justify="right", no_wrap=True)
    for cost in stage_costs(result):
        table.add_row(
            cost.name,
            f"{cost.forward:,.0f}",
            f"{cost.backward:,.0f}",
            f"{cost.seconds:,.0f}",
            f"{cost.work / reference:.1f}",
        )
    return table
