"""Listing of the data set that a name or path stands for, before any image is decoded."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas_peft.data.class_folders import list_class_folders
from nas_peft.data.embedded import EMBEDDED, embedded_names, list_embedded
from nas_peft.data.file_kinds import described_file
from nas_peft.data.folder_layout import Layout
from nas_peft.data.home_folder import expanded
from nas_peft.data.label_table import TABLE_SUFFIXES, list_label_table
from nas_peft.data.listing import Listing, ToTensor
from nas_peft.data.task_folder import is_task_folder, list_task_folder
from nas_peft.data.timm_datasets import TIMM_PREFIXES, is_timm_name, list_timm_dataset
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from nas_peft.data.stream_store import StreamStore


@dataclass(frozen=True)
class Reading:
    """Options for reading class folders; see `list_class_folders`."""

    layout: Layout = "auto"
    domains: bool = False


def list_source(
    spec: str,
    to_tensor: ToTensor,
    root: Path | None,
    reading: Reading,
    streams: StreamStore | None = None,
) -> Listing:
    """The images that ``spec`` names, as `load_dataset` describes.

    Raises `InputError` if there is no such data set or its files are malformed.
    """
    if (path := path_of(spec)) is not None:
        if path.is_file():
            _require_default(reading, "a table")
            return list_label_table(path, to_tensor)
        if is_task_folder(path):
            _require_default(reading, "a task folder with lists")
            return list_task_folder(path, to_tensor)
        return list_class_folders(path, to_tensor, layout=reading.layout, domains=reading.domains)
    if spec in EMBEDDED:
        _require_default(reading, "an embedded data set")
        return list_embedded(spec, to_tensor)
    if is_timm_name(spec):
        _require_default(reading, "a data set of timm")
        return list_timm_dataset(spec, root, to_tensor, streams)
    raise _no_such_dataset(spec, expanded(spec))


def path_of(spec: str) -> Path | None:
    """The whole path of the folder or table that ``spec`` names; None for a name, and for what is not there.

    Raises `InputError` for the home folder of an unknown user.
    """
    if not spec:  # would be the path of the working directory, which nobody named
        return None
    path = expanded(spec)
    if _is(path, "folder") and not _is_a_run(spec, path):
        return path.resolve()
    return path.resolve() if _is(path, "file") and path.suffix.lower() in TABLE_SUFFIXES else None


def require_source(spec: str, reading: Reading) -> Listing | None:
    """Raise the `InputError` of `list_source` for a wrong data set, before torch is imported.

    Returns the images of a folder or table; ``None`` for embedded data sets and timm data sets, which are
    checked by name alone.
    """
    path = expanded(spec)
    there = bool(spec) and (_is(path, "folder") or _is(path, "file")) and not _is_a_run(spec, path)
    if not there and (spec in EMBEDDED or is_timm_name(spec)):
        _require_default(reading, "an embedded data set" if spec in EMBEDDED else "a data set of timm")
        return None
    return list_source(spec, _never, None, reading)


def _never(image: Image.Image) -> Tensor:
    raise AssertionError("listing a data set decodes no image")


def _is(path: Path, what: str) -> bool:
    try:
        return path.is_dir() if what == "folder" else path.is_file()
    except (OSError, ValueError):  # a name that the file system cannot have
        return False


def _is_a_run(spec: str, folder: Path) -> bool:
    """Whether a folder has the name of an embedded data set because it is a run on it: ``--out digits``."""
    return spec in EMBEDDED and _is(folder / "config.yaml", "file")


def _require_default(reading: Reading, what: str) -> None:
    if reading != Reading():
        option = "domains" if reading.domains else "layout"
        raise InputError(f"--{option} is for class folders, and the data set is {what}; leave --{option} out")


def _no_such_dataset(spec: str, path: Path) -> InputError:
    if _is(path, "file"):
        kind = described_file(path)
        return InputError(
            f"data set '{spec}' is a file, a folder is needed; "
            f"unpack it if it is an archive, and give the folder{f' ({kind})' if kind else ''}; "
            f"the name of a table of paths and labels ends in {', '.join(TABLE_SUFFIXES)}"
        )
    prefixes = ", ".join(f"{prefix}/NAME" for prefix in TIMM_PREFIXES)
    forms = (
        f"give a folder of class folders, a VTAB-1k task folder, a table of paths and labels, an embedded "
        f"data set ({', '.join(embedded_names())}), or a timm name ({prefixes})"
    )
    if "/" in spec or "\\" in spec or "." in spec:
        return InputError(f"no such folder '{spec}'; {forms}")
    close = difflib.get_close_matches(spec, embedded_names(), n=1, cutoff=0.4)
    guess = f"; did you mean '{close[0]}'?" if close else "."
    return InputError(f"unknown data set '{spec}'{guess} There is no folder of that name either: {forms}")
