"""Runs Python programs in processes of their own, which are forked from one that has imported torch and timm.

These imports take seconds, and nothing of nas-peft is among them. The process listens at a socket. An order
is a line of JSON together with the standard files of the program. The answer is the program's exit status.
Workers of Ray are such programs, too: `fork_workers` tells Ray to order them with this file.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ADDRESS = "PROGRAMS_OF_TESTS"
"""Environment variable with the path of the socket."""


def order(address: str, files: Sequence[int], **what: Any) -> socket.socket:
    """Give an order, with the arguments of `become`; the connection on which the exit status will come."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    text = json.dumps(what).encode() + b"\n"
    sent = socket.send_fds(connection, [text], files)
    connection.sendall(text[sent:])
    return connection


def serve(address: str) -> None:
    """Carry out orders side by side until standard input ends. It also returns in each program's process."""
    import gc
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sys.modules["wandb"] = None  # type: ignore[assignment]  # timm takes it where it is, and it writes folders
        import timm
        import torch

        assert timm
        assert torch
        del sys.modules["wandb"]
    gc.freeze()
    sys.modules["programs"] = sys.modules["__main__"]  # where Ray looks for its hook
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            with listener.accept()[0] as connection:
                if os.fork() == 0:  # there is no thread yet
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    text, files, _, _ = socket.recv_fds(connection, 2**16, 3)
                    while not text.endswith(b"\n"):
                        text += connection.recv(2**16)
                    program = os.fork()
                    if program == 0:
                        connection.close()
                        listener.close()
                        become(files, **json.loads(text))
                        return
                    status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
                    with suppress(OSError):  # nobody waits for workers of Ray
                        connection.sendall(f"{status}\n".encode())
                    os._exit(0)


def become(
    files: Sequence[int], arguments: list[str], cwd: str, env: dict[str, str], limit: int, group: bool
) -> None:
    """Run what ``python ARGUMENTS`` runs, for at most ``limit`` seconds unless that is 0.

    With ``group`` the process leads a process group of its own.
    """
    import traceback

    signal.alarm(limit)
    if group:
        os.setpgid(0, 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    if arguments[:2] == ["-W", "error"]:
        import warnings

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
    import importlib.util

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


def fork_workers(runtime_env: dict[str, Any] | None) -> dict[str, Any]:
    """Hook of Ray: instead of Python, start a process that orders the worker and ends."""
    orders = [sys.executable, "-I", "-S", __file__, os.environ[ADDRESS]]
    return {**(runtime_env or {}), "py_executable": shlex.join(orders)}


if __name__ == "__main__":
    address, *arguments = sys.argv[1:]
    if arguments:
        here, environment = str(Path.cwd()), dict(os.environ)
        # Ray kills the group of a worker that is needed no more
        order(address, [0, 1, 2], arguments=arguments, cwd=here, env=environment, limit=0, group=True)
    else:
        serve(address)
