"""A whole audit of a real run: resumed, shown as a table and drawn."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas_peft.audit.result import Audit
from nas_peft.audit.stage import audit
from nas_peft.cli.app import app
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import read_json
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult

pytestmark = pytest.mark.thorough

QUIET = StageBars(quiet=True)


def test_a_real_audit_resumes_and_leaves_the_test_part_sealed(
    finished_run: SearchResult, running_ray: str, tmp_path
):
    run = Path(finished_run.run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    search = FinishedSearch.read(run)
    found = audit(search, subnets=8, seeds=2, device="cpu", bars=QUIET)
    (expected,) = QUIET.time.plans
    assert list(expected) == ["inherited scores", "audit"]
    assert min(expected.values()) > 0
    assert Audit.model_validate(read_json(run / "audit.json")) == found
    assert [len(row.val_accuracy) for row in found.sample] == [2] * 8
    assert found.choice.description == search.pick().architecture.describe()
    assert found.choice.inherited_loss == pytest.approx(search.pick().loss, rel=1e-4)
    assert found.equal_size.subnets == 4
    added = {p for p in run.rglob("*") if p.is_file()} - set(before)
    trainings = sorted(p for p in added if p.name.startswith("audit-") and p.suffix == ".json")
    assert len(trainings) == 9 * 2
    for file in trainings[::3]:
        file.unlink()  # as if stopped before them
    (run / "audit.json").unlink()
    again = audit(search, subnets=8, seeds=2, device="cpu", bars=QUIET)
    assert again == found
    assert all(p.read_bytes() == content for p, content in before.items())

    shown = CliRunner().invoke(
        app,
        ["audit", str(run), "--subnets", "8", "--seeds", "1", "--plot", str(tmp_path / "audit.svg")],
        env={"COLUMNS": "80"},
    )
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert "8 subnets" in shown.stdout
    for score in ("inherited loss", "inherited accuracy", "parameters alone", "seed against seed"):
        assert any(line.startswith(score) for line in lines)
    assert f"the search's choice: candidate {search.pick().number}" in shown.stdout
    (loss,) = (line for line in lines if line.startswith("inherited loss"))
    assert loss.count("[") == 1  # four subnets of equal size have no interval
    assert "nothing can be said of 4 subnets of equal size" in " ".join(shown.stdout.split())
    assert "–" in shown.stdout  # one seed has no ceiling
    assert "regret of the search's choice" in shown.stdout
    ElementTree.parse(tmp_path / "audit.svg")
    assert json.loads((run / "audit.json").read_text())["seeds"] == [0]
    for path in {p for p in run.rglob("*") if p.is_file()} - set(before):
        path.unlink()  # the run is shared with other tests
