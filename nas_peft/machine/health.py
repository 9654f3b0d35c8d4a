"""Checks of an installation and its machine, each with what to do about it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from nas_peft.machine.container import cores, memory
from nas_peft.machine.ray_folder import LONGEST_SOCKET, ray_folder, require_ray_folder, socket_length
from nas_peft.machine.ray_session import LOCAL, RayOptions
from nas_peft.machine.ray_start import LIMIT, try_ray
from nas_peft.machine.system import require_system
from search_spaces.errors import InputError

LEAST_MEMORY = 4 * 2**30
LEAST_DISK = 2 * 2**30
_LEAST_SHARED = 2 * 2**30
_HUB = "https://huggingface.co"
_SECONDS = 3.0
_ALWAYS = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)\s*$")
_OF_EXTRA = re.compile(r"""([\w.-]+)\S*\s*;\s*extra == ['"]([\w-]+)""")
_FOR_DEVELOPERS = {"test", "benchmarks", "docs"}


@dataclass(frozen=True)
class Check:
    """One line of a check-up.

    ``fine`` is ``None`` for what works without: an extra, a GPU, the network. ``remedy`` says what to do.
    """

    name: str
    fine: bool | None
    found: str
    remedy: str = ""


def package_checks() -> Iterator[Check]:
    """The versions of Python and of the libraries, against the lowest that are supported."""
    yield Check(
        "python", sys.version_info >= (3, 10), platform.python_version(), "install Python 3.10 or newer"
    )
    for name, least in _required().items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, False, "not installed", f"pip install '{name}>={least}'")
            continue
        old = _parts(found) < _parts(least)
        yield Check(
            name, not old, f"{found} (at least {least})", f"pip install -U '{name}>={least}'" if old else ""
        )


def extra_checks() -> Iterator[Check]:
    """Which extras are installed, but those for developing the package."""
    extras: dict[str, list[str]] = {}
    for line in requires("nas-peft") or []:
        if match := _OF_EXTRA.match(line):
            extras.setdefault(match[2], []).append(match[1])
    for extra in sorted(extras.keys() - _FOR_DEVELOPERS):
        missing = [name for name in extras[extra] if not _installed(name)]
        remedy = f"pip install 'nas-peft[{extra}]' if you need it"
        found = f"without {', '.join(missing)}" if missing else "installed"
        yield Check(f"extra {extra}", None if missing else True, found, remedy if missing else "")


def machine_checks() -> Iterator[Check]:
    """The system, cores, memory and GPUs that this process may use."""
    try:
        require_system()
    except InputError as error:
        yield Check("system", False, platform.platform(), str(error))
    else:
        yield Check("system", True, platform.platform())
    number = cores()
    yield Check("cores", True, f"{number:g}" + (f" of {os.cpu_count()}" if number != os.cpu_count() else ""))
    if (found := memory()) is None:
        yield Check("memory", None, "cannot be read on this system")
    else:
        total, free = found
        said = f"{_in_gib(total)}, {_in_gib(free)} free"
        yield Check(
            "memory",
            free >= LEAST_MEMORY,
            said,
            f"{_in_gib(LEAST_MEMORY)} free are needed; end other programs",
        )
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        free_bytes = min(torch.cuda.mem_get_info(i)[0] for i in range(len(names)))
        yield Check("gpu", True, f"{', '.join(names)}; {_in_gib(free_bytes)} free")
    elif shutil.which("nvidia-smi"):
        remedy = "install the torch build of your CUDA version (pytorch.org), or check the driver"
        yield Check("gpu", False, f"a driver is there, but torch {torch.__version__} finds no GPU", remedy)
    else:
        yield Check("gpu", None, "none, so everything runs on the cores")


def folder_checks(folders: Mapping[str, Path]) -> Iterator[Check]:
    """Whether each folder, or the folder that it will be made in, can be written to and has room.

    Where it is not there yet, the nearest folder above is looked at; nothing is left behind.
    """
    for name, folder in folders.items():
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
        try:
            with tempfile.TemporaryFile(dir=there) as file:
                _require_lock(file.fileno())
        except OSError as error:
            remedy = f"give another folder, or change its permissions ({error.strerror})"
            yield Check(name, False, f"'{there}' cannot be written to", remedy)
            continue
        free = shutil.disk_usage(there).free
        remedy = f"free at least {_in_gib(LEAST_DISK)} there"
        yield Check(name, free >= LEAST_DISK, f"'{there}': {_in_gib(free)} free", remedy)


def ray_checks(shared: Path = Path("/dev/shm")) -> Iterator[Check]:
    """What Ray needs: an address that answers, or else the length of its socket's path, shared memory."""
    options = RayOptions()
    place = options.place
    if place.address != LOCAL:
        try:
            options.require_answer()
        except InputError as error:
            yield Check("ray start", False, "cannot be reached", str(error))
        else:
            yield Check("ray start", True, f"answers at '{place.address}', by {place.given_by}")
        return
    length = socket_length(ray_folder())
    said, remedy = f"starts on this machine; path of its socket {length} of {LONGEST_SOCKET} bytes", ""
    try:
        require_ray_folder()
    except InputError as error:
        remedy = str(error)
    yield Check("ray start", not remedy, said, remedy)
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        remedy = "training works, and large data go over the disk; in Docker give --shm-size=4g"
        yield Check("shared memory", True if free >= _LEAST_SHARED else None, f"{_in_gib(free)} free", remedy)


def ray_trial_check(limit: float = LIMIT) -> Check:
    """Whether Ray really starts, or the one that ``RAY_ADDRESS`` names is reached, and does a task."""
    trial = try_ray(limit)
    if not trial.fault:
        return Check("ray task", True, f"done in {trial.seconds:.1f} s, with start and end")
    if RayOptions().place.address == LOCAL:
        logs = ray_folder() / "ray" / "session_latest" / "logs"
        remedy = (
            f"look at gcs_server.out and raylet.out in '{logs}'; usual causes are a busy machine, a proxy or "
            "firewall between programs of this machine, and too few allowed processes (ulimit -u); nas-peft "
            "search --no-retrain works without Ray"
        )
    else:
        remedy = "look at 'ray status' there, or unset RAY_ADDRESS to start a Ray on this machine"
    return Check("ray task", False, trial.fault, remedy)


def network_check(address: str = _HUB) -> Check:
    """Whether the hub answers; only weights that are not on this machine need it."""
    try:
        urlopen(Request(address, method="HEAD"), timeout=_SECONDS).close()
    except HTTPError:
        pass  # an answer
    except OSError:
        remedy = "needed only to download weights and data; or give files with --backbone-weights"
        return Check("network", None, f"{address} does not answer", remedy)
    return Check("network", True, f"{address} answers")


def _required() -> dict[str, str]:
    """The libraries of the installation with the lowest version of each."""
    found = {}
    for line in requires("nas-peft") or []:
        if match := _ALWAYS.match(line):
            found[match[1]] = match[2]
    return found


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


def _require_lock(file: int) -> None:
    if find_spec("fcntl") is None:
        return  # `require_system` says it
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
