"""Clients on plain sockets: polite ones that keep their connection, and hostile ones."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Client:
    """A connection that sends one request after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, content: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer. Raises ``ConnectionError`` and ``EOFError`` if there is none."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        self._writer.write(content)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
        length = next(int(value) for name, _, value in lines if name == b"content-length")
        body = await self._reader.readexactly(length)
        return int(head.split()[1]), json.loads(body)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._writer is not None:
            self._writer.close()
            with suppress(ConnectionError):
                await self._writer.wait_closed()
            self._reader = self._writer = None


@dataclass(frozen=True)
class Hostile:
    """Bytes that a server must refuse: pieces that are sent ``pause`` seconds apart.

    ``end`` ends the client's half of the connection after the last piece.
    """

    kind: str
    pieces: tuple[bytes, ...]
    pause: float = 0.0
    end: bool = False


async def hostile_status(port: int, hostile: Hostile, seconds: float) -> int:
    """Status of the answer to a hostile request; 0 if none comes within ``seconds``."""
    reader, writer = await asyncio.open_connection(HOST, port)

    async def send() -> None:
        with suppress(ConnectionError):  # a server may close as soon as it has answered
            for piece in hostile.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(hostile.pause)
            if hostile.end:
                writer.write_eof()

    sending = asyncio.ensure_future(send())
    try:
        line = await asyncio.wait_for(reader.readline(), seconds)
        return int(line.split()[1]) if line else 0
    except (asyncio.TimeoutError, ConnectionError):
        return 0
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
