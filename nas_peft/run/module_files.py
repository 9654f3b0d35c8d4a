"""The user's Python files that register module kinds and searchers."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from nas_peft.searching.searchers import SEARCHERS
from search_spaces import KINDS, InputError
from supernet.modules import ELASTIC

_NEEDED = (
    "give a Python file that registers a module kind with supernet.register_elastic, "
    "or a searcher with nas_peft.searching.searchers.register_searcher"
)
_REGISTRIES: tuple[dict[str, Any], ...] = (KINDS, ELASTIC, SEARCHERS)
_imported: dict[Path, str] = {}


def import_module_files(files: Sequence[Path]) -> None:
    """Import each file once in this process, so that the kinds and searchers it registers are known.

    Every process that builds networks imports the files itself, since registries are not sent between
    processes. A file that this process runs as a script or has already imported by ``import`` is not run
    again.

    Raises `InputError` naming a file that does not exist, raises an error, registers nothing, or has changed
    since this process imported it. Kinds and searchers registered by a failing file are forgotten.
    """
    for file in files:
        path = file.resolve()
        digest = module_file_digest(file)
        if _imported.setdefault(path, digest) != digest:
            raise InputError(
                f"the module file '{file}' has changed since this process imported it; start Python anew"
            )
        if not _is_loaded(path):
            try:
                _run(file, path)
            except InputError:
                del _imported[path]
                raise


def import_unchanged(files: Sequence[Path], digests: Mapping[str, str], run: Path) -> None:
    """Import the module files of a run, whose ``digests`` it recorded by path.

    Raises `InputError` for a file that has changed since the run started, before any is executed, and the
    errors of `import_module_files`.
    """
    for file in files:
        if module_file_digest(file) != digests.get(str(file)):
            raise InputError(
                f"the module file '{file}' has changed since '{run}' was run; "
                "put the former one back, or search anew with another --out"
            )
    import_module_files(files)


def module_file_digest(file: Path) -> str:
    """SHA-256 of the file's bytes. Raises `InputError` if there is no such .py file."""
    if not file.is_file():
        raise InputError(f"no module file at '{file}'; {_NEEDED}")
    if file.suffix != ".py":
        raise InputError(f"the module file '{file}' does not end in .py; {_NEEDED}")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass(frozen=True)
class SentModuleFile:
    """A module file for another process, possibly on a machine that does not have the file."""

    path: Path
    content: bytes

    @classmethod
    def of(cls, file: Path) -> SentModuleFile:
        """Read the file and make its path absolute. Raises `InputError` if there is no such .py file."""
        module_file_digest(file)
        return cls(file.resolve(), file.read_bytes())


def import_sent_module_files(files: Sequence[SentModuleFile]) -> None:
    """Import files sent by another process, from their own paths where the content there is the same.

    Elsewhere a copy is imported, which lasts as long as the process so that tracebacks can show its lines.
    """
    here = []
    for file in files:
        path = file.path
        if not path.is_file() or path.read_bytes() != file.content:
            path = Path(_copies().name) / hashlib.sha256(file.content).hexdigest()[:12] / path.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(file.content)
        here.append(path)
    import_module_files(here)


@functools.cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="nas-peft-modules-")


def _is_loaded(path: Path) -> bool:
    modules = [m for m in sys.modules.values() if isinstance(m, ModuleType)]
    files = [vars(m).get("__file__") for m in modules]
    return any(Path(file).resolve() == path for file in files if isinstance(file, str))


def _run(file: Path, path: Path) -> None:
    name = f"module_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"the module file '{file}' cannot be imported; {_NEEDED}")
    module = importlib.util.module_from_spec(spec)
    before = _names()
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        _forget(name, before)
        raise InputError(
            f"the module file '{file}' raised {type(error).__name__}{_line_of(error, path)}: {error}; "
            "correct the file"
        ) from error
    if not _names() - before:
        _forget(name, before)
        raise InputError(f"the module file '{file}' registers no module kind and no searcher; {_NEEDED}")


def _names() -> set[tuple[int, str]]:
    return {(i, name) for i, registry in enumerate(_REGISTRIES) for name in registry}


def _forget(name: str, before: set[tuple[int, str]]) -> None:
    del sys.modules[name]
    for number, registered in _names() - before:
        del _REGISTRIES[number][registered]


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    return f" in line {frames[-1].lineno}" if frames else ""
