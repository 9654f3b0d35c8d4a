"""``nas-peft audit``: its mistakes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.run.results import SearchResult


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--subnets", "3"), "subnets is 3; give 8 or more"),
        (("--seeds", "0"), "seeds is 0; give 1 or more"),
        (("--plot", "x.bmp"), "is not a picture"),
        (("--plot", "/none/x.svg"), "no folder '/none' for 'x.svg'; create it"),
        (("--device", "tpu"), "device is 'tpu'"),
    ],
)
def test_mistakes_are_said_in_one_line(finished_run: SearchResult, arguments, said):
    shown = CliRunner().invoke(app, ["audit", str(Path(finished_run.run).resolve()), *arguments])
    assert shown.exit_code == 2
    assert said in " ".join(shown.stderr.split())
    assert not (Path(finished_run.run) / "audit.json").exists()
