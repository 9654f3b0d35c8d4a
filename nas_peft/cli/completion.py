"""Values that the shell completes: names that are known without importing torch, and paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path


def completer(option: str) -> Callable[[str], list[str]] | None:
    """What completes the values of an option, by the option's name; ``None`` leaves it to the shell."""
    return _COMPLETERS.get(option)


def run_folders(incomplete: str) -> list[str]:
    """Run folders under ``runs/`` and in the folder that ``incomplete`` names."""
    folders = [path for place in {"runs/", incomplete} for path in _below(place)]
    return _starting(incomplete, (str(f) for f in folders if (f / "config.yaml").is_file()))


def _data_sets(incomplete: str) -> list[str]:
    from nas_peft.data.embedded import embedded_names
    from nas_peft.data.label_table import TABLE_SUFFIXES

    paths = [f"{p}/" if p.is_dir() else str(p) for p in _below(incomplete)]
    return _starting(
        incomplete, (*embedded_names(), *(p for p in paths if p.endswith(("/", *TABLE_SUFFIXES))))
    )


def _spaces(incomplete: str) -> list[str]:
    from search_spaces.presets import preset_names

    files = [str(path) for path in _below(incomplete) if path.suffix in (".yaml", ".yml")]
    return _starting(incomplete, (*preset_names(), *files))


def _backbones(incomplete: str) -> list[str]:
    from nas_peft.machine.timm_names import timm_names
    from nas_peft.settings.training_config import DEFAULT_BACKBONE

    return _starting(incomplete, (DEFAULT_BACKBONE, *timm_names()))


def _times(incomplete: str) -> list[str]:
    return _starting(incomplete, ("auto", "5m", "20m", "1h", "2h"))


def _devices(incomplete: str) -> list[str]:
    return _starting(incomplete, ("auto", "cpu", "cuda"))


def _augmentations(incomplete: str) -> list[str]:
    from nas_peft.settings.lists import AUGMENTATIONS

    return _listed(incomplete, AUGMENTATIONS)


def _class_balances(incomplete: str) -> list[str]:
    from nas_peft.settings.lists import CLASS_BALANCES

    return _listed(incomplete, CLASS_BALANCES)


def _baselines(incomplete: str) -> list[str]:
    from nas_peft.settings.baselines import BASELINES

    return _listed(incomplete, ("all", "none", *BASELINES))


def _starts(incomplete: str) -> list[str]:
    from nas_peft.settings.lists import STARTS

    return _listed(incomplete, STARTS)


_COMPLETERS: dict[str, Callable[[str], list[str]]] = {
    "dataset": _data_sets,
    "space": _spaces,
    "backbone": _backbones,
    "time": _times,
    "device": _devices,
    "augmentation": _augmentations,
    "supernet_augmentation": _augmentations,
    "class_balance": _class_balances,
    "supernet_class_balance": _class_balances,
    "baselines": _baselines,
    "start": _starts,
}


def _below(incomplete: str) -> list[Path]:
    """The files and folders at which an unfinished path may aim, as they are spelled there."""
    folder = Path(re.sub(r"[^/]*$", "", incomplete) or ".")
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _starting(incomplete: str, values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value.startswith(incomplete)))


def _listed(incomplete: str, values: Iterable[str]) -> list[str]:
    """Completions of the last item of a comma-separated list."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{value}" for value in values if value.startswith(last)]
