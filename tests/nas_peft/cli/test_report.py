"""``nas-peft report``: the file, the comparison, and mistakes that are told before the work."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.results import SearchResult


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture
def other_run(finished_run: SearchResult, tmp_path: Path) -> Path:
    """A copy of the finished run, as if of another budget."""
    folder = tmp_path / "other"
    (folder / "stages").mkdir(parents=True)
    for name in ("config.yaml", "stages/inputs.json"):
        shutil.copy(Path(finished_run.run) / name, folder / name)
    content = read_json(Path(finished_run.run) / "results.json")
    assert content is not None
    content["config"] |= {"budget": "1%", "epochs": [2]}
    write_json(folder / "results.json", content)
    return folder


@pytest.mark.thorough
def test_a_file_is_written_with_images_that_have_moved(
    finished_run: SearchResult, image_folder: Path, tmp_path: Path
):
    file, moved = tmp_path / "a report.html", tmp_path / "moved"
    shutil.copytree(image_folder, moved)
    done = report(finished_run.run, "--output", file, "--dataset", moved, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert re.fullmatch(rf"report: {re.escape(str(file))} \(0\.\d\d MB\)\n", done.stdout)
    html = file.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert html.count("<section") == 11
    assert html.count("<img") >= 12


def test_runs_are_set_side_by_side(finished_run: SearchResult, other_run: Path, tmp_path: Path):
    file = tmp_path / "both.html"
    done = report(finished_run.run, "--compare", other_run, "--output", file)
    assert done.exit_code == 0, done.output
    html = file.read_text(encoding="utf-8")
    settings = html[html.index("Settings that differ</h2>") : html.index("Methods</h2>")]
    rows = re.findall(r"<th scope=\"row\"><bdi>(.*?)</bdi></th>(.*?)</tr>", settings)
    cells = {name: re.findall(r"<bdi>(.*?)</bdi>", row) for name, row in rows}
    assert cells == {"--budget": ["0.75%", "1%"], "--epochs": ["1", "2"]}
    assert "All runs have the same images in the same splits." in html
    assert finished_run.selected.label in html


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["RUN", "--output", "report.pdf"],
            "'report.pdf' is not an HTML file: its name must end in .html or",
        ),
        (["RUN", "RUN"], "2 run folders are given; add --compare to set them side by side, or give one"),
        (["RUN", "--compare"], "--compare needs two run folders or more"),
        (["RUN", "RUN", "--compare", "--dataset", "x"], "--dataset is for the images of one run"),
        (["RUN", "--output", "no/such/report.html"], "no folder 'no/such' for 'report.html'"),
        (["RUN", "--output", "RUN/stages/report.html"], "is a file of the run"),
        (["tests"], "'tests' is not a run folder: it has no config.yaml"),
        (["RUN", "--dataset", "/gone"], "unknown data set|no such folder '/gone'"),
    ],
)
def test_a_mistake_is_one_line(finished_run: SearchResult, words: list[str], message: str):
    done = report(*(word.replace("RUN", finished_run.run) for word in words))
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.search(message, done.stderr.splitlines()[-1])
    assert not (Path(finished_run.run) / "report.html").exists()


def test_a_run_that_has_not_ended_is_said(finished_run: SearchResult, other_run: Path):
    (other_run / "results.json").unlink()
    done = report(other_run)
    assert done.exit_code == 2
    assert "has not ended: it has no results.json; start its command again to go on" in done.stderr
