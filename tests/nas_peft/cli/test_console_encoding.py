"""Output that an encoding cannot show is shown otherwise."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
from nas_peft.cli.console_encoding import show_every_character
show_every_character()
print("► 94.0 ± 0.5 … Übung \\U0001f600 \\udce9")
"""


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "> 94.0 +- 0.5 ... Ubung \\U0001f600 \\xe9"),
        ("latin-1", "> 94.0 ± 0.5 ... Übung \\U0001f600 \\xe9"),
        ("utf-8", "► 94.0 ± 0.5 … Übung \U0001f600 \\xe9"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(encoding, shown):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True)
    assert done.stdout.decode(encoding).strip() == shown
