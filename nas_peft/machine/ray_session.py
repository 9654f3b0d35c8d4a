"""Connection to Ray: a Ray started on this machine, a cluster, or one that the caller has started."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from nas_peft.machine.container import whole_cores
from nas_peft.machine.import_path import job_config
from nas_peft.machine.last_words import LastWords
from nas_peft.machine.loopback import on_loopback
from nas_peft.machine.ray_folder import require_ray_folder
from nas_peft.machine.worker_setup import without_wandb
from search_spaces import InputError

LOCAL = "local"
"""Address of a Ray that is started on this machine."""
_VARIABLE = "RAY_ADDRESS"
_REMEDY = "give auto, HOST:PORT or ray://HOST:PORT of a running Ray, or leave it out to start one here"
_UNSET = (
    f"unset {_VARIABLE}, or give --ray-address local to start a Ray here, or auto, HOST:PORT or "
    "ray://HOST:PORT of a running Ray"
)
_ENDED_WITH_RAY = (
    "error: the command was ended from outside, or by Ray when a process of Ray's own died; what was "
    "finished is kept: start the same command again to go on"
)
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_STARTS = 2
_CLIENT_STARTS = 3
_PATIENCE = 10.0  # seconds for a head node to accept a connection


@dataclass(frozen=True)
class RayOptions:
    """Place and resources of separate trainings.

    Args:
        address: ``auto`` or ``HOST:PORT`` of a running Ray that includes this machine, ``ray://HOST:PORT``
            of the client server of a Ray that does not, or ``local`` for a Ray on this machine that is shut
            down at the end; by default the value of the environment variable ``RAY_ADDRESS``, else ``local``.
        cpus_per_trial: cores and threads of each training; by default an equal share for each of a stage's
            trainings. The last bits of sums depend on the number of threads.
        gpus_per_trial: GPUs of each training, up to 1; with less than 1, several trainings share a GPU.

    Raises `InputError` for impossible values.
    """

    address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None

    def __post_init__(self) -> None:
        if self.cpus_per_trial is not None and self.cpus_per_trial < 1:
            raise InputError(f"cpus_per_trial is {self.cpus_per_trial}; give a whole number from 1 up")
        if self.gpus_per_trial is not None and not 0 < self.gpus_per_trial <= 1:
            raise InputError(
                f"gpus_per_trial is {self.gpus_per_trial:g}; give more than 0 and up to 1, such as 0.25"
            )

    def require_possible(self, device: str) -> None:
        """Raise `InputError` for options that cannot work on ``device``, before anything is computed.

        The address must answer; the first connection shows whether the answer comes from Ray.
        """
        if device == "cpu" and self.gpus_per_trial is not None:
            raise InputError("gpus_per_trial is given, and the device is cpu; leave it out, or use a GPU")
        self.require_answer()

    def require_answer(self) -> None:
        """Raise `InputError` if nothing answers at the address of a running Ray, or none can start here."""
        if self.place.address != LOCAL:
            _require_answer(self.place)
        else:
            require_ray_folder()

    @property
    def place(self) -> RayPlace:
        """The Ray that is meant, and who named it."""
        if self.address is None and (found := os.environ.get(_VARIABLE)):
            return RayPlace(found, f"the environment variable {_VARIABLE}", _UNSET)
        return RayPlace(self.address or LOCAL, "ray_address", _REMEDY)


@dataclass(frozen=True)
class RayPlace:
    """Address of a Ray, what it was given by, and what to do when it is wrong."""

    address: str
    given_by: str
    remedy: str

    def error(self, reason: str) -> InputError:
        """The error for a place that cannot be used; ``reason`` follows the address."""
        return InputError(f"{self.given_by} is '{self.address}'{reason}; {self.remedy}")


class RaySession:
    """Context manager that connects to Ray when first needed and at the end closes what it started."""

    def __init__(self, options: RayOptions) -> None:
        self._options = options
        self._ours = False
        self._machines: list[dict[str, float]] | None = None
        self._last_words: LastWords | None = None

    def __enter__(self) -> RaySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            import ray

            ray.shutdown()
            self._ours = False
        if self._last_words is not None:
            self._last_words.__exit__(kind, error, trace)
            self._last_words = None
        self._machines = None

    def connect(self) -> Any:
        """The initialised module ``ray``. Raises `InputError` if Ray cannot be started or reached."""
        # Without these Ray prints a warning about GPUs, sends usage statistics, and changes the working
        # directory of its workers, which relative paths in module files would notice.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
        # Ray would start workers beforehand, and wait without end for one that dies meanwhile.
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
        import ray

        if not ray.is_initialized():
            handlers = {number: signal.getsignal(number) for number in _STOPPING}
            place = self._options.place
            if place.address == LOCAL:
                _start(ray)
                self._last_words = LastWords(_ENDED_WITH_RAY)
                self._last_words.__enter__()
            else:
                _reach(ray, place)
            self._ours = True
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():  # Ray's own end the process without a word
                    if callable(handler):
                        signal.signal(number, handler)
        if self._machines is None:
            # Read once: a stage after the loss of a machine must divide the cores as before.
            self._machines = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
        return ray

    def gpu_places(self) -> int:
        """The number of trainings that the GPUs have room for at a time; 0 without GPUs."""
        assert self._machines is not None
        share = self._options.gpus_per_trial or 1.0
        return sum(int(machine.get("GPU", 0) / share) for machine in self._machines)

    def resources(self, trainings: int, device: str) -> dict[str, float]:
        """Resources of each of ``trainings`` trainings, in Ray's terms: ``CPU``, and ``GPU`` if ``device`` is
        cuda.

        Raises `InputError` if no machine has enough.
        """
        assert self._machines is not None
        gpus = 0.0 if device == "cpu" else self._options.gpus_per_trial or 1.0
        able = [m for m in self._machines if m.get("GPU", 0) >= gpus and m.get("CPU", 0) >= 1]
        if not able:
            raise InputError(
                f"a training takes a core and {gpus:g} GPUs, more than any machine of Ray has; "
                "give another --ray-address or --device"
            )
        most = int(max(machine["CPU"] for machine in able))
        cpus = self._options.cpus_per_trial
        if cpus is None:
            cpus = min(most, max(1, int(sum(machine["CPU"] for machine in able)) // trainings))
        elif cpus > most:
            raise InputError(f"cpus_per_trial is {cpus}, and the largest machine of Ray has {most}; lower it")
        return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}

    def require_places(self, count: int, device: str) -> None:
        """Raise `InputError` unless ``count`` processes that work together fit on the machines at once."""
        assert self._machines is not None
        each = self.resources(count, device)
        places = sum(
            min(int(machine.get(name, 0) / amount) for name, amount in each.items())
            for machine in self._machines
        )
        if places < count:
            raise InputError(
                f"data_parallel is {count}, but the machines of Ray have room for {places} such processes "
                f"({' and '.join(f'{amount:g} {name}s' for name, amount in each.items())} each); give at "
                "most that many processes"
            )


def _start(ray: Any) -> None:
    options = {
        "address": LOCAL,
        "num_cpus": whole_cores(),  # Ray counts those of the machine, also where a batch system lends a few
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    reason = ""
    for _ in range(_STARTS):
        try:
            with on_loopback():
                ray.init(**options, job_config=without_wandb(job_config()))
            return
        except Exception as error:
            ray.shutdown()
            reason = _first_line(error)
    raise InputError(
        f"Ray did not start on this machine in {_STARTS} attempts: {reason}; start the same command again "
        "when the machine is less busy, or give the --ray-address of a running Ray"
    )


def _reach(ray: Any, place: RayPlace) -> None:
    from ray.job_config import JobConfig

    _require_answer(place)  # before Ray, which tries for minutes and then ends the process
    # The server that a cluster forks for each client now and then hangs or is slow to start; another is made.
    attempts = _CLIENT_STARTS if place.address.startswith("ray://") else 1
    for attempt in range(attempts):
        try:
            own = {} if place.address.startswith("ray://") else {"job_config": without_wandb(JobConfig())}
            ray.init(address=place.address, log_to_driver=False, logging_level=logging.ERROR, **own)
            return
        except Exception as error:
            ray.shutdown()
            if attempt + 1 == attempts:
                raise InputError(
                    f"{place.given_by} is '{place.address}', and Ray cannot be reached there: "
                    f"{_first_line(error)}; {place.remedy}; a cluster that asks for a token needs "
                    "RAY_AUTH_MODE=token in the environment"
                ) from error


def _require_answer(place: RayPlace) -> None:
    address = place.address
    if address == "auto":
        return
    if address.startswith(("http://", "https://")):
        raise place.error(", which is an address of Ray's jobs API")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise place.error("")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise place.error(f", and nothing answers there ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    if lines[0].endswith(":"):  # of Ray's client, before a traceback of the server
        return f"{lines[0]} {lines[-1].rstrip('.')}"
    return lines[0].rstrip(".")
