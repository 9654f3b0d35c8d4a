import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sweep import sweep

from nas_peft.data import ImageDataset, load_dataset
from nas_peft.data.cache_entry import RECORD, CacheEntry, StoredFile, digest_of
from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.data_cache import DataCache
from nas_peft.data.use_lock import in_use
from search_spaces.errors import InputError

PROBES = 3  # pictures by which a preprocessing is recognised


@pytest.fixture
def folder(tmp_path, write_classes) -> Path:
    write_classes(tmp_path / "pets", {"cat": 10, "dog": 15})
    return tmp_path / "pets"


@dataclass
class Loads:
    """Loads a data set through a cache that keeps any size, and counts the decoded images."""

    folder: Path
    cache: Path
    to_tensor: Callable
    decoded: int = 0
    said: list[str] = field(default_factory=list)

    def __call__(self, **options) -> ImageDataset:
        self.decoded, self.said = 0, []

        def counted(image):
            self.decoded += image.size == (6, 5)
            return self.to_tensor(image)

        settings = CacheSettings(self.cache, options.pop("limit", None), smallest=0)
        options = {"cache": settings, "say": self.said.append} | options
        return load_dataset(str(self.folder), to_tensor=counted, **options)

    @property
    def entry(self) -> CacheEntry:
        (found,) = DataCache(self.cache, 10**9, False).entries()
        return found


@pytest.fixture
def load(folder, tmp_path, to_tensor) -> Loads:
    return Loads(folder, tmp_path / "cache", to_tensor)


def same(a: ImageDataset, b: ImageDataset) -> bool:
    """Whether two data sets are equal to the last bit, with the test parts, which are then open."""
    parts = [(a.train, b.train), (a.val, b.val), (a.test.open("now"), b.test.open("now"))]
    return (a.record, a.fingerprint) == (b.record, b.fingerprint) and all(
        torch.equal(x.images[:], y.images[:]) and torch.equal(x.labels, y.labels) for x, y in parts
    )


@pytest.mark.parametrize("drop", [False, True])
def test_stored_images_are_those_of_memory_and_are_decoded_once(load, drop):
    shutil.copy(load.folder / "cat" / "003.png", load.folder / "cat" / "0033.png")
    load(drop_duplicates=drop)
    assert load.decoded == 26 + 1  # one for the shape
    again = load(drop_duplicates=drop)
    assert (load.decoded, load.said) == (0, [])
    assert same(again, load(drop_duplicates=drop, cache=CacheSettings(None)))
    assert again.kept == f"1.25 KB in '{load.entry.folder}'"


def test_large_sets_without_a_cache_are_rows_of_memory(load):
    found = load(cache=CacheSettings(None, smallest=0))
    assert found.kept == "in memory, 1.2 KB"
    assert found.train_val.images.block is found.train.images.block
    assert same(found, load(cache=CacheSettings(None)))


def test_small_sets_are_tensors_and_leave_nothing_behind(load):
    found = load(cache=CacheSettings(load.cache))
    assert isinstance(found.train.images, torch.Tensor)
    assert found.kept == ""
    assert not load.cache.exists()


def test_train_and_validation_set_are_one_block_and_the_test_set_another(load):
    data = load()
    block = data.train.images.block
    assert data.train_val.images.block is data.val.images.block is block
    test = load.entry.folder / "test.bin"
    assert block.path.name == "images.bin"
    assert not in_use(test)  # sealed
    opened = data.test.open("now")
    opened.images[:]
    assert opened.images.block.path == test
    assert in_use(test)


def test_seeds_and_shots_share_what_they_have_in_common(load, tmp_path, write_classes):
    for part, number in (("train", 6), ("val", 2), ("test", 3)):
        write_classes(tmp_path / "split" / part, {"cat": number, "dog": number})
    load.folder = tmp_path / "split"
    load(seed=0)
    load(seed=1)
    assert load.decoded == 0
    load(seed=1, shots=2)
    assert load.decoded > 0


