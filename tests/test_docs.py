"""What the documentation says is so: commands are understood, snippets import, links and paths resolve.

Commands of the pages are parsed here, with all checks of a configuration, and not run: most of them train.
These are run: the README's first command (`tests/test_readme.py`), those that use a run of the digits
(`tests/test_commands.py`), the snippets of docs/python.md that train nothing
(`tests/nas_peft/library/test_documentation.py`), the notebook and examples (`tests/examples`), and each
command on tiny data in its own test (`tests/nas_peft/cli`).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import nas_peft
from nas_peft.cli.app import app
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import TrainingConfig
from search_spaces import KINDS, load_space

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "supernet/weights/README.md")
}
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
CONFIGS: dict[str, type[TrainingConfig]] = {"search": SearchConfig, "baselines": BaselinesConfig}
every_page = pytest.mark.parametrize("page", PAGES)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def shell_commands(page: str) -> list[list[str]]:
    """Each command of the shell blocks, word by word, without comments and redirections."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    parts = [part.partition(" > ")[0] for line in lines for part in line.split(" && ")]
    found = [shlex.split(part, comments=True) for part in parts]
    return [command for command in found if command]


def inline_commands(page: str) -> list[list[str]]:
    """Each ``nas-peft ...`` in the text that is more than the name of a command, and asks for no help."""
    found = re.findall(r"`(nas-peft [^`\n]+)`", re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL))
    return [
        words
        for words in map(shlex.split, found)
        if len(words) > 2 and not {"--help", "--help-all"} & set(words)
    ]


def parse(arguments: list[str]) -> None:
    """Convert all options and check the configuration as the command does, and run nothing."""
    name = arguments[0]
    context = COMMANDS[name].make_context(name, arguments[1:])
    if name in CONFIGS and context.params["config"] is None:  # else a file has the options
        fields = CONFIGS[name].model_fields
        CONFIGS[name].of(**{key: value for key, value in context.params.items() if key in fields})


def anchors(page: str) -> set[str]:
    """The headings of a page as GitHub links them."""
    titles = re.findall(r"^#+ (.+)$", PAGES[page], flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_commands_of_the_tool_are_understood(page: str) -> None:
    shell = [words for words in shell_commands(page) if Path(words[0]).name == "nas-peft"]
    for words in shell + inline_commands(page):
        parse(words[1:])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("search --dataset photos/ --seeds many", "valid integer"),
        ("search --dataset photos/ --epoch 3", "epoch"),
        ("search --dataset photos/ --distil", "sandwich"),
        ("predict", "paths"),
    ],
)
def test_a_wrong_command_is_not_understood(wrong: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(shlex.split(wrong))


def test_shell_blocks_hold_commands_that_are_known() -> None:
    words_of_the_shell = {"{", "wait"}
    known = words_of_the_shell | {
        "nas-peft",
        "python",
        "python3",
        "pip",
        "ruff",
        "mypy",
        "pytest",
        "optuna-dashboard",
    }
    programs = {page: {Path(words[0]).name for words in shell_commands(page)} for page in PAGES}
    assert {page: found - known for page, found in programs.items() if found - known} == {}
    assert "nas-peft" in programs["README.md"]


@every_page
def test_benchmarks_named_are_there(page: str) -> None:
    names = set(re.findall(r"python -m benchmarks\.(\w+)", PAGES[page]))
    folder = ROOT / "benchmarks"
    assert {n for n in names if not (folder / f"{n}.py").is_file() and not (folder / n).is_dir()} == set()


@every_page
def test_python_snippets_use_names_that_exist(page: str) -> None:
    for snippet in blocks(page, "python"):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "nas_peft" or hasattr(nas_peft, node.attr), node.attr


@every_page
def test_python_calls_have_keywords_that_exist(page: str) -> None:
    configs: dict[str, tuple[Any, type[TrainingConfig]]] = {
        "search": (nas_peft.search, SearchConfig),
        "baselines": (nas_peft.baselines, BaselinesConfig),
    }
    calls = [
        node
        for snippet in blocks(page, "python")
        for node in ast.walk(ast.parse(snippet))
        if isinstance(node, ast.Call)
    ]
    for call in calls:
        name = ast.unparse(call.func).removeprefix("nas_peft.")
        given = {str(keyword.arg): keyword.value for keyword in call.keywords}
        if name in configs:
            function, config = configs[name]
            own = inspect.signature(function).parameters
            options = {key: ast.literal_eval(value) for key, value in given.items() if key not in own}
            if not call.args:
                config.of(**options)
        elif name in ("SearchConfig", "BaselinesConfig"):
            getattr(nas_peft, name).of(**{key: ast.literal_eval(value) for key, value in given.items()})
        elif name == "PeftSearchClassifier":
            assert set(given) <= set(inspect.signature(nas_peft.PeftSearchClassifier).parameters), given


def test_spaces_shown_are_spaces(tmp_path: Path) -> None:
    shown = blocks("docs/modules.md", "yaml")
    assert shown
    for number, text in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        assert load_space(file, 8).largest().kinds


def test_every_kind_has_its_row() -> None:
    assert [kind for kind in KINDS if f"`{kind}`" not in PAGES["docs/modules.md"]] == []


@every_page
def test_links_resolve(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.is_file(), target
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), target


@every_page
def test_paths_named_are_there(page: str) -> None:
    folders = "search_spaces|supernet|nas_peft|tests|examples|benchmarks|docs"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", PAGES[page])
    placeholders = {"KIND", "NAME", "SOURCE"}
    paths = [name for name in named if not any(word in name for word in placeholders)]
    assert [name for name in paths if not (ROOT / name).exists()] == []


def test_the_log_has_an_index_and_verdicts() -> None:
    index = PAGES["docs/log/README.md"]
    for page in (page for page in PAGES if page.startswith("docs/log/") and not page.endswith("README.md")):
        verdict = re.search(
            r"^- \*\*Verdict:\*\* \*(adopted|negative|open|superseded)\*", PAGES[page], re.MULTILINE
        )
        assert verdict, page
        row = next(
            line for line in index.splitlines() if line.startswith("|") and f"]({Path(page).name})" in line
        )
        assert row.endswith(f"*{verdict[1]}* |"), page
        heads = ("Date", "Question", "Command", "Answer", "Verdict")
        assert [head for head in heads if f"- **{head}:** " not in PAGES[page]] == []
