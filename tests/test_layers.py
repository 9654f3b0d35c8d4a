"""The layers of the design, read from the sources: what may import what, and how large a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_spaces", "supernet", "nas_peft")
MAY_IMPORT = {
    "search_spaces": {"numpy", "yaml", "search_spaces"},
    "supernet": {
        *("numpy", "torch", "torchvision", "timm", "safetensors", "PIL", "search_spaces", "supernet"),
        "huggingface_hub",  # which timm needs, too
    },
}
ORDER = (
    *("machine", "searching", "data", "corruptions", "settings", "run", "tracking", "training", "scoring"),
    *("protocol", "stages", "planning", "front", "deployment", "prediction", "evaluation", "robustness"),
    *("serving", "audit", "compare", "report", "dashboard", "main_job", "baselines_job", "library", "cli"),
    "__main__",
)
"""The rooms of ``nas_peft``, bottom to top: each may import itself and those before it."""
OF_THE_TOOL = {
    "ray",
    "optuna",
    "rich",
    "typer",
    "pydantic",
    "pydantic_core",
    "fastapi",
    "uvicorn",
    "starlette",
}
NO_CONCEPT = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def imported(path: Path) -> Iterator[str]:
    """The packages that a file imports anywhere in it: at the top, in functions, for type checking."""
    package = path.relative_to(ROOT).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield package if node.level else str(node.module).partition(".")[0]


def rooms_imported(path: Path) -> Iterator[str]:
    """The rooms of ``nas_peft`` that a file imports from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "nas_peft":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("nas_peft."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (name[1] for name in names if name[0] == "nas_peft" and len(name) > 1)


def loaded_after(code: str, *modules: str) -> list[str]:
    """Which of ``modules`` a new process has loaded after ``code``."""
    script = f"{code}\nimport sys; print([m for m in {modules!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found: list[str] = ast.literal_eval(done.stderr.strip().splitlines()[-1])
    return found


def test_the_walk_sees_imports_wherever_they_stand(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n")
    assert sorted(imported(file)) == ["a", "c", "d", "i", "package"]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_lower_layer_imports_only_what_it_may(package):
    allowed = MAY_IMPORT[package] | sys.stdlib_module_names
    strangers = {(path.name, name) for path in sources(package) for name in imported(path)}
    assert {(file, name) for file, name in strangers if name not in allowed} == set()


def test_every_room_of_the_tool_has_its_floor():
    rooms = {path.relative_to(ROOT / "nas_peft").parts[0].removesuffix(".py") for path in sources("nas_peft")}
    assert rooms - {"__init__"} == set(ORDER)


def test_no_room_of_the_tool_imports_one_above_it():
    package = ROOT / "nas_peft"
    backwards = [
        (str(path.relative_to(package)), room)
        for path in sources("nas_peft")
        if path.parent != package or path.stem in ORDER
        for room in rooms_imported(path)
        if ORDER.index(room) > ORDER.index(path.relative_to(package).parts[0].removesuffix(".py"))
    ]
    assert backwards == []


def test_the_walk_sees_rooms_however_they_are_imported(tmp_path):
    file = tmp_path / "module.py"
    lines = ("from nas_peft.a.b import c", "from nas_peft import d", "import nas_peft.e.f as g, nas_peft")
    file.write_text("\n".join(lines))
    assert sorted(rooms_imported(file)) == ["a", "d", "e"]


def test_the_libraries_of_the_tool_are_imported_by_the_tool_alone():
    everywhere = {package: {n for p in sources(package) for n in imported(p)} for package in PACKAGES}
    assert everywhere["nas_peft"] >= OF_THE_TOOL
    assert not OF_THE_TOOL & (everywhere["search_spaces"] | everywhere["supernet"])


def test_the_command_line_imports_heavy_libraries_only_where_it_uses_them():
    top_level = [
        node
        for path in sources("nas_peft/cli")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = {n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in top_level}
    assert {str(name).partition(".")[0] for name in names} & {"torch", "timm", "ray", "optuna"} == set()


def test_files_stay_under_400_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in sources(*PACKAGES, "examples", "benchmarks")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_file_is_named_after_a_concept():
    paths = sources(*PACKAGES, "examples", "benchmarks", "tests")
    assert [str(path) for path in paths if path.stem in NO_CONCEPT or path.parent.name in NO_CONCEPT] == []


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import nas_peft", "torch", "timm", "ray", "optuna", "rich", "typer") == []


@pytest.mark.slow
def test_loading_a_subnet_needs_neither_ray_nor_optuna(run_program):
    modules = ("torch", "ray", "optuna", "typer", "sklearn")
    code = f"import nas_peft, sys; nas_peft.load_subnet; print([m for m in {modules} if m in sys.modules])"
    assert run_program("-c", code).stdout == "['torch']\n"


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["predict", "--help"]])
def test_help_answers_without_the_heavy_libraries(arguments):
    code = (
        "from nas_peft.cli.app import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0, end.code"
    )
    assert loaded_after(code, "torch", "timm", "ray", "optuna", "sklearn", "torchvision") == []