@pytest.mark.parametrize("change", ["contents", "name", "preprocessing", "size limit"])
def test_a_change_of_the_source_is_noticed(load, change, write_image):
    before = load()
    options = {}
    if change == "contents":
        write_image(load.folder / "cat" / "000.png", (200, 0, 0))
    elif change == "name":
        (load.folder / "cat" / "000.png").rename(load.folder / "cat" / "999.png")
    elif change == "preprocessing":
        plain = load.to_tensor
        load.to_tensor = lambda image: plain(image).flip(-1).bitwise_not()
    else:
        options["max_pixels"] = 29
    if change == "size limit":
        with pytest.raises(InputError, match="30 pixels"):
            load(**options)
        return
    assert load(**options).fingerprint != before.fingerprint
    assert load.decoded == 26


def truncated(file: Path) -> None:
    os.truncate(file, 100)


def altered(file: Path) -> None:
    times = file.stat()
    with file.open("rb+") as changed:
        changed.write(b"other")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("harm", [truncated, altered, Path.unlink])
@pytest.mark.parametrize("name", sweep(["images.bin", "test.bin", RECORD]))
def test_damage_is_said_in_one_line_and_mended(load, name, harm):
    load()
    harm(load.entry.folder / name)
    mended = load()
    assert load.decoded == 26
    (line,) = load.said
    assert "are damaged" in line
    assert line.endswith("are decoded anew")
    assert same(mended, load(cache=CacheSettings(None)))
    load()
    assert load.decoded == 0


def test_a_copy_with_other_times_is_read_whole_and_taken(load):
    load()
    os.utime(load.entry.folder / "images.bin", (1, 1))
    load()
    assert (load.decoded, load.said) == (0, [])


def test_a_killed_process_leaves_nothing_that_is_taken_for_an_entry(load):
    load()
    entry = load.entry.folder
    (entry / RECORD).unlink()
    entry.rename(entry.with_suffix(".unfinished"))
    load()
    assert load.decoded == 26
    assert sorted(path.name for path in load.cache.iterdir() if path.is_dir()) == [entry.name]


def test_too_little_disk_is_said_before_anything_is_decoded(load, monkeypatch):
    disk = SimpleNamespace(total=10**9, used=10**9, free=300 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk)
    load()
    disk.free = (256 << 20) + 1000
    shutil.rmtree(load.cache)
    with pytest.raises(InputError) as caught:
        load()
    assert load.decoded == 1
    assert str(caught.value) == (
        f"the decoded images of 'pets' need 1.2 KB in '{load.cache}', and 1 KB of that disk can be used; "
        "make room, or give --cache a folder on another disk, or --cache none to keep them in memory"
    )


def test_a_folder_that_cannot_be_made_is_said(load):
    load.cache.write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written to .*give --cache another folder"):
        load()


def test_a_set_beyond_a_given_limit_is_refused(load):
    with pytest.raises(InputError, match=r"need 1\.2 KB, and the cache's limit is 1 KB"):
        load(limit=1000)


def test_the_longest_unused_set_makes_room_and_one_in_use_stays(load, tmp_path, write_classes):
    first = load(limit=2000)
    kept = load.entry.folder
    write_classes(tmp_path / "birds", {"owl": 12, "jay": 13})
    load.folder = tmp_path / "birds"
    load(limit=2000)
    assert kept.exists()
    del first
    write_classes(tmp_path / "fish", {"cod": 12, "eel": 12})
    load.folder = tmp_path / "fish"
    load(limit=2000)
    assert not kept.exists()
    assert load.entry.name == "fish"


def test_a_second_process_waits_for_the_first(load):
    load()
    key = load.entry.key
    shutil.rmtree(load.cache)
    cache = DataCache(load.cache, 10**9, False)
    with cache.locked(key, lambda sentence: None):
        other = threading.Thread(target=load)
        other.start()
        while not load.said:
            other.join(0.01)
    other.join()
    assert load.said == ["cache: another process is decoding these images; waiting for it"]
    assert load.entry.key == key


def stored(cache: DataCache, key: str) -> CacheEntry:
    """A finished entry of 2,000 bytes of images."""
    folder = cache.folder / key
    folder.mkdir(parents=True)
    files = {}
    for name in ("images.bin", "test.bin"):
        (folder / name).write_bytes(bytes(1000))
        files[name] = StoredFile.of(folder / name, digest_of(folder / name))
    entry = CacheEntry(folder, "pets", "", (3, 1, 1), {"train": 1}, files, {})
    entry.write()
    return entry


