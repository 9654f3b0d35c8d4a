"""The place of a search's record, before anything is opened."""

from pathlib import Path

import pytest

from nas_peft.searching.record_place import require_record_place
from search_spaces import InputError


def test_a_study_needs_a_storage():
    with pytest.raises(InputError, match="study names a study in --storage, which is not given; give both"):
        require_record_place(None, "mine")
    require_record_place(None, None)


def test_a_storage_needs_its_folder(tmp_path: Path):
    with pytest.raises(InputError, match="no folder '/nowhere' for the storage"):
        require_record_place("sqlite:////nowhere/x.db", None)
    require_record_place(f"sqlite:///{tmp_path}/x.db", "mine")
    assert list(tmp_path.iterdir()) == []
