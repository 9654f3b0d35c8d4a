"""Weights on the Hugging Face hub: whether they are on this machine, and whether the hub answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
import torch

from search_spaces import InputError

SECONDS = 8.0
"""Time that the hub has to answer."""

_HUBS = ("hf-hub:", "hf_hub:")
_FILES = ("model.safetensors", "pytorch_model.bin")

Place = Literal["cache", "hub", "package", "none"]


@dataclass(frozen=True)
class WeightsPlace:
    """Where the pretrained weights of a name are.

    ``place`` is ``cache`` for the local cache of the hub, ``hub`` for a server, ``package`` for files on this
    machine that need no cache, and ``none`` for a name without weights. ``source`` is the repository on the
    hub, or an address.
    """

    name: str
    place: Place
    source: str = ""


def weights_place(name: str) -> WeightsPlace:
    """Where the weights of a resolved backbone name are. Nothing is fetched."""
    if name.startswith(_HUBS):
        return _on_hub(name, name.partition(":")[2], _FILES)
    if ":" in name:  # a folder
        return WeightsPlace(name, "package", name)
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        return WeightsPlace(name, "none")
    if config.hf_hub_id:
        return _on_hub(name, config.hf_hub_id, (config.hf_hub_filename or "", *_FILES))
    if config.url:
        kept = Path(torch.hub.get_dir()) / "checkpoints" / config.url.rpartition("/")[2]
        return WeightsPlace(name, "cache" if kept.is_file() else "hub", config.url)
    return WeightsPlace(name, "package")


def require_in_reach(name: str) -> None:
    """Raise `InputError` if the weights are on the hub and the hub does not answer within `SECONDS`.

    The hub's own client would try again for about a minute. Weights in the cache need no hub.
    """
    where = weights_place(name)
    if where.place != "hub":
        return
    address = where.source if "://" in where.source else ""
    try:
        _ask_server(address) if address else _ask_hub(where.source)
    except _Unreachable as error:
        raise InputError(
            f"backbone '{name}': its weights are not on this machine, and {error} cannot be reached "
            f"({type(error.__cause__).__name__}); check the network, or give a local file with "
            "--backbone-weights"
        ) from error


class _Unreachable(Exception):
    """A server that does not answer; its text is the server's address."""


def _ask_hub(source: str) -> None:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    repository, _, revision = source.partition("@")
    try:
        get_hf_file_metadata(hf_hub_url(repository, _FILES[0], revision=revision or None), timeout=SECONDS)
    except HfHubHTTPError:
        return  # an answer: other files may be there, and the client says what is missing
    except Exception as error:  # of the client's network libraries, which differ between its versions
        raise _Unreachable(constants.ENDPOINT) from error


def _ask_server(address: str) -> None:
    try:
        urlopen(Request(address, method="HEAD"), timeout=SECONDS).close()
    except HTTPError:
        return  # an answer
    except OSError as error:
        raise _Unreachable(address) from error


def _on_hub(name: str, source: str, files: tuple[str, ...]) -> WeightsPlace:
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = source.partition("@")
    found = (try_to_load_from_cache(repository, f, revision=revision or None) for f in files if f)
    cached = any(isinstance(file, str) for file in found)
    return WeightsPlace(name, "cache" if cached else "hub", source)