def test_one_process_at_a_time_makes_room(tmp_path, monkeypatch):
    """Another one waits, and sees what the first has left."""
    cache = DataCache(tmp_path / "cache", 3000, False)
    first, _ = stored(cache, "a" * 32), stored(cache, "b" * 32)
    os.utime(first.folder / RECORD, (1, 1))
    reached, go_on, real = threading.Event(), threading.Event(), DataCache.remove

    def slow(self, what):
        reached.set()
        go_on.wait(10)
        real(self, what)

    monkeypatch.setattr(DataCache, "remove", slow)
    threads = [threading.Thread(target=cache.make_room, args=(1, "more"), daemon=True) for _ in range(2)]
    threads[0].start()
    assert reached.wait(10)
    threads[1].start()
    threads[1].join(0.5)
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert [entry.key for entry in cache.entries()] == ["b" * 32]


def test_what_another_process_has_removed_counts_nothing(tmp_path, monkeypatch):
    cache = DataCache(tmp_path / "cache", 1, False)
    entry, copy = stored(cache, "a" * 32), cache.copy("c" * 32)
    copy.write_bytes(bytes(10))
    assert cache.nbytes > 2010
    monkeypatch.setattr(DataCache, "entries", lambda self: [entry])
    monkeypatch.setattr(DataCache, "copies", lambda self: [copy])
    shutil.rmtree(entry.folder)
    copy.unlink()
    assert (cache.nbytes, entry.used) == (0, 0)
    cache.make_room(1, "more")


def test_a_lock_that_is_held_is_not_removed(tmp_path):
    """The holder builds a damaged entry anew while another process makes room."""
    cache, key = DataCache(tmp_path / "cache", 1, False), "a" * 32
    stored(cache, key)
    entered = threading.Event()

    def enter():
        with cache.locked(key, lambda sentence: None):
            entered.set()

    with cache.locked(key, lambda sentence: None):
        cache.make_room(1, "more")
        assert not (cache.folder / key).exists()
        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert not entered.wait(0.3)
        (cache.folder / f"{key}.lock").unlink()  # as by an earlier version: whoever waits takes the next file
        with cache.locked(key, lambda sentence: None):
            pass
    thread.join(10)
    assert entered.is_set()
    assert in_use(cache.folder / f"{key}.lock") is False
    stored(cache, key)
    cache.make_room(1, "more")
    assert not (cache.folder / f"{key}.lock").exists()


def test_unreadable_images_are_looked_for_once(load):
    (load.folder / "cat" / "bad.png").write_bytes(b"no image")
    first = load(skip_bad_images=True)
    load(skip_bad_images=True)  # the folder of the cache exists now: they are remembered
    again = load(skip_bad_images=True)
    assert load.decoded == 0
    assert again.record == first.record
    assert [Path(name).name for name in again.record["skipped"]] == ["bad.png"]


@contextmanager
def another_user() -> Iterator[None]:
    """Within it this process has the rights of a user who owns nothing here."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(write_classes, to_tensor) -> Iterator[Loads]:
    """A data set and a cache that every user can read, and root alone can write."""
    if os.geteuid() != 0:
        pytest.skip("only root can take the rights of another user")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        write_classes(folder / "pets", {"cat": 10, "dog": 15})
        yield Loads(folder / "pets", folder / "cache", to_tensor)


def test_a_cache_that_can_only_be_read_is_read(shared):
    first = shared()
    with another_user():
        again = shared()
        assert shared.decoded == 0
        assert same(first, again)
        assert shared(skip_bad_images=True).record["skipped"] == []
    assert list(shared.cache.glob("*.unreadable.json")) == []


def test_an_image_without_permission_is_not_remembered_as_damaged(shared):
    shared.cache.mkdir()
    shared.cache.chmod(0o777)
    file = shared.folder / "cat" / "000.png"
    file.chmod(0)
    with another_user():
        assert shared(skip_bad_images=True).record["skipped"] == [str(file)]
    file.chmod(0o644)
    with another_user():
        assert shared(skip_bad_images=True).record["skipped"] == []
    (shared.folder / "cat" / "bad.png").write_bytes(b"no image")
    with another_user():
        shared(skip_bad_images=True)
    assert len(list(shared.cache.glob("*.unreadable.json"))) == 2  # of the whole set, and with the bad image
