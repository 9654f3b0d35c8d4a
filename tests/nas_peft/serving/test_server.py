"""The end of a server: by a signal, after what has been asked is answered."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from nas_peft.serving.listener import bound_socket
from nas_peft.serving.server import Server

from .conftest import png, random_image


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_after_the_request_in_hand(number, make_service):
    image = png(random_image(0))
    head = f"POST /tasks/pets/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"
    listener = bound_socket("127.0.0.1", 0)
    port = listener.getsockname()[1]
    found: list[bytes] = []

    def client() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(head.encode() + image[:100])
            time.sleep(0.1)
            os.kill(os.getpid(), number)
            time.sleep(0.3)  # the server has stopped to listen
            with pytest.raises(ConnectionError):
                socket.create_connection(("127.0.0.1", port), timeout=20).close()
            connection.sendall(image[100:])
            while received := connection.recv(65536):
                found.append(received)

    thread = threading.Thread(target=client)
    before = signal.getsignal(number)
    Server(make_service(), None, thread.start).serve_on(listener)
    thread.join(20)
    assert b"".join(found).startswith(b"HTTP/1.1 200")
    assert b'"task":"pets"' in b"".join(found)
    assert signal.getsignal(number) is before
