"""Values that the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas_peft.cli.app import COMMANDS
from nas_peft.cli.completion import completer, run_folders
from nas_peft.settings.command_options import SearchOptions
from nas_peft.settings.search_config import SearchConfig


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def completed(option: str, incomplete: str) -> list[str]:
    found = completer(option)
    assert found is not None
    return found(incomplete)


def test_names_and_paths_of_data_sets():
    for folder in ("photos/cats", "diagrams", ".hidden"):
        Path(folder).mkdir(parents=True)
    Path("digital.csv").write_text("")
    Path("digest.md").write_text("")
    assert completed("dataset", "di") == ["digits", "diagrams/", "digital.csv"]
    assert completed("dataset", "photos/") == ["photos/cats/"]
    assert completed("dataset", "nosuch/x") == []


def test_names_of_spaces_and_files_of_one():
    Path("mine.yaml").write_text("")
    assert completed("space", "noah-") == ["noah-fewshot", "noah-vtab"]
    assert completed("space", "m") == ["mine.yaml"]


def test_lists_are_completed_at_their_end():
    assert completed("augmentation", "none,cr") == ["none,crop", "none,crop-flip"]
    assert completed("baselines", "linear,l2") == ["linear,l2-sp"]
    assert completed("start", "") == ["pretrained", "inherited"]


def test_run_folders():
    for run in ("runs/digits-1", "runs/photos-2", "elsewhere/run"):
        Path(run).mkdir(parents=True)
        (Path(run) / "config.yaml").write_text("")
    Path("runs/notes").mkdir()
    assert run_folders("") == ["runs/digits-1", "runs/photos-2"]
    assert run_folders("runs/d") == ["runs/digits-1"]
    assert run_folders("elsewhere/") == ["elsewhere/run"]


def test_completed_options_are_options():
    fields = SearchConfig.model_fields | SearchOptions.model_fields
    assert [name for name in fields if completer(name) is not None]
    assert completer("seed") is None


def complete(words: str) -> str:
    """What a shell gets for an unfinished command line, without torch."""
    code = (
        "import sys\nfrom nas_peft.cli.app import main\n"
        "sys.argv = ['nas-peft']\n"
        "try: main()\n"
        "finally: assert not {'torch', 'timm', 'ray'} & sys.modules.keys()"
    )
    environment = {
        "_NAS_PEFT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_the_shell_is_given_commands_options_and_values():
    assert "search" in complete("nas-peft sea").split()
    assert "--mutation-probability" in complete("nas-peft search --mut").split()
    names = complete("nas-peft search --backbone vit_small_patch14_d").split()
    assert "vit_small_patch14_dinov2.lvd142m" in names
    assert set(COMMANDS) >= {"search", "doctor"}
