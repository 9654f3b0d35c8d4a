"""The most memory that a process took at one time while it did something."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """From its creation on: ``bytes`` is the peak so far, of this process.

    On a GPU, the one that ``device`` names, it is what torch allocated there
    (`torch.cuda.max_memory_allocated`). On a CPU it is the resident set of the whole process, as Linux counts
    it (``VmHWM``, which writing 5 to ``/proc/self/clear_refs`` sets back), with everything that was there
    before. Each counts since the last one that was made, so two
    must not overlap.
    """

    def __init__(self, device: str) -> None:
        self._gpu = torch.device(device) if device.startswith("cuda") else None
        self._measured = True
        if self._gpu is not None:
            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        try:
            _RESET.write_text("5")
            self._measured = _resident_peak() is not None
        except OSError:  # no Linux, or one that does not permit it
            self._measured = False

    @property
    def bytes(self) -> int | None:
        """``None`` where it cannot be measured."""
        if not self._measured:
            return None
        return _resident_peak() if self._gpu is None else int(torch.cuda.max_memory_allocated(self._gpu))


def largest(peaks: Iterable[int | None]) -> int | None:
    """Largest peak of several processes or parts of a stage; ``None`` unless all were measured."""
    found = list(peaks)
    measured = [peak for peak in found if peak is not None]
    return max(measured) if measured and len(measured) == len(found) else None


def what_is_measured(device: str) -> str:
    """Meaning of the peaks in a result, for its record."""
    if device.startswith("cuda"):
        return "allocated by torch on the GPU"
    return "resident set of a process" if PeakMemory(device).bytes is not None else "not measured"


def _resident_peak() -> int | None:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
