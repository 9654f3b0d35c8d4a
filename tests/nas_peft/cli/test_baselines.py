"""``nas-peft baselines``: its mistakes; ``test_baselines_job.py`` tests the table beside the trainings."""

from pathlib import Path

from typer.testing import CliRunner

from nas_peft.cli.app import app


def test_a_mistake_on_the_command_line_is_one_line(tmp_path: Path):
    words = [
        "baselines",
        "--dataset",
        "digits",
        "--baselines",
        "linear,lp_ft",
        "--out",
        str(tmp_path / "run"),
    ]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "error: baselines is 'linear,lp_ft': unknown baseline 'lp_ft'; did you mean 'lp-ft'?"
    )
    assert not (tmp_path / "run").exists()
