"""Reading of the tensors in a weights file, through any wrappers and without unpickling objects."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from search_spaces import InputError
from supernet.state_names import holds_network

_IN_A_FOLDER = ("model.safetensors", "pytorch_model.bin")
_WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "teacher", "target_encoder", "module", "net", "network"),
    *("weights", "params", "backbone", "encoder", "student", "model_ema", "state_dict_ema", "ema"),
)
_MODELS = ("timm.", "torchvision.", "transformers.", "torch.nn.", "__main__.", "models")
_TAR, _TAR_AT = b"ustar", 257
_GLOBAL = re.compile(r"GLOBAL ([\w.]+) was not an allowed|Unsupported class ([\w.]+)")


def weights_path(path: Path) -> Path:
    """The file at ``path``, or the weights file in a folder laid out like the hub's repositories.

    Raises `InputError` if neither exists.
    """
    if path.is_file():
        return path
    for name in _IN_A_FOLDER:
        if (path / name).is_file():
            return path / name
    if (path / f"{_IN_A_FOLDER[0]}.index.json").is_file():
        return path / f"{_IN_A_FOLDER[0]}.index.json"
    raise InputError(f"no backbone weights at '{path}'; give a .safetensors or torch file")


def read_tensors(path: Path) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Tensors by name, the names of the wrappers around them, and of other sets of weights beside them.

    Safetensors and torch files are recognised by their first bytes. Among several sets of weights the first
    in `_WRAPPERS` is read, a teacher's before a student's. A wrapper of another name is opened if it is the
    only one that holds a network.

    Raises `InputError` for any other file, for several wrappers of other names, and for a torch file with
    objects other than tensors.
    """
    state: Any = _read(path)
    opened: list[str] = []
    beside: list[str] = []
    while isinstance(state, dict) and not any(isinstance(value, torch.Tensor) for value in state.values()):
        networks = [key for key, value in state.items() if isinstance(key, str) and holds_network(value)]
        wrapper = next((name for name in _WRAPPERS if isinstance(state.get(name), dict)), None)
        if wrapper not in networks and networks:
            if len(networks) > 1:
                raise InputError(
                    f"'{path}' holds several networks, {', '.join(networks)}; save the one that is meant "
                    "alone, a dictionary of tensors by name"
                )
            wrapper = networks[0]
        if wrapper is None:
            break
        opened.append(wrapper)
        beside += [name for name in networks if name != wrapper]
        state = state[wrapper]
    if not (isinstance(state, dict) and all(isinstance(key, str) for key in state)):
        raise InputError(f"'{path}' holds no tensors by name; give the state dict of the backbone")
    if any(".lora_A." in key or ".base_layer." in key for key in state):
        raise InputError(
            f"'{path}' holds adapters of PEFT beside or without the backbone; save the state dict of "
            "model.merge_and_unload(), and give that file"
        )
    return state, tuple(opened), tuple(beside)


def _read(path: Path) -> Any:
    if known := why_no_weights(path):
        raise InputError(f"'{path}' {known}")
    start = _start(path)
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"'{path}' is not a readable safetensors file: {_one_line(error)}") from error
    try:
        with warnings.catch_warnings():  # that sparse tensors take long to check
            warnings.filterwarnings("ignore", "Validating sparse tensor", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises errors of zipfile, pickle and its own
        raise InputError(f"'{path}' cannot be opened as a torch file of tensors {_why(error)}") from error


def _read_shards(index: Path) -> dict[str, Any]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"'{index}' is no index of weights; give the .safetensors file itself") from error
    state: dict[str, Any] = {}
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"'{index}' is no index of weights; give the .safetensors file itself")
    for name in names:
        shard = index.parent / Path(name).name  # nothing outside the folder
        if not shard.is_file():
            raise InputError(f"'{index}' names '{name}', which does not exist; fetch that file")
        state |= _read(shard)
    return state


def why_no_weights(path: Path) -> str | None:
    """What a file is by its first bytes, with a remedy, or ``None`` if it may hold weights."""
    start = _start(path)
    return _no_weights(start) or _archive(path, start)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_TAR_AT + len(_TAR))


def _no_weights(start: bytes) -> str | None:
    if not start:
        return "is empty; fetch it again"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the weights; run 'git lfs pull' where it comes from"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "is a web page and not the weights: the download went wrong; fetch it again"
    if start.startswith(b"\x89HDF"):
        return "is an HDF5 file (Keras); convert it to safetensors with timm's names"
    if start.startswith(b"GGUF"):
        return "is a GGUF file of quantised weights; give the original .safetensors file"
    if start.startswith(b"\x08") and b"onnx" in start.lower():
        return "is an ONNX model; give the weights that it was exported from"
    return None


def _archive(path: Path, start: bytes) -> str | None:
    """How an archive that is no torch file is called, with a remedy; torch files are zip archives, too."""
    if (
        start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))
        or start[_TAR_AT:] == _TAR
    ):
        return "is a packed archive; unpack it, and give the weights file inside"
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays; save them with timm's names as a .safetensors file"
    return "is a zip archive and no torch file; unpack it, and give the weights file inside"


def _why(error: Exception) -> str:
    """One line with torch's reason and a remedy, without terminal codes."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if found := _GLOBAL.search(text):
        name = found[1] or found[2]
        is_model = name.startswith(_MODELS)
        its_weights = ".state_dict()" if is_model else "['model']"
        return (
            f"(weights_only): besides tensors it holds an object of {name}, and nothing is unpickled here; "
            "if you trust the file, save its weights alone, a dictionary of tensors by name: "
            f"torch.save(torch.load(FILE, weights_only=False){its_weights}, NEW)"
        )
    if "TorchScript" in text:
        return "(weights_only): it is a TorchScript program; save its state_dict() alone"
    if "central directory" in text or "PytorchStreamReader" in text:
        return "(weights_only): it is cut off or damaged; fetch it again"
    return (
        "(weights_only): it is no file of torch tensors, or a damaged one; give a .safetensors or torch file"
    )


def _one_line(error: Exception | str) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
