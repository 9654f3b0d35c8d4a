"""Without a compiler --compile is refused in one line."""

import pytest

from nas_peft.machine.compiler import require_compiler
from search_spaces import InputError


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    with pytest.raises(InputError, match=r"no program '/nonexistent/g\+\+'; install .* or leave --compile"):
        require_compiler()
    monkeypatch.setenv("CXX", "sh")  # a program that is there
    require_compiler()
