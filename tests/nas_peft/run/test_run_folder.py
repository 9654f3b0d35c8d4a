"""A run is a folder: its name, whose it is, and that nothing in it is half-written."""

import errno
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_peft.run.config_file import write_config
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.stage_records import InputsRecord, StageRecord
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

FULL = Path("/dev/full")
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def config(**values: Any) -> SearchConfig:
    return SearchConfig.of(**({"dataset": "digits"} | values))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_name_depends_on_the_configuration_alone(tmp_path, monkeypatch):
    first = RunFolder.open(None, config()).path
    assert first.parent == Path("runs")
    assert first.name.startswith("digits-vit_micro_patch8_32-")
    assert RunFolder.open(None, config()).path == first
    assert RunFolder.open(None, config(seed=0)).path == first
    monkeypatch.chdir(tmp_path / "runs")
    assert RunFolder.open(None, config()).path == first


def test_other_data_have_another_name():
    first = RunFolder.open(None, config(), "the first data")
    inputs = InputsRecord(dataset={}, fingerprint="the first data", classes=["a", "b"], backbone={})
    first.write_stage("inputs", inputs)
    other = RunFolder.open(None, config(), "other data").path
    assert other != first.path
    assert other.name.startswith("digits-vit_micro_patch8_32-")
    assert RunFolder.open(None, config(), "the first data").path == first.path


def test_the_run_of_an_earlier_version_is_found_by_its_data():
    """Earlier versions named folders by the configuration alone."""
    new = RunFolder.open(None, config(), "the data").path
    earlier = new.rename(new.with_name("digits-vit_micro_patch8_32-00000000"))
    assert RunFolder.open(None, config(), "the data").path == earlier  # nothing is recorded of its data yet
    inputs = InputsRecord(dataset={}, fingerprint="the data", classes=["a", "b"], backbone={})
    RunFolder(earlier).write_stage("inputs", inputs)
    assert RunFolder.open(None, config(), "the data").path == earlier
    assert RunFolder.open(None, config(), "other data").path != earlier


@pytest.mark.parametrize("changed", [{"seed": 1}, {"budget": "1%"}, {"count_head": True}, {"lr": 1e-3}])
def test_another_configuration_has_another_name(changed):
    assert RunFolder.open(None, config(**changed)).path != RunFolder.open(None, config()).path


def test_the_name_of_a_folder_or_a_timm_data_set_is_its_last_part():
    assert RunFolder.open(None, config(dataset="torch/cifar100")).path.name.startswith("cifar100-vit")
    assert RunFolder.open(None, config(dataset="some/My Flowers")).path.name.startswith("My-Flowers-vit")


def test_the_configuration_is_left_in_the_folder():
    folder = RunFolder.open(Path("out"), config(shots=3))
    assert SearchConfig.of(**yaml.safe_load((folder.path / "config.yaml").read_text())) == config(shots=3)
    assert sorted(p.name for p in folder.path.iterdir()) == ["config.yaml", "stages", "trainings"]


def test_the_same_configuration_takes_the_folder_up_again():
    folder = RunFolder.open(Path("out"), config())
    record = StageRecord(seconds=1.5)
    folder.write_stage("supernet", record)
    written = (folder.path / "config.yaml").stat().st_mtime_ns
    again = RunFolder.open(Path("out"), config())
    assert again.read_stage("supernet", StageRecord) == record
    assert again.read_stage("search", StageRecord) is None
    assert (again.path / "config.yaml").stat().st_mtime_ns == written


def test_another_configuration_is_refused_naming_every_difference():
    RunFolder.open(Path("out"), config(seed=1, budget="1%", epochs=4))
    with pytest.raises(InputError, match="run folder 'out' holds a run of another configuration") as caught:
        RunFolder.open(Path("out"), config(seed=2, budget="2%", epochs=3))
    message = str(caught.value)
    for difference in (
        "seed (1 there, 2 now)",
        "budget ('1%' there, '2%' now)",
        "epochs (4 there, 3 now)",
    ):
        assert difference in message
    assert "generations" not in message
    assert "give another --out" in message
    assert "\n" not in message


