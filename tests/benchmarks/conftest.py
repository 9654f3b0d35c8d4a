"""One thread, a tiny task, and one short run of the studies of a store, for all tests of the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.mini_vtab.run
import benchmarks.mini_vtab.study as mini_vtab
import benchmarks.search_study.run
import benchmarks.search_study.study as search_study

TINY: dict[str, Any] = {"generations": 2, "population": 4}


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the store that both studies share."""
    return tmp_path_factory.mktemp("studies") / "store"


@pytest.fixture(scope="session")
def options(insects: Path, store: Path) -> list[str]:
    """Options of a short study in the store."""
    return [f"--task={insects}", f"--store={store}", "--device=cpu", "--epochs=1", "--seeds=2"]


@pytest.fixture(scope="session")
def run_search_study(options: list[str], store: Path) -> Callable[[Path], dict[str, Any]]:
    """Function that runs the study of the search, each search of two generations, and reads the report."""

    def run(out: Path) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search_study, "DEFAULT", replace(search_study.DEFAULT, **TINY))
            patch.setattr(search_study, "NOAH", replace(search_study.NOAH, **TINY))
            patch.setattr(search_study, "LONG_EPOCHS", 2)
            patch.setattr(search_study, "UNIFORM", 2)
            more = [f"--out={out}", "--supernet-epochs=1", f"--table={store / 'none'}"]
            assert benchmarks.search_study.run.main([*options, *more]) == 0
        report: dict[str, Any] = json.loads(out.read_text())
        return report

    return run


@pytest.fixture(scope="session")
def searched(run_search_study: Callable[[Path], dict[str, Any]], store: Path) -> dict[str, Any]:
    """Report of the study of the search."""
    return run_search_study(store.with_name("search.json"))


@pytest.fixture(scope="session")
def compared(options: list[str], store: Path, searched: dict[str, Any]) -> dict[str, Any]:
    """Report of the small VTAB, in the store in which the study of the search has run."""
    out = store.with_name("vtab.json")
    plan = mini_vtab.Setting.plan.fget  # type: ignore[attr-defined]
    noah = replace(search_study.NOAH, **TINY, supernet_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini_vtab.Setting, "plan", property(lambda setting: replace(plan(setting), **TINY)))
        patch.setattr(mini_vtab.Setting, "noah", property(lambda setting: noah))
        patch.setattr(mini_vtab, "LINEAR_EPOCHS", 2)
        more = [f"--out={out}", "--supernet-epochs", "1", "2"]
        assert benchmarks.mini_vtab.run.main([*options, *more]) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report
