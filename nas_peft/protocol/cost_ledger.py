"""What each stage of a run cost, and how often one could have retrained a subnet for it."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table

from nas_peft.run.results import SearchResult
from supernet import TRAINABLE_SETS

BACKWARD = TRAINABLE_SETS["modules"].backward_passes
"""A backward pass of a subnet in forward passes, where the trunk is frozen.

The gradients of activations take as many operations as the activations did, and those of weights are not
needed: 0.85 to 1.1 times the operations of the forward pass by torch's counter, 1.0 to 1.3 times its seconds
on a CPU, for LoRA or adapters in all or some layers of ViTs of two sizes.
"""
BACKWARD_FULL = TRAINABLE_SETS["all"].backward_passes
"""The same for full fine-tuning, which needs both (1.98 times the operations)."""


@dataclass(frozen=True)
class StageCost:
    """Images through the backbone, forward and backward, seconds, and peak memory in bytes, of one stage.

    ``full`` are those of the backward passes that train the backbone too.
    """

    name: str
    forward: float
    backward: float
    full: float = 0.0
    seconds: float = 0.0
    peak_memory: int | None = None

    @property
    def passes(self) -> float:
        """Forward and backward ones, each counting 1."""
        return self.forward + self.backward

    @property
    def work(self) -> float:
        """In forward passes, by what a backward pass costs."""
        return self.forward + BACKWARD * (self.backward - self.full) + BACKWARD_FULL * self.full


def stage_costs(result: SearchResult) -> list[StageCost]:
    """The stages in their order; a pass of training goes forward and back, one of scoring only forward."""
    return [
        StageCost(
            name,
            stage.image_passes + stage.image_passes_forward,
            stage.image_passes,
            stage.image_passes_full,
            stage.seconds,
            stage.peak_memory,
        )
        for name, stage in result.stages.items()
    ]


def one_retraining(result: SearchResult) -> StageCost:
    """Training one subnet on the training part by the run's recipe."""
    passes = result.config["epochs"] * result.dataset["counts"]["train"]
    return StageCost("one retraining", passes, passes)


def cost_table(result: SearchResult) -> Table:
    """Passes, seconds and peak memory of each stage; its passes and its work in those of `one_retraining`."""
    reference = one_retraining(result)
    memory = result.environment.get("peak memory", "not measured")
    table = Table(
        caption="forward, backward: images through the backbone; retrainings: passes in those of one "
        "retraining on the training part, forward and backward alike; by work: the same where a backward "
        f"pass counts as {BACKWARD} forward pass, of full fine-tuning as {BACKWARD_FULL}; several trainings "
        f"run at once, so seconds do not add up to work; peak MB: memory of the largest process ({memory})",
        title="cost",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("stage", no_wrap=True)
    for name in ("forward", "backward", "seconds", "peak MB", "retrainings", "by work"):
        table.add_column(name, justify="right", no_wrap=True)
    for cost in stage_costs(result):
        table.add_row(
            cost.name,
            f"{cost.forward:,.0f}",
            f"{cost.backward:,.0f}",
            f"{cost.seconds:,.0f}",
            "-" if cost.peak_memory is None else f"{cost.peak_memory / 1e6:,.0f}",
            f"{cost.passes / reference.passes:.1f}",
            f"{cost.work / reference.work:.1f}",
        )
    return table
