"""The gradient of one training step: pass by pass, part by part, on one process or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from search_spaces import Architecture
from supernet.architecture_batch import ArchitectureBatch
from supernet.choosers import Step
from supernet.data_parallel import Processes
from supernet.depth_dropout import KeptLayers
from supernet.execution import Execution
from supernet.precision import autocast
from supernet.targets import Targets
from supernet.training_loss import TrainingLoss


@dataclass(frozen=True)
class StepGradient:
    """Adds the gradient of a step's loss to the parameters of ``network``.

    With P passes, and N images of which this process has some, in parts of n images at a time, the loss is

        Σ over parts and passes of  n / (N·P) · (mean loss of the pass on the part)

    The backward pass of each term runs before the next term is computed, so only one pass on one part is in
    memory; the terms add up to the gradient of the whole.

    Args:
        network: called with the result of ``inputs`` and an architecture; the same in all processes.
        inputs: returns the network's input for given examples, on ``device``.
        targets: returns the targets of given examples, on ``device``.
        device: device of the network.
        execution: precision and number of micro-batches.
        processes: the processes that share each batch.
        kinds: if given, every pass is run with one architecture per image, over these kinds.
        loss: the loss of logits and targets.
        dropout: returns what is left out for given examples; ``None`` leaves nothing out.
    """

    network: nn.Module
    inputs: Callable[[Tensor], Tensor]
    targets: Callable[[Tensor], Targets]
    device: torch.device
    execution: Execution
    processes: Processes
    kinds: tuple[str, ...] | None = None
    loss: TrainingLoss = field(default_factory=TrainingLoss)
    dropout: Callable[[Tensor], KeptLayers] | None = None

    @property
    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.network.parameters() if p.requires_grad]

    def add(self, batch: Tensor, step: Step) -> Tensor:
        """The mean loss of ``step`` on the examples ``batch (N,)``, over all processes."""
        rows = self.processes.rows(len(batch))
        # a process without images takes an image of weight 0, so that the same parameters have gradients
        parts = divided(rows, self.execution.micro_batches) or [range(1)]
        loss = torch.zeros((), device=self.device)
        for part in parts:
            weight = len(part) / (len(batch) * len(step.passes)) if rows else 0.0
            images = batch[part.start : part.stop]
            x = self.inputs(images)
            targets, teacher = self.targets(images), None
            kept = () if self.dropout is None else (self.dropout(images),)
            for which, architecture in enumerate(step.passes):
                with autocast(self.device, self.execution.precision):
                    logits = self.network(x, self._of_part(architecture, part), *kept)
                logits = logits.float()
                if teacher is None:
                    term = self.loss.mean(logits, targets) * weight
                else:
                    term = self.loss.distilled(logits, teacher, targets) * weight
                term.backward()  # type: ignore[no-untyped-call]
                loss += term.detach()
                if step.distil and which == 0:
                    teacher = logits.detach().softmax(-1)
        return self.processes.add_up(self._trained, loss)

    def _of_part(
        self, architecture: Architecture | ArchitectureBatch, part: range
    ) -> Architecture | ArchitectureBatch:
        if isinstance(architecture, ArchitectureBatch):
            return architecture.take(torch.arange(part.start, part.stop))
        if self.kinds is None:
            return architecture
        same = torch.zeros(len(part), dtype=torch.long)
        return ArchitectureBatch.of([architecture], self.kinds).take(same)


def divided(rows: range, parts: int) -> list[range]:
    """Divide ``rows`` into ``parts`` contiguous parts of nearly equal size, at most one for each row."""
    parts = min(parts, len(rows))
    return [rows[i * len(rows) // parts : (i + 1) * len(rows) // parts] for i in range(parts)]
