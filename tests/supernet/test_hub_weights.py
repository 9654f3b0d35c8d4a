"""Where weights are, and a hub that does not answer: against servers on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch

from search_spaces import InputError
from supernet import hub_weights
from supernet.hub_weights import WeightsPlace, require_in_reach, weights_place

pytestmark = pytest.mark.slow

HUB_NAME = "hf-hub:someone/vit"


class _Nothing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub that answers and has nothing."""
    with HTTPServer(("127.0.0.1", 0), _Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_the_shipped_weights_are_in_the_package():
    assert weights_place("vit_micro_patch8_32").place == "package"
    assert weights_place("local-dir:/some/where").place == "package"
    require_in_reach("vit_micro_patch8_32")


def test_a_name_without_weights_has_none():
    assert weights_place("vit_gigantic_patch14_224") == WeightsPlace("vit_gigantic_patch14_224", "none")


def test_weights_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert weights_place(HUB_NAME) == WeightsPlace(HUB_NAME, "hub", "someone/vit")
    kept = tmp_path / "models--someone--vit"
    for name, text in (("refs/main", "abc"), ("snapshots/abc/model.safetensors", "weights")):
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_text(text)
    assert weights_place(HUB_NAME).place == "cache"
    assert weights_place(f"{HUB_NAME}@v2").place == "hub"
    at(monkeypatch, "http://127.0.0.1:1")
    require_in_reach(HUB_NAME)


def test_an_answer_of_any_kind_is_in_reach(hub: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    at(monkeypatch, hub)
    require_in_reach(HUB_NAME)


@pytest.mark.parametrize("way", ["refused", "silent"])
def test_a_hub_out_of_reach_is_one_line_soon(
    silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_weights, "SECONDS", 0.5)
    at(monkeypatch, silent if way == "silent" else "http://127.0.0.1:1")
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        require_in_reach(HUB_NAME)
    assert time.perf_counter() - started < 5
    for part in (HUB_NAME, "are not on this machine", "cannot be reached", "with --backbone-weights"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_only_a_server_has(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    name = "vit_huge_patch14_gap_224.in1k_ijepa"
    config = timm.get_pretrained_cfg(name)
    assert config.url
    assert not config.hf_hub_id
    monkeypatch.setattr(hub_weights.timm, "get_pretrained_cfg", lambda _: config)
    monkeypatch.setattr(config, "url", f"{hub}/weights.pth.tar")
    require_in_reach(name)
    monkeypatch.setattr(config, "url", "http://127.0.0.1:1/weights.pth.tar")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:1/weights\.pth\.tar cannot be reached"):
        require_in_reach(name)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "weights.pth.tar").write_bytes(b"")
    require_in_reach(name)
