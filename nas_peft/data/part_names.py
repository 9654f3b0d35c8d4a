"""Names that folders and table cells have for the parts of a data set."""

from __future__ import annotations

import re

_WORDS = {
    "train": "train training trn",
    "val": "val valid validation dev devel development eval evaluation",
    "test": "test testing tst holdout",
}
_PART_OF = {word: part for part, words in _WORDS.items() for word in words.split()}
_FILLING = {"set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "split", "part", "seg"}
_JOINED = re.compile(r"(?<=[a-z])(?:set|data|images|split)$")


def part_named(name: str) -> str | None:
    """The part, ``train``, ``val`` or ``test``, that a name stands for; ``None`` for any other name.

    Case, digits, separators and filler words do not matter: ``Training``, ``test_set``, ``val2017``,
    ``images-train`` and ``hold-out`` name parts, ``trainer`` and ``train station`` do not.
    """
    words = _words(name)
    return _PART_OF.get(words[0]) if len(words) == 1 else None


def part_within(name: str) -> str | None:
    """The part that one word of a longer name stands for, as in ``pets_train`` and ``PublicTest``.

    ``None`` for a name with no such word, or with words for several parts.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parts = {_PART_OF[word] for word in _words(apart) if word in _PART_OF}
    return parts.pop() if len(parts) == 1 else None


def _words(name: str) -> list[str]:
    text = re.sub(r"h[eo]ld[\W_]?out", "holdout", name.casefold())
    words = [_JOINED.sub("", word) for word in re.split(r"[\W_\d]+", text) if word]
    return [word for word in words if word not in _FILLING]
