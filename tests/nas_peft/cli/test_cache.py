"""``nas-peft cache`` on entries of real data sets, and the options of the commands that read them."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas_peft.cli.app import app
from nas_peft.data import cache_settings, load_dataset
from nas_peft.data.cache_settings import CacheSettings, size_text
from nas_peft.data.data_cache import DataCache
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs


@pytest.fixture
def folder(tmp_path, image_folder, backbone) -> Path:
    """A cache with one entry."""
    from supernet import Preprocessing

    settings = CacheSettings(tmp_path / "cache", smallest=0)
    load_dataset(str(image_folder), to_tensor=Preprocessing.of(backbone.model).to_tensor, cache=settings)
    return tmp_path / "cache"


def run(folder: Path | str, *words: str) -> Result:
    """The command with a home of its own, so that no mistake of it can clear the user's cache."""
    home = str(Path(folder).parent / "home")
    own = {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "NAS_PEFT_CACHE": str(folder)}
    return CliRunner().invoke(app, ["cache", *words], env={"COLUMNS": "120", **own}, catch_exceptions=False)


def entry_of(folder: Path):
    (entry,) = DataCache(folder, 10**9, False).entries()
    return entry


def test_the_list_names_each_data_set_with_its_size(folder):
    shown = run(folder)
    assert shown.exit_code == 0
    line = next(line for line in shown.stdout.splitlines() if "stripes" in line)
    assert all(word in line for word in (entry_of(folder).key[:12], "72", "32×32", size(folder)))
    assert shown.stdout.splitlines()[-1].startswith(f"{size(folder)} of at most")
    found = json.loads(run(folder, "--json").stdout)
    assert found["bytes"] == entry_of(folder).nbytes > 72 * 3 * 32 * 32
    assert [row["in use"] for row in found["entries"]] == [False]


def test_an_empty_cache_is_no_error(tmp_path):
    shown = run(tmp_path / "none yet")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("0 B of at most")


def test_a_name_in_an_empty_cache_is_said_to_be_in_an_empty_one(tmp_path):
    shown = run(tmp_path / "none yet", "clear", "photos")
    assert shown.exit_code == 2
    assert "the cache is empty, so it has no entry 'photos'; leave the name out" in shown.stderr


def size(folder: Path) -> str:
    return size_text(entry_of(folder).nbytes)


@pytest.mark.parametrize("words", [[], ["stripes"], ["KEY"], ["--older-than", "0"]])
def test_entries_are_removed(folder, words):
    (folder / f"{'0' * 64}.unfinished").mkdir()
    freed = size(folder)
    shown = run(folder, "clear", *(entry_of(folder).key[:9] if word == "KEY" else word for word in words))
    assert shown.stdout == f"removed 1 entry, {freed}\n"
    assert [path.name for path in folder.iterdir()] == ([] if not words else [f"{'0' * 64}.unfinished"])


def test_what_was_used_lately_or_is_in_use_stays(folder):
    assert run(folder, "clear", "--older-than", "1").stdout == "removed 0 entries, 0 B\n"
    with (entry_of(folder).folder / "images.bin").open("rb") as file:
        from nas_peft.data.use_lock import share

        share(file.fileno())
        assert "(stripes) is in use and stays\nremoved 0 entries" in run(folder, "clear").stdout
        assert "in use" in run(folder).stdout
    assert entry_of(folder)


def test_every_byte_is_checked(folder):
    assert run(folder, "verify").stdout.endswith("stripes: as it was written\n")
    file = entry_of(folder).folder / "images.bin"
    times = file.stat()
    with file.open("rb+") as changed:
        changed.seek(100_000)  # beyond what each start looks at
        changed.write(b"other")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    shown = run(folder, "verify")
    assert shown.exit_code == 1
    assert shown.stdout.endswith("stripes: 'images.bin' has other contents\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clear", "strips"], "unknown entry of the cache 'strips'; did you mean 'stripes'?"),
        (["clear", ""], "the name of an entry is empty; give the first digits"),
        (["clear", "stripes", ""], "the name of an entry is empty; give the first digits"),
        (["clear", "--cache", ""], "the name of the folder for --cache is empty; give a folder, or none"),
        (["--cache", "none"], "the cache is switched off; give its folder: nas-peft cache --cache FOLDER"),
    ],
)
def test_mistakes_are_one_line(folder, monkeypatch, words, message):
    monkeypatch.setenv("NAS_PEFT_CACHE", "")  # set by the command, restored by this
    shown = run(folder, *words)
    assert (shown.exit_code, shown.stderr.count("\n")) == (2, 1)
    assert shown.stderr.startswith(f"error: {message}")
    assert entry_of(folder)


@pytest.mark.parametrize("command", ["search", "baselines"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cache-limit", "many"], "the size 'many' is not understood"),
        (["--cache", ""], "the name of the folder for --cache is empty"),
        (["--cache", __file__], "is a file; give a folder to --cache, or none"),
    ],
)
def test_commands_refuse_a_wrong_cache(command, words, message):
    shown = CliRunner().invoke(
        app, [command, "--dataset", "no such folder", *words], env={"NAS_PEFT_CACHE": "none"}
    )
    assert shown.exit_code == 2
    assert message in " ".join(shown.stderr.split())


def test_a_run_reads_its_images_from_the_cache_and_says_so(tiny_config, folder, monkeypatch, capsys):
    monkeypatch.setattr(cache_settings, "IN_MEMORY", 0)
    monkeypatch.setenv("NAS_PEFT_CACHE", str(folder))
    with StageBars() as bars:
        inputs = SearchInputs.load(tiny_config, bars)
    shown = "".join(capsys.readouterr().err.split())
    assert f"decodedimages:221KBin'{entry_of(folder).folder}'" in shown
    assert inputs.dataset.train.images.block.path.parent == entry_of(folder).folder
