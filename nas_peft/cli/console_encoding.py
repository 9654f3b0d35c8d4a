"""Output of any text to a console or a file whose encoding lacks some of the characters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_HANDLER = "nas-peft-console"
_INSTEAD = {
    **{"►": ">", "▶": ">", "±": "+-", "·": ".", "•": "*", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x"},
    **{"→": "->", "≤": "<=", "≥": ">=", "τ": "tau", "‘": "'", "’": "'", "“": '"', "”": '"'},
    **{"≈": "~", "▲": "^", "★": "*", **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))},
    **dict.fromkeys("─━═╌╍╺╸╴╶╼╾", "-"),
    **dict.fromkeys("│┃║", "|"),
}


def show_every_character() -> None:
    """Make standard output and error replace characters that their encoding lacks, instead of failing.

    Table borders and symbols become ASCII, accents are dropped, undecodable bytes of file names appear as
    ``\\xNN``, and other characters as escape sequences. Otherwise a command could fail after its work is
    done, just because its output cannot be printed.
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
