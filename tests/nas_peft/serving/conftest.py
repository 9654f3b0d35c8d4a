"""Servers of small subnets on the shipped backbone, and requests to them over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas_peft.data.decoding import pixel_limit
from nas_peft.serving.allowed_folder import AllowedFolder
from nas_peft.serving.limits import Limits
from nas_peft.serving.listener import bound_socket
from nas_peft.serving.metrics import Metrics
from nas_peft.serving.served_tasks import ServedTasks
from nas_peft.serving.server import Server
from nas_peft.serving.service import Service
from search_spaces import Architecture
from supernet import Backbone, MultiTaskModel, Preprocessing, Subnet, Supernet, save_subnet

TASKS = {
    "stripes": (Architecture.uniform(8, "prompt_tokens", 2), ("across", "down", "slanting")),
    "pets": (Architecture.uniform(8, "lora_rank", 3), ("cat", "dog", "größer", "other")),
    "plain": (Architecture.empty(8), ("no", "yes")),
}


@dataclass(frozen=True)
class Answer:
    """Status, headers and content of an answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        """The one line of a refusal."""
        assert list(self.json) == ["error"]
        assert "\n" not in self.json["error"]
        return str(self.json["error"])


@dataclass
class Running:
    """A server that answers in a thread of this process."""

    port: int
    server: Server
    service: Service
    token: str | None = None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, path, body, {**given, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, *pieces: bytes, pause: float = 0, end: bool = False) -> bytes:
        """What the server sends until it closes the connection, after these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            found = b""
            with suppress(OSError):  # the server may have closed before the last piece
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(65536):
                found += received
            return found


@contextmanager
def running(service: Service, token: str | None = None) -> Iterator[Running]:
    started = threading.Event()
    listener = bound_socket("127.0.0.1", 0)
    server = Server(service, token, started.set)
    with pixel_limit(service.limits.max_pixels):
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        assert started.wait(30)
        try:
            yield Running(listener.getsockname()[1], server, service, token)
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def random_image(seed: int, size: tuple[int, int] = (40, 48)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def subnets(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A subnet file for each of the tasks, untrained, with answers that differ from image to image."""
    folder = tmp_path_factory.mktemp("subnets")
    generator = torch.Generator().manual_seed(0)
    for seed, (name, (architecture, classes)) in enumerate(TASKS.items()):
        network = Supernet(backbone.model, architecture, len(classes), seed=seed).eval()
        with torch.no_grad():
            for value in network.layers.parameters():
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
            network.head.weight.mul_(40)
        metrics = {"test_accuracy": 0.75, "odd": float("nan")}
        subnet = Subnet(network, backbone, classes, Preprocessing.of(backbone.model), metrics, {}, 1.5)
        save_subnet(subnet, folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in TASKS}


@pytest.fixture(scope="session")
def make_service(backbone: Backbone, subnets: dict[str, Path]) -> Callable[..., Service]:
    """Makes a service of all tasks."""

    def make(limits: Limits | None = None, folder: Path | None = None) -> Service:
        model = MultiTaskModel(backbone, subnets, device="cpu")
        allowed = None if folder is None else AllowedFolder(folder)
        return Service(ServedTasks(model, subnets, allowed), limits or Limits(), Metrics())

    return make


@pytest.fixture(scope="session")
def server(make_service: Callable[..., Service]) -> Iterator[Running]:
    """One server with the default limits; clients may not load."""
    with running(make_service()) as found:
        yield found
