"""The C++ compiler that torch.compile calls."""

from __future__ import annotations

import os
import shutil
import sys

from search_spaces.errors import InputError


def require_compiler() -> None:
    """Raise `InputError` if the compiler that torch.compile would call is not installed.

    It calls the program that the environment variable ``CXX`` names, else g++ (clang++ on macOS), at the
    first step of the training, and its own error is a long traceback.
    """
    program = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(program) is None:
        raise InputError(
            f"compile is given, and torch.compile needs a C++ compiler: there is no program '{program}'; "
            "install one (on Debian: apt-get install g++), name one in the environment variable CXX, or "
            "leave --compile out"
        )
