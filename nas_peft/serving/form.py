"""The image in a form, ``multipart/form-data``, whose bytes are all in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from nas_peft.serving.refusal import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# it logs each malformed form, which anybody can send
logging.getLogger("python_multipart").setLevel(logging.ERROR)

IMAGE_FIELD = "image"
"""Field of a form that holds the image."""

_MOST_PARTS = 8


def image_of_form(content_type: str, body: bytes) -> bytes:
    """The file in the field ``image``.

    Raises `Refusal` with status 400 for a malformed form, for many parts, and for one without that file.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Refusal(400, "the form has no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    # besides its own errors the parser raises those of headers that it cannot decode
    except (FormParserError, ValueError) as error:
        raise Refusal(400, f"the form cannot be read: {error}") from error
    for part in parts.whole:
        _, named = parse_options_header(part.headers.get(b"content-disposition", b""))
        if named.get(b"name") == IMAGE_FIELD.encode() and b"filename" in named:
            return bytes(part.content)
    raise Refusal(400, f"the form has no file in the field '{IMAGE_FIELD}'")


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)


class _Parts:
    """The parts of a form that have ended, as the parser finds them."""

    def __init__(self) -> None:
        self.whole: list[_Part] = []
        self._part = _Part()
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """The methods that the parser calls, by its names for them."""
        return {
            "on_part_begin": self.part_begin,
            "on_part_data": self.part_data,
            "on_part_end": self.part_end,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
        }

    def part_begin(self) -> None:
        if len(self.whole) == _MOST_PARTS:
            raise ValueError(f"it has more than {_MOST_PARTS} parts")
        self._part = _Part()

    def part_end(self) -> None:
        self.whole.append(self._part)

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self._part.content += data[start:end]

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._part.headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()
