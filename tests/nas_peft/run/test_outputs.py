"""Outputs that would replace files of a run."""

import os
from pathlib import Path

import pytest

from nas_peft.run.outputs import require_no_run_file
from nas_peft.run.results import SearchResult
from search_spaces import InputError


def test_each_file_that_a_run_wrote_is_the_runs(finished_run: SearchResult):
    run = Path(finished_run.run)
    files = [file for file in run.rglob("*") if file.is_file() and file.suffix not in (".svg", ".html")]
    assert {"config.yaml", "results.json", "study.journal"} < {file.name for file in files}
    for file in files:
        with pytest.raises(InputError, match=r"is a file of the run '.*', which other commands read; give"):
            require_no_run_file(file)


def test_links_and_other_spellings_are_seen_through(finished_run: SearchResult, tmp_path: Path):
    run = Path(finished_run.run)
    (tmp_path / "x.safetensors").symlink_to(run / "supernet.safetensors")
    (tmp_path / "linked").symlink_to(run)
    relative = os.path.relpath(run / "supernet.safetensors", tmp_path)
    for output in ("x.safetensors", "linked/subnet.safetensors", "linked/stages/../config.yaml", relative):
        with pytest.raises(InputError, match="is a file of the run"):
            require_no_run_file(tmp_path / output)


def test_other_files_may_stand_in_a_run_folder(finished_run: SearchResult, tmp_path: Path):
    for name in ("front.svg", "report.html", "small.safetensors", "supernet.svg", "exports/stages.onnx"):
        require_no_run_file(Path(finished_run.run) / name)
    (tmp_path / "config.yaml").touch()  # of something else
    require_no_run_file(tmp_path / "results.json")
