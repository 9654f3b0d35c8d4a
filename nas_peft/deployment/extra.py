"""The optional libraries that some exports and the server need."""

from __future__ import annotations

from importlib.util import find_spec

from search_spaces.errors import InputError

EXTRAS = {
    "dashboard": ("optuna_dashboard",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "peft": ("peft",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "python_multipart"),
}
"""The libraries of each extra of ``pyproject.toml``, as they are imported."""


def require_extra(extra: str, needed_by: str | None = None) -> None:
    """Raise `InputError` with the command of pip if a library of ``extra`` is missing.

    ``needed_by`` names what needs the libraries; by default that is ``--to EXTRA``.
    """
    if missing := [library for library in EXTRAS[extra] if find_spec(library) is None]:
        raise InputError(
            f"{needed_by or f'--to {extra}'} needs {', '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed; install with: "
            f"pip install 'nas-peft[{extra}]'"
        )
