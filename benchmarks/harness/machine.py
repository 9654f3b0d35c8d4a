"""Machine and versions, as results record them."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Processor name, cores that this process may use, and threads that torch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute every benchmark."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    return found | {name: version(name) for name in ("timm", "nas-peft")}


def environment(args: argparse.Namespace) -> dict[str, Any]:
    """Machine and versions of a command line with ``device`` and ``workers``; JSON-able."""
    return {
        "machine": {
            "processor": machine()["processor"],
            "device": torch.cuda.get_device_name() if args.device == "cuda" else args.device,
            "workers": args.workers,
        },
        "versions": versions(),
    }
