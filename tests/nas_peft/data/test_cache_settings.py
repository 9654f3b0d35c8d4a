from pathlib import Path

import pytest

from nas_peft.data import cache_settings
from nas_peft.data.cache_settings import CacheSettings, default_folder, default_limit, parse_size, size_text
from search_spaces.errors import InputError


def test_an_option_is_stronger_than_the_environment_and_that_than_the_default(tmp_path):
    environment = {"NAS_PEFT_CACHE": str(tmp_path / "b"), "NAS_PEFT_CACHE_LIMIT": "2GB"}
    assert CacheSettings.of(tmp_path / "a", "1GB", environment) == CacheSettings(tmp_path / "a", 10**9)
    assert CacheSettings.of(None, None, environment) == CacheSettings(tmp_path / "b", 2 * 10**9)
    assert CacheSettings.of("none", None, environment).folder is None
    assert CacheSettings.of(None, None, {}).limit is None


@pytest.mark.parametrize(
    ("system", "environment", "folder"),
    [
        ("linux", {}, Path.home() / ".cache/nas-peft/images"),
        ("linux", {"XDG_CACHE_HOME": "/large"}, Path("/large/nas-peft/images")),
        ("linux", {"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/nas-peft/images"),
        ("darwin", {}, Path.home() / "Library/Caches/nas-peft/images"),
    ],
)
def test_the_default_is_in_the_users_cache_folder(monkeypatch, system, environment, folder):
    monkeypatch.setattr(cache_settings.sys, "platform", system)
    assert default_folder(environment) == folder


def test_the_default_limit_is_a_share_of_the_disk_even_before_the_folder_exists(tmp_path):
    assert default_limit(tmp_path / "not" / "yet") == default_limit(tmp_path) > 0


@pytest.mark.parametrize(("text", "number"), [("50GB", 50 * 10**9), ("1.5 mb", 1_500_000), ("0B", 0)])
def test_sizes_are_read(text, number):
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["50", "GB", "-1GB", "1e3MB", ""])
def test_other_sizes_are_refused_with_an_example(text):
    with pytest.raises(InputError, match="such as 50GB or 500MB"):
        parse_size(text)


def test_sizes_are_shown_with_three_digits():
    assert [size_text(n) for n in (5, 9_031_680_000, 64 << 20)] == ["5 B", "9.03 GB", "67.1 MB"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; give a folder to --cache, or none"):
        CacheSettings.of(tmp_path / "file", None, {})
