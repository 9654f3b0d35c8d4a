"""Hardware and versions behind a result."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from nas_peft.machine.container import cores


def environment(device: str) -> dict[str, str]:
    """Processor or GPU, number of cores, meaning of the peak memory, and the versions of the packages."""
    import torch

    from nas_peft.machine.peak_memory import what_is_measured

    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    packages = {p: version(p) for p in ("nas-peft", "torch", "timm", "optuna", "ray", "numpy")}
    return {
        "device": name,
        "cores": f"{cores():g}",
        "peak memory": what_is_measured(device),
        "python": platform.python_version(),
        **packages,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
