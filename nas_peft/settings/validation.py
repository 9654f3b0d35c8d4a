"""Values checked against a model of options; what is wrong is one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from search_spaces.errors import InputError

NEAR = 0.6
"""Similarity from which a name counts as a misspelt one, by difflib."""

_Model = TypeVar("_Model", bound=BaseModel)


def validated(
    model: type[_Model],
    values: Mapping[str, Any],
    files: Mapping[str, Path] | None = None,
    flags: Collection[str] = (),
) -> _Model:
    """An instance of ``model`` with ``values``.

    ``files`` holds the file that a value was read from, for those that come from a file; ``flags`` are the
    names of fields that were given as flags of the command line. Raises `InputError` naming the field, the
    value, what is allowed, and that file.
    """
    try:
        return model(**values)
    except ValidationError as error:
        found = error.errors()
        # a misspelt option explains a missing one
        first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
        if not first["loc"]:  # about several fields
            raise InputError(_with_flags(str(first["ctx"]["error"]), flags)) from error
        field = ".".join(str(part) for part in first["loc"])
        file = (files or {}).get(str(first["loc"][0]))
        said = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"].lower()
        where = "" if file is None else f"'{file}': "
        if first["type"] == "extra_forbidden":
            guess = nearest(field, model.model_fields).rstrip(";")
            raise InputError(f"{where}there is no option '{field}'{guess}") from error
        raise InputError(f"{where}{field} is {first['input']!r}: {said}") from error


def _with_flags(message: str, names: Collection[str]) -> str:
    """The message about several fields, in which those with these ``names`` are called by their flags.

    A name without an underscore may be an ordinary word, and is one unless something is said of it.
    """
    for name in names:
        flag = f"--{name.replace('_', '-')}"
        end = r"\b" if "_" in name else r"(?= (?:is|sets|names|out)\b)"
        message = re.sub(rf"(?<![-\w'])(?<!the ){re.escape(name)}{end}", flag, message)
    return message


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``; did you mean 'NAME'?``, or ``;`` where no allowed name is near."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=NEAR)
    return f"; did you mean '{close[0]}'?" if close else ";"
