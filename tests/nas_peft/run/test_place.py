"""Places of run folders are judged without making anything there."""

import os
from pathlib import Path

import pytest

from nas_peft.run import place
from nas_peft.run.place import require_place, require_room, require_run
from search_spaces.errors import InputError


def test_a_run_folder_has_a_configuration(tmp_path: Path):
    with pytest.raises(InputError, match=r"is not a run folder: it has no config\.yaml"):
        require_run(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 0")
    require_run(tmp_path)
    require_place(tmp_path)


def test_the_runs_beside_a_missing_one_are_named(tmp_path: Path):
    for name in ("a", "b", "digits-vit-1a2b", "z"):
        (tmp_path / "runs" / name / "stages").mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("seed: 0")
    (tmp_path / "runs" / "notes").mkdir()
    runs = tmp_path / "runs"
    there = f"; there are {runs}/digits-vit-1a2b, {runs}/a, {runs}/b and 1 more"
    for path, said in ((runs / "digits", there), (tmp_path / "gone" / "digits", "")):
        with pytest.raises(InputError) as caught:
            require_run(path)
        assert str(caught.value).endswith(f"give one of nas-peft search or nas-peft baselines{said}")
    with pytest.raises(InputError, match=f"; there are {runs}/a, "):
        require_run(runs)


def test_files_and_folders_of_others_are_no_places(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(InputError, match="is a file; give another --out"):
        require_place(file)
    with pytest.raises(InputError, match="is not empty and holds no run"):
        require_place(tmp_path)
    with pytest.raises(InputError, match=r"cannot be made: .*notes\.txt' is a file"):
        require_room(file / "below" / "it")


def test_new_and_half_made_folders_are_places(tmp_path: Path):
    new = tmp_path / "a" / "b"
    require_place(new)
    require_room(new)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "config.yaml.partial").write_text("")
    require_place(tmp_path)


def test_a_full_disk_is_told_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place, "LEAST_ROOM", 2**80)
    with pytest.raises(InputError, match=r"MiB free, and a run needs [0-9]+; free some"):
        require_room(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_told(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="permission denied"):
        require_room(tmp_path / "run")
    tmp_path.chmod(0o700)
