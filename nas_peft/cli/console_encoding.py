"""Showing text on a console or in a file whose encoding lacks some of its characters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_HANDLER = "nas-peft-console"
_INSTEAD = {
    **{"►": ">", "▶": ">", "±": "+-", "·": ".", "•": "*", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x"},
    **{"→": "->", "≤": "<=", "≥": ">=", "τ": "tau", "≈": "~", "‘": "'", "’": "'", "“": '"', "”": '"'},
    **dict.fromkeys("─━═╌╍╺╸╴╶╼╾", "-"),
    **dict.fromkeys("│┃║", "|"),
}


def show_every_character() -> None:
    """Make standard output and error replace what their encoding lacks, instead of failing.

    Signs of tables become ASCII, accents fall off, undecodable bytes of file names appear as ``\\xNN`` and
    anything else as an escape: nothing is lost, and nothing fails after the work is done.
    """
    codecs.register_error(_HANDLER, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_instead(letter) for letter in missing), error.end


def _instead(letter: str) -> str:
    if letter in _INSTEAD:
        return _INSTEAD[letter]
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or letter.encode("ascii", "backslashreplace").decode()
