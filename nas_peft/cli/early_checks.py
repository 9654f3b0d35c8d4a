"""Checks that a command makes in its first second, before torch is imported."""

from __future__ import annotations

from pathlib import Path

from nas_peft.data.partition import require_enough
from nas_peft.data.source import Reading, require_source
from nas_peft.machine.device_names import require_device_name
from nas_peft.run.place import require_place, require_room, require_run
from nas_peft.searching.record_place import require_record_place
from nas_peft.settings.command_options import RunOptions, SearchOptions
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from search_spaces.budget import Budget
from search_spaces.errors import InputError
from search_spaces.presets import read_space

_LARGEST = 2**40
"""Parameters of a backbone of which any share that makes sense is at least one."""


def require_data_and_weights(config: TrainingConfig) -> str:
    """Raise `InputError` for a missing, malformed or too small data set, and for a missing weights file.

    Images are found and counted here, but none is decoded. Returns a sentence on what was found, for the time
    until PyTorch is there.
    """
    _require_readable(config)
    listing = require_source(config.dataset, Reading(config.layout, config.domains))
    weights = config.backbone_weights
    if weights is not None and not weights.exists():
        raise InputError(f"no backbone weights at '{weights}'; give a .safetensors or torch file")
    if listing is None:
        return f"data set {config.dataset}; loading PyTorch"
    require_enough(listing, config.seed, config.shots)
    images = sum(len(items) for _, items in listing.parts())
    return f"found {images:,} images in {len(listing.classes):,} classes; loading PyTorch"


def require_places(options: RunOptions) -> None:
    """Raise `InputError` for a run folder, storage or device that cannot be used, and for a full disk."""
    if options.out is not None:
        require_place(options.out)
    require_room(options.out or Path("runs"))
    require_device_name(options.device)
    if isinstance(options, SearchOptions):
        require_record_place(options.storage, options.study)


def require_run_or_subnet(source: Path) -> None:
    """Raise `InputError` for a folder that is no run folder, and for a file that does not exist."""
    if source.is_dir():
        require_run(source)
    else:
        require_subnet(source)


def require_subnet(file: Path) -> None:
    """Raise `InputError` for a subnet file that does not exist."""
    if not file.exists():  # a folder is told apart where subnets are read
        raise InputError(f"no subnet checkpoint at '{file}'; nas-peft search writes RUN/subnet.safetensors")


def _require_readable(config: TrainingConfig) -> None:
    """Raise `InputError` for a budget or a space that can be read as none, whatever the backbone is."""
    for text in (config.budget, getattr(config, "front_budget", None)):
        if text is not None:
            Budget.parse(text, backbone_params=_LARGEST)
    if isinstance(config, SearchConfig):
        read_space(config.space)
        for file in config.module_files:
            if not file.is_file():
                raise InputError(
                    f"no module file at '{file}'; give a Python file that registers module kinds"
                )
