"""Options of the commands that train which say where a run works and writes, not what its result is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from nas_peft.settings.lists import Trackers
from nas_peft.settings.panels import Panel, Screen
from search_spaces.errors import InputError

CACHE = (
    "Folder for the decoded images of large data sets, or none to keep them in memory; by default the "
    "environment variable NAS_PEFT_CACHE, else nas-peft/images in the user's cache folder"
)
CACHE_LIMIT = (
    "Most that the cache may take, such as 50GB; what was not used for longest is removed first; by default "
    "the environment variable NAS_PEFT_CACHE_LIMIT, else a fifth of the disk"
)

Progress: TypeAlias = Literal["auto", "plain", "json"]


def require_one_way(progress: Progress, quiet: bool) -> None:
    """Raise `InputError` for ways to show progress that contradict each other."""
    if quiet and progress != "auto":
        raise InputError(f"--quiet shows no progress, and --progress {progress} does; give one of them")


class RunOptions(BaseModel):
    """Options that `nas-peft search` and `nas-peft baselines` share beside their configurations.

    They may stand in a configuration file like all others, and no result depends on them but in its last
    digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, defer_build=True)

    out: Annotated[Path | None, Panel.OUTPUT, Screen.RUN] = Field(
        None, description="Run folder, by default one under runs/ named after data and configuration"
    )
    device: Annotated[str, Panel.CLUSTER, Screen.RUN] = Field(
        "auto", description="Device to compute on: auto, cpu or cuda"
    )
    ray_address: Annotated[str | None, Panel.CLUSTER] = Field(
        None,
        description="Address of a running Ray to train on: auto or HOST:PORT if this machine is part of it, "
        "else ray://HOST:PORT of its client server, or local for a Ray of the command's own on this machine, "
        "which is stopped at the end; by default the environment variable RAY_ADDRESS, else local",
    )
    cpus_per_trial: Annotated[int | None, Panel.CLUSTER] = Field(
        None,
        description="Cores for each separate training; by default an equal share of all cores; another "
        "number may change the last digits of the results",
    )
    gpus_per_trial: Annotated[float | None, Panel.CLUSTER] = Field(
        None,
        description="GPUs for each separate training, at most 1; 0.25 runs four trainings at once on each "
        "GPU; by default as many as a plan finds room for, and one without a plan",
    )
    cache: Annotated[str | None, Panel.DATA] = Field(None, description=CACHE)
    cache_limit: Annotated[str | None, Panel.DATA] = Field(None, description=CACHE_LIMIT)
    progress: Annotated[Progress, Panel.OUTPUT] = Field(
        "auto",
        description="How progress is shown: auto (bars on a terminal, plain lines elsewhere), plain, or json "
        "(one JSON object a line on standard output, the result among them)",
    )
    tracker: Annotated[Trackers, Panel.OUTPUT] = Field(
        None,
        description="Also keep losses, candidates, the final table and the exported file elsewhere: "
        "tensorboard (in the run folder), wandb or mlflow, or several with commas; each needs its extra",
    )
    quiet: Annotated[bool, Panel.OUTPUT] = Field(False, description="Show no progress, only the end")

    @model_validator(mode="after")
    def _check_progress(self) -> Self:
        require_one_way(self.progress, self.quiet)
        return self


class SearchOptions(RunOptions):
    """Options of `nas-peft search` beside its configuration."""

    storage: Annotated[str | None, Panel.OUTPUT] = Field(
        None,
        description="Storage for Optuna's record of the search: sqlite:///FILE, another database URL, or "
        "FILE.journal; by default study.journal in the run folder",
    )
    study: Annotated[str | None, Panel.OUTPUT] = Field(
        None, description="Name of the Optuna study in --storage; by default the name of the run folder"
    )
    workers: Annotated[int, Panel.CLUSTER] = Field(
        1, description="Number of processes that score candidates, each with a GPU or a share of the cores"
    )
    dry_run: Annotated[bool, Panel.BUDGET, Screen.TIME] = Field(
        False,
        description="Print the plan for --time or --preset, with the expected seconds of each stage, and "
        "stop",
    )
