"""Relative paths of a run, from other folders and after a move."""

from pathlib import Path

import pytest

from nas_peft.run.moved_inputs import require_data, with_found_paths
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("project/photos", "project/runs/first", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / "mine.yaml").touch()
    return tmp_path / "project"


def test_paths_are_found_from_where_the_command_was_given(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project.parent / "elsewhere")
    config = SearchConfig.of(dataset="photos", space="mine.yaml", module_files=["kind.py"])
    found = with_found_paths(config, project / "runs" / "first", str(project))
    assert found.dataset == str(project / "photos")
    assert found.space == str(project / "mine.yaml")
    assert found.module_files == (Path("kind.py"),)  # it is nowhere
    require_data(found, project)


def test_paths_are_found_beside_a_run_that_moved_with_them(project: Path, monkeypatch: pytest.MonkeyPatch):
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved / "runs")
    found = with_found_paths(SearchConfig.of(dataset="photos/"), Path("first"), str(project))
    assert found.dataset == str(moved / "photos")


def test_a_backbone_in_a_folder_is_found_and_a_named_one_is_not_looked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "vit").mkdir()
    (project / "vit_micro_patch8_32").mkdir()
    monkeypatch.chdir(project.parent / "elsewhere")
    run = project / "runs" / "first"
    config = SearchConfig.of(dataset="digits", backbone="local-dir:vit")
    assert with_found_paths(config, run, str(project)).backbone == f"local-dir:{project / 'vit'}"
    named = SearchConfig.of(dataset="digits", backbone="vit_micro_patch8_32")
    assert with_found_paths(named, run, str(project)).backbone == "vit_micro_patch8_32"


def test_names_are_not_looked_for(project: Path):
    (project / "digits").mkdir()
    found = with_found_paths(SearchConfig.of(dataset="digits"), project / "runs" / "first", str(project))
    assert (found.dataset, found.space) == ("digits", "default")


def test_data_that_are_nowhere_are_asked_for(project: Path):
    config = with_found_paths(SearchConfig.of(dataset="/nowhere/photos"), project / "runs" / "first", None)
    with pytest.raises(InputError, match=r"are not at '/nowhere/photos'; give the path .* with --dataset"):
        require_data(config, project / "runs" / "first")
    now = with_found_paths(config, project / "runs" / "first", None, f"{project}/photos/")
    assert now.dataset == str(project / "photos")
    require_data(now, project)


def test_a_home_folder_of_another_machine_is_nowhere(project: Path):
    run = project / "runs" / "first"
    config = with_found_paths(SearchConfig.of(dataset="~nouser/photos"), run, str(project))
    with pytest.raises(InputError, match=r"are not at '~nouser/photos'; give the path .* with --dataset"):
        require_data(config, run)
    assert with_found_paths(config, run, None, f"{project}/photos").dataset == str(project / "photos")
