"""Peak memory of a process over a period."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """Peak memory of this process since the creation of this object, in ``bytes``.

    On a GPU: the memory allocated by torch on ``device`` (`torch.cuda.max_memory_allocated`). On a CPU: the
    resident set of the whole process as Linux reports it (``VmHWM``, reset by writing 5 to
    ``/proc/self/clear_refs``), memory from before included. Every new object resets the count, so two periods
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
        except OSError:  # not Linux, or the reset is not permitted
            self._measured = False

    @property
    def bytes(self) -> int | None:
        """The peak so far in bytes, or ``None`` where it cannot be measured."""
        if not self._measured:
            return None
        return _resident_peak() if self._gpu is None else int(torch.cuda.max_memory_allocated(self._gpu))


def largest(peaks: Iterable[int | None]) -> int | None:
    """The largest of the peaks of several processes or stage parts; ``None`` unless all were measured."""
    found = list(peaks)
    measured = [peak for peak in found if peak is not None]
    return max(measured) if measured and len(measured) == len(found) else None


def what_is_measured(device: str) -> str:
    """The meaning of the peak memory on ``device``, for the record of a result."""
    if device.startswith("cuda"):
        return "allocated by torch on the GPU"
    return "resident set of a process" if PeakMemory(device).bytes is not None else "not measured"


def _resident_peak() -> int | None:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
