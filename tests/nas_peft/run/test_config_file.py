"""The options of a run: what is written is read, and what was altered is not."""

from pathlib import Path

import pytest
import yaml

from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.config_file import read_config, write_config
from nas_peft.run.noted_options import noted_options
from nas_peft.settings.command_options import SearchOptions
from search_spaces import InputError

TEXT = "dataset: größer\nseed: 0\nepochs:\n- 8\n- 24\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    write_config(path, TEXT)
    return path


def test_round_trip(file: Path):
    assert read_config(file) == yaml.safe_load(TEXT) == yaml.safe_load(file.read_text())


def test_a_file_that_was_cut_off_is_noticed(file: Path):
    whole = file.read_bytes()
    for length in range(75, len(whole)):  # behind the checksum
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"config.yaml' (was altered|is not the configuration)"):
            read_config(file)


def test_an_altered_option_is_noticed(file: Path):
    file.write_text(file.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(InputError, match="was altered or cut off since the run wrote it"):
        read_config(file)


def test_files_of_earlier_versions_have_no_checksum(file: Path):
    file.write_text(TEXT)
    assert read_config(file)["seed"] == 0


def test_options_that_no_result_depends_on_are_noted_and_not_read_back(file: Path):
    options = SearchOptions.model_validate({"device": "cpu", "workers": 2, "out": "there", "dry_run": True})
    write_config(file, TEXT, options)
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(TEXT) | {"device": "cpu", "workers": 2}
    assert read_config(file) == yaml.safe_load(TEXT)
    write_config(file, TEXT, SearchOptions.model_validate({}))
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(TEXT)


def test_a_password_is_not_noted():
    ray = RayOptions("auto", cpus_per_trial=2)
    plain = noted_options("cpu", ray, storage="sqlite:///a.db", study="mine", workers=3)
    assert (plain.storage, plain.study, plain.workers) == ("sqlite:///a.db", "mine", 3)
    assert (plain.device, plain.ray_address, plain.cpus_per_trial) == ("cpu", "auto", 2)
    secret = noted_options("auto", ray, storage="postgresql://me:secret@there/db", study="mine")
    assert (secret.storage, secret.study) == (None, None)
