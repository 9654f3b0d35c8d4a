"""The body of a request, read piece by piece within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from nas_peft.serving.form import image_of_form
from nas_peft.serving.refusal import Refusal


async def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The whole body.

    Raises `Refusal`: 413 as soon as it is known to exceed ``max_bytes``, whether or not its length was
    announced; 408 if it is not whole after ``seconds``; 400 if it is empty or the client left.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    try:
        body = await asyncio.wait_for(_collected(request, max_bytes), seconds)
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
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"the body has more than {max_bytes:,} bytes, which is the limit (--max-body)")
