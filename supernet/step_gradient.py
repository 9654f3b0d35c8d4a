"""The gradient of one training step: pass by pass, part by part, on one process or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import Architecture
from supernet.architecture_batch import ArchitectureBatch
from supernet.choosers import Step
from supernet.data_parallel import Processes
from supernet.execution import Execution
from supernet.precision import autocast
from supernet.transfers import to_device


@dataclass(frozen=True)
class StepGradient:
    """Adds the gradient of a step's loss to the parameters of ``network``.

    With P passes, and N images of which this process has some, in parts of n images at a time, the loss is

        Σ over parts and passes of  n / (N·P) · (mean cross-entropy of the pass on the part)

    Each term is propagated backward before the next one is computed, so that memory is of one pass on one
    part; the terms add up to the same gradient as the whole.

    Args:
        network: called with what ``inputs`` gives and an architecture; the same in all processes.
        inputs: the network's input for the images of the given indices, on ``device``.
        labels: int64 ``(N,)`` of all images, where the indices are.
        device: of the network.
        kinds: if given, every pass is run with one architecture per image of these kinds.
    """

    network: nn.Module
    inputs: Callable[[Tensor], Tensor]
    labels: Tensor
    device: torch.device
    execution: Execution
    processes: Processes
    kinds: tuple[str, ...] | None = None

    @property
    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.network.parameters() if p.requires_grad]

    def add(self, batch: Tensor, step: Step) -> Tensor:
        """The mean loss of ``step`` on the images of indices ``batch (N,)``, over all processes."""
        rows = self.processes.rows(len(batch))
        # a process without images takes one of weight 0: what it uses has a gradient as elsewhere
        parts = divided(rows, self.execution.micro_batches) or [range(1)]
        loss = torch.zeros((), device=self.device)
        for part in parts:
            weight = len(part) / (len(batch) * len(step.passes)) if rows else 0.0
            images = batch[part.start : part.stop]
            x = self.inputs(images)
            targets = to_device(self.labels[images], self.device)
            for which, architecture in enumerate(step.passes):
                with autocast(self.device, self.execution.precision):
                    logits = self.network(x, self._of_part(architecture, part))
                logits = logits.float()
                term = F.cross_entropy(logits, targets) * weight
                term.backward()  # type: ignore[no-untyped-call]
                loss += term.detach()
                if step.distil and which == 0:
                    targets = logits.detach().softmax(-1)
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
    """``rows`` in that many contiguous parts of nearly equal size, or as many as there are rows."""
    parts = min(parts, len(rows))
    return [rows[i * len(rows) // parts : (i + 1) * len(rows) // parts] for i in range(parts)]
