"""A system without file locks is refused in one line."""

import sys

import pytest

from nas_peft.machine.system import require_system
from search_spaces import InputError


def test_linux_and_macos_are_supported():
    require_system()


def test_a_system_without_fcntl_is_told_what_runs_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(InputError, match=r"need Linux or macOS.*WSL.*only predict"):
        require_system()
