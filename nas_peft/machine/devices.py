"""Devices of a run: of the main process, and of the workers of its Ray."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nas_peft.machine.device_names import require_device_name
from nas_peft.machine.ray_session import LOCAL, RayOptions, RaySession
from search_spaces import InputError


@dataclass(frozen=True)
class Devices:
    """Devices of the main process (``here``) and of the Ray workers (``workers``), each cpu or cuda.

    The two differ when a machine without a GPU starts a run on a cluster that has GPUs.
    """

    here: str
    workers: str

    @property
    def elsewhere(self) -> bool:
        """Whether only the workers have GPUs."""
        return self.here != self.workers


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises `InputError` for another name, and for ``cuda`` without a CUDA GPU.
    """
    require_device_name(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA GPU; give --device cpu")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def resolve_devices(device: str, ray_options: RayOptions) -> Devices:
    """The devices for ``device``, on this machine and on the Ray of ``ray_options``.

    A Ray with an address is asked for GPUs, unless ``device`` is cpu. With ``auto`` the workers use GPUs if
    the Ray has any. Raises `InputError` for another name, and for ``cuda`` if the Ray, or this machine where
    no address is given, has no GPU.
    """
    address = ray_options.place.address
    if device not in ("auto", "cuda") or address == LOCAL:
        here = resolve_device(device)
        return Devices(here, here)
    with RaySession(ray_options) as session:
        gpus = session.connect().cluster_resources().get("GPU", 0)
    if device == "cuda" and not gpus:
        raise InputError(
            f"device is 'cuda', but the Ray at '{address}' has no GPU; give --device cpu, or another "
            "--ray-address"
        )
    return Devices(resolve_device("auto") if gpus else "cpu", "cuda" if gpus else "cpu")
