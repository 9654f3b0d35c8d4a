"""Options that a run folder notes beside the configuration, so that its ``config.yaml`` repeats the run."""

from __future__ import annotations

from nas_peft.machine.ray_session import RayOptions
from nas_peft.searching.study_storage import StudyStorage
from nas_peft.settings.command_options import SearchOptions
from nas_peft.settings.validation import validated


def noted_options(
    device: str,
    ray: RayOptions,
    *,
    storage: str | None = None,
    study: str | None = None,
    workers: int = 1,
) -> SearchOptions:
    """The options as given; a ``storage`` with a password is left out, and so is its ``study``."""
    secret = storage is not None and StudyStorage(storage).name != storage
    values = {
        "device": device,
        "ray_address": ray.address,
        "cpus_per_trial": ray.cpus_per_trial,
        "gpus_per_trial": ray.gpus_per_trial,
        "storage": None if secret else storage,
        "study": None if secret else study,
        "workers": workers,
    }
    return validated(SearchOptions, values)
