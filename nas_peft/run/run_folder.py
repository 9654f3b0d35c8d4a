"""Folder of a run: configuration, record, stage results, subnet."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from nas_peft.data.home_folder import expanded
from nas_peft.machine.system import require_system
from nas_peft.run.config_file import read_config, write_config
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.place import require_place
from nas_peft.run.stage_records import OpeningRecord
from nas_peft.run.version import __version__
from nas_peft.settings.command_options import RunOptions
from nas_peft.settings.lists import with_lists
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import InputError

_Record = TypeVar("_Record", bound=BaseModel)

_BEFORE_STAGES = {"inputs", "plan", "record"}


@dataclass(frozen=True)
class RunFolder:
    """All files of a run, each written atomically.

    ``config.yaml``; ``supernet.safetensors``; ``study.journal`` (Optuna); ``stages/*.json``, one for each
    finished stage; ``trainings/``, for each separate training ``*.json``, the logits of each validation image
    in ``*.val.safetensors`` unless it is a final model, and in ``*.safetensors`` the weights of final models
    and of one training of each row without a final model;
    ``results.json``; ``subnet.safetensors``, the winner.
    """

    path: Path
    resumed: bool = False
    """Whether an earlier process had begun the run."""

    @classmethod
    def open(
        cls,
        path: Path | None,
        config: TrainingConfig,
        fingerprint: str = "",
        options: RunOptions | None = None,
    ) -> RunFolder:
        """Create the folder, or resume the run of the same configuration in it.

        Without ``path`` the folder is ``runs/DATASET-BACKBONE-HASH``, with a hash of the configuration and of
        the data's ``fingerprint``: the same command finds its run again, however the path of the data is
        spelled and wherever the data have moved. ``options`` are noted in ``config.yaml`` when the folder is
        created, and may differ when the run is resumed. Raises `InputError` with the differences for a run of
        another configuration, and for a path that is a file or a folder of something else.
        """
        path = path or _default_path(config, fingerprint)
        require_place(path)
        file = path / "config.yaml"
        if file.exists() and (differing := _differing(_recorded(file, type(config)), config)):
            raise InputError(
                f"the run folder '{path}' holds a run of another configuration: {', '.join(differing)}; "
                "give another --out, or the same options to go on"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the run folder '{path}' cannot be made: {error.strerror}; give another --out"
            ) from error
        resumed = file.exists()
        if not resumed:  # written first: a folder without it cannot be resumed
            write_config(file, config.to_yaml(), options)
        for sub in ("stages", "trainings"):
            (path / sub).mkdir(exist_ok=True)
        return cls(path, resumed)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes until this process ends.

        Two processes would both do the missing work and overwrite each other's files. The lock is on
        ``config.yaml``, so no lock file remains. Raises `InputError` if another process holds the lock, and
        where the file system has no locks.
        """
        require_system()
        import fcntl  # only on systems that have it

        with (self.path / "config.yaml").open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"another process is working in the run folder '{self.path}'; wait for its end, or "
                    "give another --out"
                ) from error
            except OSError as error:
                raise InputError(
                    f"the run folder '{self.path}' cannot be locked against other processes "
                    f"({error.strerror}); give an --out on another file system"
                ) from error
            yield

    @property
    def journal(self) -> Path:
        """Path of the Optuna journal."""
        return self.path / "study.journal"

    @property
    def results(self) -> Path:
        """Path of ``results.json``, with every number of the final table."""
        return self.path / "results.json"

    @property
    def subnet(self) -> Path:
        """Path of the winner's checkpoint."""
        return self.path / "subnet.safetensors"

    def generation(self, number: int) -> Path:
        """Path of the file with a generation's candidates and their losses, image by image."""
        return self.path / "generations" / f"{number:03d}.safetensors"

    def read_stage(self, name: str, kind: type[_Record]) -> _Record | None:
        """The record of a finished stage, or ``None`` if the stage has not finished.

        Raises `InputError` naming the file if its content is not a record of that kind.
        """
        file = self._stage_file(name)
        content = read_json(file)
        if content is None:
            return None
        try:
            return kind.model_validate(content)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise InputError(
                f"'{file}' is not a record of this stage ({reason}); {self.written_by()}; remove the file to "
                "do the stage again, or give another --out"
            ) from error

    def required_stage(self, name: str, kind: type[_Record]) -> _Record:
        """The record of a stage that must have finished. Raises `InputError` if it is not there."""
        record = self.read_stage(name, kind)
        if record is None:
            raise InputError(
                f"'{self._stage_file(name)}' is missing; put it back, or start the command of the run again"
            )
        return record

    def write_stage(self, name: str, record: BaseModel) -> None:
        """Mark a stage as finished."""
        write_json(self._stage_file(name), record.model_dump(mode="json"))

    def _stage_file(self, name: str) -> Path:
        return self.path / "stages" / f"{name}.json"

    def of_another_version(self) -> str:
        """The version that started the run, as the end of a sentence; empty if it is this version."""
        recorded = read_json(self._stage_file("inputs")) or {}
        return "" if recorded.get("nas_peft") == __version__ else f"; {self.written_by()}"

    def written_by(self) -> str:
        """The version of nas-peft that started the run, as a clause for messages."""
        recorded = read_json(self._stage_file("inputs")) or {}
        return f"the run was started by nas-peft {recorded.get('nas_peft') or '0.1 or earlier'}"

    def discard(self) -> None:
        """Remove a run that failed as it began, so that corrected options can use its folder.

        A resumed run that has finished any part stays: what failed now may be a damaged file, and the rest
        is hours of work.
        """
        if self.resumed and self._has_finished_parts():
            return
        for name in ("stages", "trainings"):
            shutil.rmtree(self.path / name)
        for name in ("tensorboard", "wandb"):  # what trackers have kept there
            shutil.rmtree(self.path / name, ignore_errors=True)
        for file in [self.path / "config.yaml", self.journal, *self.path.glob("supernet*.state.pt")]:
            file.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _has_finished_parts(self) -> bool:
        """Whether the folder holds more than what is recorded before the first stage."""
        stages = {file.stem for file in (self.path / "stages").glob("*.json")}
        done = (self.path / name for name in ("trainings", "generations"))
        return bool(stages - _BEFORE_STAGES) or any(any(sub.glob("*")) for sub in done)

    def freeze(self, decision: dict[str, Any]) -> OpeningRecord:
        """Record the decision before the test set is read, and return the record.

        A run that was killed during the reading may read again only with the same decision. Raises
        ``RuntimeError`` otherwise: reading again after another decision would be a choice by test accuracy.
        """
        recorded = self.read_stage("test", OpeningRecord)
        if recorded is None:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            recorded = OpeningRecord(opened_at=now, decision=decision)
            self.write_stage("test", recorded)
        elif recorded.decision != json.loads(json.dumps(decision)):
            raise RuntimeError(
                f"the test set of '{self.path}' was opened at {recorded.opened_at} for another decision"
            )
        return recorded


def _default_path(config: TrainingConfig, fingerprint: str) -> Path:
    """The folder named by the configuration's hash, or that of the same run by an earlier version.

    A run of the same configuration on other data is another run, whatever its folder is called.
    """
    data = expanded(config.dataset)
    # A name that begins with a dot would be hidden, and a link's name is not the folder's.
    name = _plain(data.resolve().name if data.exists() else data.name)
    settings = {key: value for key, value in config.to_dict().items() if key != "dataset"}
    digest = hashlib.sha256(f"{yaml.safe_dump(settings)}{fingerprint}".encode()).hexdigest()[:8]
    stem = "".join(f"{part}-" for part in (name, _plain(config.backbone)) if part)
    path = Path("runs") / f"{stem}{digest}"
    if path.exists():
        return path
    for file in sorted(Path("runs").glob(f"{glob.escape(stem)}*/config.yaml")):
        try:
            recorded = _recorded(file, type(config))
            inputs = read_json(file.parent / "stages" / "inputs.json") or {}
        except InputError:
            continue  # an unreadable file is not a run of this configuration
        if inputs.get("fingerprint", fingerprint) != fingerprint:
            continue
        if recorded.get("dataset") == config.dataset and not _differing(recorded, config):
            return file.parent
    return path


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip(".-")[:60]


def _recorded(file: Path, kind: type[TrainingConfig]) -> dict[str, Any]:
    """A recorded configuration in this version's terms; options that it lacks take their defaults."""
    recorded = read_config(file)
    defaults = {name: f.get_default() for name, f in kind.model_fields.items() if not f.is_required()}
    try:
        return kind.model_construct(**defaults).to_dict() | with_lists(kind, recorded)
    except ValueError:
        return recorded


def _differing(recorded: Mapping[str, Any], config: TrainingConfig) -> list[str]:
    """Differences between a recorded configuration and ``config``, each as a few words."""
    asked = config.to_dict()
    if Path(config.dataset).exists():  # the same data may have lain elsewhere; their pixels are compared
        recorded = {**recorded, "dataset": asked["dataset"]}
    names = [k for k in asked if recorded.get(k) != asked[k]] + [k for k in recorded if k not in asked]
    return [f"{k} ({_shown(recorded.get(k))} there, {_shown(asked.get(k))} now)" for k in names]


def _shown(value: Any) -> str:
    """A value of a configuration as a command line would have it."""
    return ",".join(map(str, value)) if isinstance(value, list) and value else repr(value)
