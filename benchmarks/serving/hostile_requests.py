"""Requests of clients that are broken or mean harm; a server answers each with a status from 400 to 499."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from benchmarks.serving.clients import Hostile, request

_FORM = "Content-Type: multipart/form-data; boundary=edge"
_TEXTS = (
    b"no image at all",
    b"<!doctype html><html><body>404</body></html>",
    b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n",
    b"PK\x03\x04" + bytes(200),
    b"ID3\x04" + bytes(200),
    b"\x7fELF\x02\x01\x01" + bytes(200),
)
_STARTS = (
    *(b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x99\0\0\0WEBP"),
    *(b"II*\0", b"BM"),
)
_PATHS = (
    *("../../etc/passwd", "/etc/passwd", "..\\..\\x", "a/../../b", "....//x", "%2e%2e/x", "\x00", "~/x"),
    *("folder/" * 200, "x" * 999, ".", "", "/", "//", "/proc/self/mem", "C:\\x", "nul\ud800"),
)


_ADDRESSES = ("/../../etc/passwd", "/tasks/../../x", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%5c..%5cx")
_PART = b"--edge\r\nContent-Disposition: form-data; name="


class HostileRequests:
    """Draws hostile requests for ``task``.

    Args:
        images: whole images, to cut.
        max_body: the server's limit in bytes.
        marker: a path that unpickling the pickles would create.
        rng: source of all choices.
    """

    def __init__(
        self, task: str, images: Sequence[bytes], max_body: int, marker: str, rng: np.random.Generator
    ) -> None:
        self._task = task
        self._images = images
        self._max_body = max_body
        self._marker = marker
        self._rng = rng
        file = BytesIO()
        Image.new("RGB", (2**20, 1)).save(file, "PNG")  # whole, but 3 GB if enlarged to a height of 32 pixels
        self._line = file.getvalue()

    def draw(self, count: int) -> list[Hostile]:
        """As many requests, of all kinds alike, in random order."""
        kinds: tuple[Callable[[], Hostile], ...] = (
            *(self.truncated, self.noise, self.wrong_type, self.pickle, self.huge_dimensions),
            *(self.oversized, self.path, self.slow, self.form, self.half_request),
        )
        made = [kinds[i % len(kinds)]() for i in range(count)]
        return [made[i] for i in self._rng.permutation(count)]

    def truncated(self) -> Hostile:
        """An image that ends early."""
        whole = self._images[int(self._rng.integers(len(self._images)))]
        return self._predict("truncated image", whole[: int(self._rng.integers(1, len(whole) * 3 // 4))])

    def noise(self) -> Hostile:
        """Random bytes, some of which begin like an image."""
        first = _STARTS[int(self._rng.integers(len(_STARTS)))]
        return self._predict("random bytes", first + self._rng.bytes(int(self._rng.integers(1, 5000))))

    def wrong_type(self) -> Hostile:
        """A file of another type."""
        return self._predict("wrong type", _TEXTS[int(self._rng.integers(len(_TEXTS)))])

    def pickle(self) -> Hostile:
        """A pickle that creates a file when it is loaded."""
        return self._predict("pickle", f"cos\nsystem\n(S'touch {self._marker}'\ntR.".encode())

    def huge_dimensions(self) -> Hostile:
        """An image of a few bytes that announces up to 2³¹ pixels a side, or a line of a million."""
        width, height = (int(2 ** self._rng.uniform(15, 31)) for _ in range(2))
        files = (
            _png(width, height),
            b"GIF89a" + struct.pack("<HH", width & 0xFFFF | 0x8000, height & 0xFFFF | 0x8000) + bytes(20),
            b"BM"
            + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, width, height, 1, 24, 0, 9, 0, 0, 0, 0)
            + bytes(9),
            b"P6 %d %d 255\n" % (width, height) + bytes(99),
            self._line,
        )
        return self._predict("huge dimensions", files[int(self._rng.integers(len(files)))])

    def oversized(self) -> Hostile:
        """A body above the limit: announced and hardly sent, or sent in chunks without a length."""
        head = f"POST /tasks/{self._task}/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if self._rng.random() < 0.5:
            announced = int(self._rng.integers(self._max_body + 1, 2**40))
            return Hostile(
                "oversized body", (f"{head}Content-Length: {announced}\r\n\r\n".encode(), bytes(9999))
            )
        chunk = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
        chunks = (chunk,) * (self._max_body // 65536 + 2)
        return Hostile("oversized body", (f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks))

    def path(self) -> Hostile:
        """A path that leads out of the folder, in the body or in the address."""
        given = _PATHS[int(self._rng.integers(len(_PATHS)))]
        kind = "path traversal"
        which = int(self._rng.integers(4))
        if which == 0:
            address = _ADDRESSES[int(self._rng.integers(len(_ADDRESSES)))]
            return Hostile(kind, (request("GET", address),))
        if which == 1:
            return Hostile(kind, (request("DELETE", "/tasks/..%2f..%2fx"),))
        return Hostile(kind, (request("PUT", "/tasks/stolen", json.dumps({"file": given}).encode()),))

    def slow(self) -> Hostile:
        """A request that comes byte by byte, from its head or from its body on."""
        whole = request("POST", f"/tasks/{self._task}/predict", self._images[0])
        start = int(self._rng.choice([20, whole.index(b"\r\n\r\n") + 20]))
        pieces = (whole[:start], *(whole[i : i + 1] for i in range(start, start + 300)))
        return Hostile("slow sender", pieces, pause=0.1)

    def form(self) -> Hostile:
        """A malformed form, or JSON that is none."""
        texts = (
            b"--edge",
            b"--edge\r\n\r\n\r\n--edge--\r\n",
            _PART + b'"../image"; filename="../../x"\r\n\r\nx\r\n--edge--\r\n',
            _PART + b'"image"; filename="x"\r\n\r\n' + self._rng.bytes(99),
            (_PART + b'"a"\r\n\r\nx\r\n') * 99 + b"--edge--\r\n",
        )
        if self._rng.random() < 0.3:
            body = (b"{", b"[" * 5000, b'{"file": 1e999}', b"null", b'{"file": "x", "file2": "y"}')
            sent = request("PUT", "/tasks/x", body[int(self._rng.integers(len(body)))])
            return Hostile("malformed form", (sent,))
        return self._predict("malformed form", texts[int(self._rng.integers(len(texts)))], _FORM)

    def half_request(self) -> Hostile:
        """No HTTP, or a request that its client ends before it is whole."""
        whole = request("POST", f"/tasks/{self._task}/predict", self._images[0])
        lines = (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /tasks/x/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1e3\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 300_000,
        )
        if self._rng.random() < 0.5:
            return Hostile("malformed HTTP", (lines[int(self._rng.integers(len(lines)))],))
        return Hostile("malformed HTTP", (whole[: int(self._rng.integers(1, len(whole)))],), end=True)

    def _predict(self, kind: str, body: bytes, *headers: str) -> Hostile:
        return Hostile(kind, (request("POST", f"/tasks/{self._task}/predict", body, *headers),))


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999)))


def random_images(count: int, rng: np.random.Generator) -> list[bytes]:
    """Encoded images of noise around a random colour, of various sizes, as PNG and JPEG in turn."""
    made = []
    for i in range(count):
        height, width = rng.integers(24, 96, 2)
        noise = rng.normal(0, 40, (height, width, 3)) + rng.uniform(0, 255, 3)
        file = BytesIO()
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(file, ("PNG", "JPEG")[i % 2])
        made.append(file.getvalue())
    return made
