"""``nas-peft front``: the front of a finished run, listed, drawn, and any point of it exported."""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.front import table as front_table
from nas_peft.front.export import export_candidate
from nas_peft.front.plot import plot_front
from nas_peft.run.finished_search import ExportedRow, FinishedSearch
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.searching.candidate import Candidate
from search_spaces import InputError
from supernet import load_subnet


def front(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["front", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def run(finished_run: SearchResult) -> Path:
    return Path(finished_run.run)


@pytest.fixture(scope="module")
def search(run: Path) -> FinishedSearch:
    return FinishedSearch.read(run)


def test_the_front_is_listed_and_drawn(run: Path, search: FinishedSearch, tmp_path):
    shown = front(run, "--plot", tmp_path / "front.svg")
    assert shown.exit_code == 0, shown.output
    for point in search.front():
        assert f"{point.params:,}" in shown.stdout
    assert str(search.pick().number) in shown.stdout
    assert "► the search's choice" in " ".join(shown.stdout.split())
    ElementTree.parse(tmp_path / "front.svg")


def test_without_retraining_nothing_is_said_to_have_been_trained(search: FinishedSearch):
    for no_retrain, said in (
        (False, "chosen by validation after training"),
        (True, "with inherited weights"),
    ):
        config = search.config.model_copy(update={"no_retrain": no_retrain})
        of, pick = replace(search, config=config), search.pick()
        of.__dict__["exported"] = ExportedRow(f"candidate-{pick.number}", "searched subnet", 0.5, pick)
        (scores, *_) = front_table.front_tables(of, of.front(), pick, 80)
        assert f"{front_table.EXPORTED} exported by the run, {said}" in str(scores.caption)


def test_a_data_set_may_have_dollars_in_its_path(run: Path, search: FinishedSearch, tmp_path: Path):
    """Between two of them matplotlib would read a formula."""
    file, points = tmp_path / "front.svg", search.front()
    plot_front(
        file,
        search.candidates,
        points,
        points[0],
        cost=search.cost,
        cost_name=search.config.front_field,
        title="/data/photos $^$ [v2]: 12 candidates",
    )
    ElementTree.parse(file)


@pytest.mark.thorough
def test_two_drawings_are_equal_and_the_default_is_in_the_run_folder(run: Path):
    assert front(run).exit_code == 0
    first = (run / "front.svg").read_bytes()
    assert front(run).exit_code == 0
    second = (run / "front.svg").read_bytes()
    (run / "front.svg").unlink()
    ids = [[e.tag for e in ElementTree.fromstring(data).iter()] for data in (first, second)]
    assert ids[0] == ids[1]


def test_json_has_every_point_and_marks_the_pick(run: Path, search: FinishedSearch, tmp_path):
    shown = front(run, "--json", "--plot", tmp_path / "f.svg")
    points = [json.loads(line) for line in shown.stdout.splitlines()]
    on_front = [p for p in points if p["on_front"]]
    assert [Candidate.from_dict(p) for p in on_front] == search.front()
    costs, losses = [p["params"] for p in points], [p["loss"] for p in on_front]
    assert costs == sorted(costs)
    assert losses == sorted(losses, reverse=True)
    assert [p["number"] for p in points if p["picked"]] == [search.pick().number]


def test_the_front_is_whole_at_80_columns_with_one_line_a_candidate(
    run: Path, search: FinishedSearch, tmp_path
):
    shown = CliRunner().invoke(
        app, ["front", str(run), "--plot", str(tmp_path / "f.svg")], env={"COLUMNS": "80"}
    )
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    headers = "\n".join(lines)
    for header in ("no.", "params", "MFLOPs", "loss ± error", "accuracy %", "found by"):
        assert header in headers
    listed_at_all = front_table.listed(search, search.front(), search.pick())
    scores = lines[: lines.index(next(line for line in lines if line.startswith("modules by layer")))]
    rows = [line for line in scores if "±" in line and "error" not in line]
    assert len(rows) == len(listed_at_all)
    for candidate, line in zip(listed_at_all, rows, strict=True):
        assert f"{candidate.params:,}" in line
        assert f"{candidate.loss:.3f} ± {candidate.loss_standard_error:.3f}" in line


@pytest.mark.thorough
def test_the_exported_candidate_is_marked_and_listed(run: Path, search: FinishedSearch, tmp_path):
    exported = next(c for c in search.candidates if c not in search.front() and c != search.pick())
    content = read_json(run / "results.json")
    assert content is not None
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for row in content["rows"]:
        row["selected"] = row["name"] == "linear"
        if row["selected"]:
            row |= {"name": f"candidate-{exported.number}", "architecture": exported.architecture.to_dict()}
    write_json(copy / "results.json", content)
    shown = front(copy, "--plot", tmp_path / "f.svg")
    (line,) = (line for line in shown.stdout.splitlines() if line.startswith("★") and "±" in line)
    assert line.split()[1] == str(exported.number)
    assert "★ exported by the run, chosen by validation after training, not on the front" in " ".join(
        shown.stdout.split()
    )
    marked = [json.loads(p) for p in front(copy, "--json", "--plot", tmp_path / "f.svg").stdout.splitlines()]
    assert [p["number"] for p in marked if p["exported"]] == [exported.number]
    (copy / "results.json").unlink()
    assert FinishedSearch.read(copy).exported is None


def test_a_budget_picks_the_best_within_it(search: FinishedSearch):
    least = min(c.params for c in search.candidates)
    for limit in sorted({c.params for c in search.candidates}):
        within = [c for c in search.candidates if c.params <= limit and not c.dropped]
        if within:
            assert search.pick(str(limit)) == min(within, key=Candidate.rank_key)
    assert search.pick() == search.pick(search.config.budget)
    with pytest.raises(InputError, match=f"the smallest candidate of .* has {least:,}; raise the budget"):
        search.pick("1")


def test_a_point_is_exported_with_inherited_weights(run: Path, search: FinishedSearch, tmp_path):
    point = search.front()[0]
    file = tmp_path / "point.safetensors"
    sealed = (run / "stages" / "test.json").read_bytes()
    shown = front(run, "--candidate", str(point.number), "--export", file, "--plot", tmp_path / "f.svg")
    assert shown.exit_code == 0, shown.output
    subnet = load_subnet(file)
    assert subnet.architecture == point.architecture
    assert subnet.metrics["val_accuracy"] == pytest.approx(point.accuracy)  # one supernet scores val
    assert subnet.metrics["val_loss"] == pytest.approx(point.loss, rel=1e-4)
    assert subnet.training["weights"] == "inherited"
    assert (run / "stages" / "test.json").read_bytes() == sealed


def test_a_point_is_retrained_and_exported(run: Path, search: FinishedSearch, tmp_path, running_ray: str):
    known = set((run / "trainings").iterdir())
    point = next(
        c for c in search.front() if f"candidate-{c.number}" not in {p.name.split(".")[0] for p in known}
    )
    file = tmp_path / "point.safetensors"
    arguments = (run, "--candidate", str(point.number), "--retrain", "--export", file)
    shown = front(*arguments, "--plot", tmp_path / "f.svg")
    assert shown.exit_code == 0, shown.output
    subnet = load_subnet(file)
    assert subnet.architecture == point.architecture
    assert subnet.training["weights"] == "retrained"
    assert subnet.training["on"] == "train_val"
    for added in set((run / "trainings").iterdir()) - known:
        added.unlink()  # the run is shared with other tests


@pytest.mark.thorough
def test_a_retrained_point_has_the_learning_rate_that_is_best_on_validation_data(
    run: Path, search: FinishedSearch, tmp_path, running_ray: str
):
    known = set((run / "trainings").iterdir())
    with_grid = replace(search, config=search.config.model_copy(update={"lr_grid": (1e30, 1.0)}))
    file, bars = tmp_path / "point.safetensors", StageBars(quiet=True)
    export_candidate(with_grid, search.front()[0], file, retrain=True, device="cpu", bars=bars)
    assert load_subnet(file).training["recipe"]["lr"] == search.config.lr
    assert [list(plan) for plan in bars.time.plans] == [["retraining"]]
    assert bars.time.plans[0]["retraining"] > 0
    for added in set((run / "trainings").iterdir()) - known:
        added.unlink()  # the run is shared with other tests


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "1%", "--candidate", "0"), "budget and candidate both pick a candidate"),
        (("--retrain",), "--retrain needs --export FILE"),
        (("--candidate", "999"), "candidate is 999, and .* has the candidates 0 to 11"),
        (("--plot", "front.txt"), r"is not a picture: its name must end in one of .svg, .png, .pdf"),
        (("--export", "."), r"'\.' is a folder; give a file"),
        (("--export", "no/x.safetensors", "--retrain"), "no folder 'no' for --export; create it"),
        (("--plot", "no/x.svg"), "no folder 'no' for --plot; create it"),
        (("--export", "RUN/supernet.safetensors"), "is a file of the run"),
        (("--export", "RUN/subnet.safetensors", "--retrain"), "is a file of the run"),
        (("--budget", "much"), "the budget is 'much'"),
        (("--device", "gpu", "--export", "x.safetensors"), "device is 'gpu'"),
        (("--device", "banana"), "device is 'banana'"),
    ],
)
def test_mistakes_are_said_in_one_line(run: Path, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    shown = front(run.resolve(), *(argument.replace("RUN", str(run.resolve())) for argument in arguments))
    assert shown.exit_code == 2
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(" ".join(shown.stderr.split()))
    assert "Traceback" not in shown.output
    assert not list(tmp_path.glob("*.safetensors"))
    (run / "front.svg").unlink(missing_ok=True)


def test_what_is_no_finished_run_is_said(tmp_path, run: Path):
    assert "is not a run folder" in front(tmp_path).stderr.replace("\n", " ")
    (tmp_path / "config.yaml").write_text((run / "config.yaml").read_text())
    shown = front(tmp_path)
    assert shown.exit_code == 2
    assert "has not ended; start its nas-peft search command again" in " ".join(shown.stderr.split())
    (tmp_path / "config.yaml").write_text("[1, 2")
    assert "is not the configuration of a run" in " ".join(front(tmp_path).stderr.split())
