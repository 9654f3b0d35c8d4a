"""The finished run as its report reads it, and copies of it that were changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.run_page import RunPage, run_page
from nas_peft.run.config_file import read_config, write_config
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult

ChangedRun = Callable[..., ReportedRun]


@pytest.fixture(scope="session")
def run(finished_run: SearchResult) -> ReportedRun:
    return ReportedRun.read(Path(finished_run.run))


@pytest.fixture(scope="session")
def page(run: ReportedRun) -> RunPage:
    return run_page(run, dataset=None, device="cpu", bars=StageBars(quiet=True))


@pytest.fixture
def changed_run(finished_run: SearchResult, tmp_path: Path) -> ChangedRun:
    """Copies the finished run with other values: of the data set's place, classes, and results."""

    def write(
        dataset: str | None = None, classes: list[str] | None = None, results: dict[str, Any] | None = None
    ) -> ReportedRun:
        folder = tmp_path / "changed"
        shutil.copytree(finished_run.run, folder, ignore=shutil.ignore_patterns("supernet*", "*.journal"))
        if dataset is not None:
            options = read_config(folder / "config.yaml") | {"dataset": dataset}
            write_config(folder / "config.yaml", yaml.safe_dump(options, sort_keys=False))
        _change(folder / "stages" / "inputs.json", {} if classes is None else {"classes": classes})
        _change(folder / "results.json", results or {})
        return ReportedRun.read(folder)

    return write


def _change(file: Path, values: dict[str, Any]) -> None:
    content = read_json(file)
    assert content is not None
    write_json(file, content | values)
