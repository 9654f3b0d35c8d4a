"""Reading a file of options; what its values may be is tested with the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_peft.settings.option_file import read_option_file
from search_spaces import InputError


def test_a_file_is_read_as_it_stands(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("# a remark\nseed: 3\nepochs: [4, 8]\nshots:\n", encoding="utf-8")
    assert read_option_file(file, {"seed", "epochs", "shots"}) == {"seed": 3, "epochs": [4, 8], "shots": None}
    file.write_text("")
    assert read_option_file(file, {"seed"}) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: \xff", "is not UTF-8 text"),
        (b"seed: 1\n epochs: 2", "line 2: "),
        (b"seeds: 1", "there is no option 'seeds'; did you mean 'seed'? nas-peft schema lists them"),
        (b"qwerty: 1", "there is no option 'qwerty'; nas-peft schema lists them"),
        (b"epochs: 1", "there is no option 'epochs'; nas-peft schema lists them"),
        (b"debug: true", "'debug' stays on the command line; leave it out here"),
        (b"config: a.yaml", "'config' stays on the command line; leave it out here"),
        (b"# mine\nseed: 1\nepochs: 2\nseed: 3", "line 4: 'seed' is given twice; give it once"),
        (b"3: 1", "there is no option '3'"),
        (b"seed: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_option_file(file, {"seed"})
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read the configuration"):
        read_option_file(tmp_path, {"seed"})