def test_a_field_of_another_version_is_a_difference():
    folder = RunFolder.open(Path("out"), config())
    file = folder.path / "config.yaml"
    write_config(file, file.read_text() + "temperature: 0.5\n")
    with pytest.raises(InputError, match=r"temperature \(0.5 there, None now\)"):
        RunFolder.open(Path("out"), config())


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    Path("out").mkdir()
    Path("out/letter.txt").write_text("dear")
    with pytest.raises(InputError, match="'out' is not empty and holds no run; give another --out"):
        RunFolder.open(Path("out"), config())
    assert [p.name for p in Path("out").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("content", ["- a list", "text: [", "just words", "", "\xff"])
def test_a_configuration_of_something_else_is_refused(content):
    Path("out").mkdir()
    Path("out/config.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="is not the configuration of a run; give another --out"):
        RunFolder.open(Path("out"), config())


def test_an_empty_folder_is_used():
    Path("out").mkdir()
    assert RunFolder.open(Path("out"), config()).path == Path("out")


def test_a_file_is_no_run_folder():
    Path("out").write_text("a file")
    with pytest.raises(InputError, match="the run folder 'out' is a file; give another --out"):
        RunFolder.open(Path("out"), config())


def test_a_kill_while_the_folder_is_made_does_not_block_it():
    Path("out").mkdir()
    Path("out/config.yaml.partial").write_text("dataset: dig")
    folder = RunFolder.open(Path("out"), config())
    assert yaml.safe_load((folder.path / "config.yaml").read_text())["dataset"] == "digits"
    assert not list(folder.path.glob("*.partial"))


def test_a_discarded_run_leaves_the_folder_to_another_configuration():
    folder = RunFolder.open(Path("out"), config())
    folder.write_stage("probe", StageRecord(seconds=1.0))
    folder.discard()
    assert not Path("out").exists()
    assert RunFolder.open(Path("out"), config(seed=5)).read_stage("probe", StageRecord) is None


def test_a_resumed_run_is_not_discarded_once_a_part_has_finished():
    """Its folder may be hours of work, and what failed a damaged file."""
    RunFolder.open(Path("out"), config()).write_stage("inputs", StageRecord(seconds=0.0))
    again = RunFolder.open(Path("out"), config())
    again.discard()
    assert not Path("out").exists()  # nothing had finished
    first = RunFolder.open(Path("out"), config())
    first.write_stage("probe", StageRecord(seconds=1.0))
    again = RunFolder.open(Path("out"), config())
    again.discard()
    assert again.read_stage("probe", StageRecord) is not None
    assert again.resumed
    assert not first.resumed


def test_discarding_leaves_what_is_not_the_run_s():
    folder = RunFolder.open(Path("out"), config())
    Path("out/notes.txt").write_text("mine")
    folder.discard()
    assert [p.name for p in Path("out").iterdir()] == ["notes.txt"]


def test_the_same_decision_may_be_frozen_again():
    folder = RunFolder.open(Path("out"), config())
    decision = {"exported": "candidate-3", "seeds": (0, 1), "tested": {"linear": {"depth": 8}}}
    opened = folder.freeze(decision)
    assert opened.decision["exported"] == "candidate-3"
    assert RunFolder.open(Path("out"), config()).freeze(decision).opened_at == opened.opened_at


def test_another_decision_is_refused_after_the_test_part_was_opened():
    folder = RunFolder.open(Path("out"), config())
    folder.freeze({"exported": "candidate-3"})
    with pytest.raises(RuntimeError, match=r"the test set of 'out' was opened at \d{4}-.* another decision"):
        folder.freeze({"exported": "candidate-4"})
    assert folder.freeze({"exported": "candidate-3"}).decision == {"exported": "candidate-3"}


@needs_a_full_disk
@pytest.mark.parametrize("before", [None, {"version": 1}])
def test_a_full_disk_leaves_the_old_results_or_none(before):
    folder = RunFolder.open(Path("out"), config())
    if before is not None:
        write_json(folder.results, before)
    Path("out/results.json.partial").symlink_to(FULL)
    with pytest.raises(OSError, match="No space left") as caught:
        write_json(folder.results, {"rows": list(range(10_000))})
    assert caught.value.errno == errno.ENOSPC
    assert read_json(folder.results) == before
    assert not list(folder.path.glob("*.partial"))
    write_json(folder.results, {"rows": []})
    assert read_json(folder.results) == {"rows": []}


@needs_a_full_disk
def test_a_disk_that_is_full_from_the_start_leaves_a_folder_that_can_be_taken_up():
    Path("out").mkdir()
    Path("out/config.yaml.partial").symlink_to(FULL)
    with pytest.raises(OSError, match="No space left"):
        RunFolder.open(Path("out"), config())
    assert list(Path("out").iterdir()) == []
    RunFolder.open(Path("out"), config())
    assert (Path("out") / "config.yaml").is_file()


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path):
    folder = RunFolder.open(tmp_path / "run", config())
    with folder.held():
        with pytest.raises(InputError, match=f"another process .*{folder.path}"), folder.held():
            pass
        before = sorted(p.name for p in folder.path.iterdir())
    with folder.held():  # let go of
        assert sorted(p.name for p in folder.path.iterdir()) == before


@pytest.mark.slow
def test_a_killed_process_lets_go(tmp_path: Path, run_program: Callable[..., Any]):
    folder = RunFolder.open(tmp_path / "run", config())
    code = (
        "import os, sys, time; from pathlib import Path; from nas_peft.run.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).held():\n"
        "    Path(sys.argv[2]).symlink_to(str(os.getpid())); time.sleep(600)"
    )
    told = tmp_path / "process"
    with ThreadPoolExecutor() as pool:
        other = pool.submit(run_program, "-c", code, folder.path, told)
        while not told.is_symlink():
            assert not other.done(), other.result().stderr
            time.sleep(0.01)
        with pytest.raises(InputError, match="another process"), folder.held():
            pass
        os.kill(int(told.readlink().name), signal.SIGKILL)
        assert other.result().returncode == -signal.SIGKILL
    with folder.held():
        pass
