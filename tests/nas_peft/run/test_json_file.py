"""JSON files of a run: what is written is read, and nothing else."""

import json
import math
from pathlib import Path

import pytest

from nas_peft.run.json_file import read_json, write_json
from search_spaces.errors import DamagedFile

CONTENT = {"loss": 0.1 + 0.2, "name": "größer", "list": [1, None, True], "rows": {"a": {"b": 1e-300}}}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_json_round_trip():
    write_json(Path("a.json"), CONTENT)
    assert read_json(Path("a.json")) == CONTENT
    assert read_json(Path("b.json")) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused_before_anything_is_written(number):
    write_json(Path("a.json"), {"loss": 1.0})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(Path("a.json"), {"loss": number})
    assert read_json(Path("a.json")) == {"loss": 1.0}


def test_a_file_that_was_cut_off_anywhere_is_damaged():
    write_json(Path("a.json"), CONTENT)
    whole = Path("a.json").read_bytes()
    for length in range(len(whole) - 1):  # without the last line break it is whole
        Path("a.json").write_bytes(whole[:length])
        with pytest.raises(DamagedFile, match=r"'a.json' is damaged .*; remove it"):
            read_json(Path("a.json"))


def test_a_bit_that_was_flipped_anywhere_is_noticed_or_changes_nothing():
    write_json(Path("a.json"), CONTENT)
    whole = Path("a.json").read_bytes()
    noticed = 0
    for place in range(len(whole)):
        for bit in (0, 3, 5):
            Path("a.json").write_bytes(
                whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :]
            )
            try:
                found = read_json(Path("a.json"))
            except DamagedFile:
                noticed += 1
            else:
                names = {name: value for name, value in (found or {}).items() if name in CONTENT}
                assert names == CONTENT  # between the tokens, or in the name of the checksum
    assert noticed > 2 * len(whole)


def test_files_of_earlier_versions_have_no_checksum():
    Path("a.json").write_text(json.dumps({"loss": math.pi}))
    assert read_json(Path("a.json")) == {"loss": math.pi}


@pytest.mark.parametrize("text", ["", "[1]", "null", "{'a': 1}"])
def test_what_is_no_object(text):
    Path("a.json").write_text(text)
    with pytest.raises(DamagedFile):
        read_json(Path("a.json"))
