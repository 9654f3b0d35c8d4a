"""Recognition of images by suffix or by first bytes, and reasons for leaving out other files."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from PIL import Image, features

# Pillow registers these without a decoder of its own, or they are documents and videos.
_NO_DECODER = {"BUFR", "GRIB", "HDF5", "WMF", "EPS", "MPEG", "PDF", "FITS", "ICNS"}
_SAME_FORMATS = {".jpe", ".hif"}
_HEIC = {".heic", ".heif", ".hif", ".heics"}
_RAW = {".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef", ".srw", ".raw"}
_LEFT_OVERS = {".part", ".crdownload", ".download", ".tmp", ".bak", ".old", ".orig", ".partial"}
_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_SYSTEM_FOLDERS = {
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "lost+found"),
    *("__macosx", "$recycle.bin", "system volume information", "__pycache__"),
}
_THUMBNAIL_FOLDERS = {"thumbs", "thumbnails", "_thumbs", "_thumbnails", "thumb"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")


def shown_name(name: str) -> str:
    r"""The name in Unicode's composed form, so that all its spellings give one text.

    Undecodable bytes become ``\xNN``, and control characters, which would break lines and which terminals
    obey, ``\n``, ``\x1b`` and so on.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(_without_control(letter) for letter in text)
    return unicodedata.normalize("NFC", text)


def _without_control(letter: str) -> str:
    is_control = unicodedata.category(letter) == "Cc"
    return letter.encode("unicode_escape").decode() if is_control else letter


def why_system_folder(name: str, *, nested: bool) -> str | None:
    """Reason why a folder of this name holds no data, or ``None``; ``nested`` means within a class folder."""
    lowered = name.casefold()
    if name.startswith("."):
        return "hidden"
    if lowered in _SYSTEM_FOLDERS:
        return "system folders"
    return "thumbnail folders" if nested and lowered in _THUMBNAIL_FOLDERS else None


def why_no_image(path: Path) -> str | None:
    """Reason why a regular file is not read as an image, or ``None`` for an image.

    A file with an unknown suffix is an image if its first bytes are those of a JPEG, PNG, GIF or WebP.
    """
    name, suffix = path.name, path.suffix.lower()
    if name.startswith("."):
        return "hidden"
    if name.casefold() in _SYSTEM_FILES:
        return "system files"
    if suffix in readable_suffixes():
        return None
    if suffix in _HEIC:
        return f"{suffix} (to read them: pip install 'nas-peft[heic]')"
    if suffix in (".avif", ".avifs"):
        return f"{suffix} (this Pillow reads no AVIF; install Pillow 11.3 or newer)"
    if suffix in _RAW:
        return f"{suffix} (camera raw; export them as JPEG or PNG)"
    if suffix in _LEFT_OVERS or name.endswith("~"):
        return f"{suffix} (unfinished or replaced files)"
    if _starts_like_an_image(path):
        return None
    return suffix or "no suffix"


def may_be_picture(reason: str) -> bool:
    """Whether files left out for this reason may be images that the user meant to be read.

    Such a reason has a remedy in brackets.
    """
    return "(" in reason


@cache
def readable_suffixes() -> frozenset[str]:
    """Suffixes that this Pillow decodes, with those of HEIC if ``pillow_heif`` is installed."""
    Image.init()
    with_heic = register_heic()
    found = {
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _NO_DECODER
    }
    found |= _SAME_FORMATS - _HEIC
    if with_heic:
        found |= _HEIC
    if not features.check("avif"):
        found -= {".avif", ".avifs"}
    return frozenset(found)


@cache
def register_heic() -> bool:
    """Register the decoder of HEIC with Pillow. Returns whether the package for it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _starts_like_an_image(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
