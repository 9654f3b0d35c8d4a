"""Layout of the benchmarks: imports without circles, studies apart, and a command for each study."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "benchmarks"
MODULES = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__main__.py")}


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def import_graph(package: Path) -> dict[str, set[str]]:
    """Modules of a package that each of its modules imports, anywhere in the file."""
    names = {module_name(path, package.parent): path for path in package.rglob("*.py")}
    return {name: set(imported(path, set(names))) for name, path in names.items()}


def imported(path: Path, known: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from known & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            submodules = known & {f"{node.module}.{alias.name}" for alias in node.names}
            yield from submodules or known & {str(node.module)}


def study_of(module: str) -> str:
    return module.split(".")[1]


def test_no_import_circles() -> None:
    order = list(TopologicalSorter(import_graph(PACKAGE)).static_order())
    assert order.index("benchmarks.mini_vtab.study") < order.index("benchmarks.mini_vtab.report")


def test_the_walk_finds_a_circle(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "a.py").write_text("def f():\n    from package import b\n")
    (package / "b.py").write_text("from package.inner.a import f\n")
    with pytest.raises(CycleError):
        TopologicalSorter(import_graph(package)).prepare()


def test_studies_import_the_harness_and_not_each_other() -> None:
    edges = {
        (study_of(importer), study_of(name))
        for importer, names in import_graph(PACKAGE).items()
        for name in names
    }
    # the check of a GPU measures the contestants of that study, there
    assert {(a, b) for a, b in edges if a != b and b != "harness"} == {("gpu_check", "supernet_step")}
    assert {a for a, b in edges if b == "harness"} == MODULES | FOLDERS | {"harness"}


@pytest.mark.parametrize("study", sorted(MODULES | FOLDERS | {"mini_vtab.page"}))
def test_every_study_is_a_command(
    study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if study not in FOLDERS:
        monkeypatch.delitem(sys.modules, f"benchmarks.{study}", raising=False)
    monkeypatch.setattr(sys, "argv", [study, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module(f"benchmarks.{study}", run_name="__main__")
    assert capsys.readouterr().out.startswith(f"usage: python -m benchmarks.{study} ")
