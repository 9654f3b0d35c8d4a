"""Page of the small VTAB in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.mini_vtab.page import main


@pytest.mark.thorough
def test_the_page_has_what_the_report_has(compared: dict[str, Any], store: Path, tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    assert main([str(store.with_name("vtab.json")), str(written)]) == 0
    text = written.read_text()
    for name, means in compared["means"].items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {name} |") and " ± " in line]
        assert f"| {means['flat']:.2f} | {means['groups']:.2f} |" in row
        if name != "searched":
            against = compared["against"]["searched"][name]
            assert f"{against['mean']:+.2f} ± {against['error_over_seeds']:.2f}" in row
    assert "| insects | 6 |" in text


def test_a_file_that_is_no_result_has_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert main([str(tmp_path / "other.json"), str(tmp_path / "page.md")]) == 2
    assert "is not a result of the small VTAB" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
