"""The optional libraries that some exports need."""

from __future__ import annotations

from importlib.util import find_spec

from search_spaces import InputError

EXTRAS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "peft": ("peft",)}
"""The libraries of each extra of ``pyproject.toml``."""


def require_extra(extra: str) -> None:
    """Raise `InputError` with the command of pip if a library of ``extra`` is missing."""
    if missing := [library for library in EXTRAS[extra] if find_spec(library) is None]:
        raise InputError(
            f"--to {extra} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed; install with: pip install 'nas-peft[{extra}]'"
        )
