"""The body of a request, read piece by piece within limits of size and time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from nas_peft.serving.form import image_of_form
from nas_peft.serving.refusal import Refusal

_LINGER_SECONDS = 1.0


async def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The whole body.

    Raises `Refusal`: 413 as soon as it is known to exceed ``max_bytes``, whether or not its length was
    announced; 408 if it is not whole after ``seconds``; 400 if it is empty or the client left.
    """
    announced = request.headers.get("content-length", "")
    try:
        if announced.isdigit() and int(announced) > max_bytes:
            raise _TooLarge
        body = await asyncio.wait_for(_collected(request, max_bytes), seconds)
    except _TooLarge as error:
        if _closes(request):
            await _let_send(request)
        reason = f"the body has more than {max_bytes:,} bytes, which is the limit (--max-body)"
        raise Refusal(413, reason) from error
    except asyncio.TimeoutError as error:
        raise Refusal(408, f"the body was not whole after {seconds:g} s") from error
    except ClientDisconnect as error:
        raise Refusal(400, "the connection ended before the body") from error
    if not body:
        raise Refusal(400, "the body is empty")
    return body


async def read_image_bytes(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The bytes of an image: the body itself, or the file in the field ``image`` of a form.

    Raises `Refusal` as `read_body` does, and 400 for a malformed form or one without that file.
    """
    body = await read_body(request, max_bytes, seconds)
    kind = request.headers.get("content-type", "")
    return image_of_form(kind, body) if kind.strip().lower().startswith("multipart/form-data") else body


async def _collected(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise _TooLarge
    return bytes(body)


class _TooLarge(Exception):
    """A body exceeds the limit."""


def _closes(request: Request) -> bool:
    """Whether the connection is closed as soon as the request is answered."""
    return request.scope["http_version"] == "1.0" or "close" in request.headers.get("connection", "").lower()


async def _let_send(request: Request) -> None:
    """Drop what comes for a moment: a client that sends to a closed connection could not read its answer."""

    async def drop() -> None:
        async for _ in request.stream():
            pass

    with suppress(asyncio.TimeoutError, ClientDisconnect):
        await asyncio.wait_for(drop(), _LINGER_SECONDS)
