"""Runs Python programs in processes of their own, which are forked from one that has imported torch and timm.

These imports take seconds, and nothing of nas-peft is among them. The process reads its orders from standard
input, a line of JSON each, and answers each with an exit status.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any


def serve() -> None:
    """Carry out one order after another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import timm
        import torch

        assert timm
        assert torch
    gc.freeze()
    answers = os.dup(1)
    for line in sys.stdin:
        child = os.fork()  # there is no thread yet
        if child == 0:
            os.close(answers)
            become(**json.loads(line))
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(answers, f"{status}\n".encode())


def become(arguments: list[str], cwd: str, env: dict[str, str], output: str, limit: int) -> None:
    """Run what ``python ARGUMENTS`` runs, and write what it says into files in the folder ``output``."""
    signal.alarm(limit)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    flags = os.O_WRONLY | os.O_CREAT
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{output}/{name}", flags), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if arguments[:2] == ["-W", "error"]:
        arguments = arguments[2:]
        sys.warnoptions.append("error")
        warnings.simplefilter("error")
    what, *rest = arguments
    try:
        run(what, rest)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def run(what: str, rest: list[str]) -> None:
    """Run a module, code, or a file, as the main module: ``what`` is ``-m``, ``-c`` or the file."""
    main: Any = type(sys)("__main__")
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main  # multiprocessing reads the second
    if what == "-m":
        sys.path[0] = str(Path.cwd())
        spec: Any = importlib.util.find_spec(rest[0])
        if spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{rest[0]}.__main__")
        main.__spec__, main.__package__, main.__file__ = spec, spec.parent, spec.origin
        code, sys.argv = spec.loader.get_code(spec.name), [spec.origin, *rest[1:]]
    elif what == "-c":
        sys.path[0] = ""
        code, sys.argv = compile(rest[0], "<string>", "exec"), ["-c", *rest[1:]]
    else:
        sys.path[0], main.__file__ = str(Path(what).resolve().parent), what
        code, sys.argv = compile(Path(what).read_bytes(), what, "exec"), [what, *rest]
    exec(code, main.__dict__)


if __name__ == "__main__":
    serve()
