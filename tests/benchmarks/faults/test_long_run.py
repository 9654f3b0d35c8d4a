"""Growth is the slope over the second half of the work, and the plot shows every quantity."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.faults.long_run import LongRun, Sample, draw, sample, searched, size, table, trained

FIRST = Sample(0.0, 0, 100.0, 10, 2, 50.0, 20, 1.0, 3.0)


def long_run(growing: float) -> LongRun:
    """Memory grows much in the first half, as libraries are loaded, and then by ``growing`` for each unit."""
    samples = [
        replace(FIRST, seconds=float(done), done=done, memory=300 + min(done, 50) * 9 + done * growing)
        for done in range(101)
    ]
    return LongRun("candidates", 1000, samples)


@pytest.mark.parametrize("growing", [0.0, 0.25])
def test_growth_is_that_of_the_second_half(growing: float):
    assert long_run(growing).growth("memory") == pytest.approx(1000 * growing, abs=1e-6)
    assert long_run(growing).growth("files") == pytest.approx(0, abs=1e-6)


def test_the_table_and_the_plot_have_each_quantity(tmp_path: Path):
    shown = table([long_run(0.25)])
    assert "+250.00 / 1,000 candidates" in list(shown.columns[4].cells)
    draw([long_run(0.25)], tmp_path / "plots" / "a.svg")
    text = (tmp_path / "plots" / "a.svg").read_text()
    assert text.startswith("<?xml")


def test_a_sample_counts_work_files_and_bytes(tmp_path: Path):
    (tmp_path / "trainings").mkdir()
    (tmp_path / "trainings" / "a.json").write_bytes(bytes(2_000_000))
    found = sample(psutil.Process(), tmp_path, "trainings/*.json", 1, 1.0)
    assert (found.done, found.run_folder) == (1, pytest.approx(2.0))
    assert found.memory > 1
    assert found.files > 1
    assert size(tmp_path / "nowhere") == 0


def test_there_are_as_many_candidates_and_trainings_as_asked(tmp_path: Path):
    words, _ = searched(tmp_path, 2000)
    assert words[words.index("--generations") + 1] == "50"
    words, _ = trained(tmp_path, 200)
    assert words[words.index("--seeds") + 1] == "34"
