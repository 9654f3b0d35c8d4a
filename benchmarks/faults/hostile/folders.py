"""Hostile data folders and lists of paths and labels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground, search_words
from benchmarks.faults.hostile.texts import TEXTS, damaged, one_of

_CLASS_NAMES = (
    "",
    " ",
    "train",
    "test",
    "val",
    "unlabeled",
    "[b]x",
    "a\nb",
    "\udcff",
    "💥",
    "a" * 250,
    "-x",
    "ANT",
)


def _renamed(folder: Path, rng: np.random.Generator) -> None:
    name = str(one_of(rng, _CLASS_NAMES[1:]))
    (folder / "ant").rename(folder / name)


def _emptied(folder: Path, rng: np.random.Generator) -> None:
    for file in (folder / "ant").iterdir():
        file.unlink()


def _one_left(folder: Path, rng: np.random.Generator) -> None:
    for file in sorted((folder / "ant").iterdir())[int(rng.integers(1, 3)) :]:
        file.unlink()


def _one_class(folder: Path, rng: np.random.Generator) -> None:
    shutil.rmtree(folder / "ant")


def _no_class(folder: Path, rng: np.random.Generator) -> None:
    for name in ("ant", "bee"):
        shutil.rmtree(folder / name)


def _loop(folder: Path, rng: np.random.Generator) -> None:
    (folder / "ant" / "again").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")


def _dangling(folder: Path, rng: np.random.Generator) -> None:
    (folder / "ant" / "gone.png").symlink_to("/nowhere/gone.png")


def _pipe(folder: Path, rng: np.random.Generator) -> None:
    os.mkfifo(folder / "ant" / "pipe.png")


def _device(folder: Path, rng: np.random.Generator) -> None:
    (folder / "ant" / "zero.png").symlink_to("/dev/zero")


def _folder_as_image(folder: Path, rng: np.random.Generator) -> None:
    (folder / "ant" / "folder.png").mkdir()


def _mixed(folder: Path, rng: np.random.Generator) -> None:
    shutil.copy(folder / "ant" / "0.png", folder / "0.png")
    (folder / "readme.txt").write_text("not an image")


def _parts_and_classes(folder: Path, rng: np.random.Generator) -> None:
    for part in ("train", "test"):
        shutil.copytree(folder / "bee", folder / part / "bee")


def _class_only_in_test(folder: Path, rng: np.random.Generator) -> None:
    for part in ("train", "test", "val"):
        shutil.copytree(folder / "bee", folder / part / "bee")
        shutil.copytree(folder / "ant", folder / part / "ant")
    shutil.copytree(folder / "ant", folder / str(one_of(rng, ("test", "val"))) / "only")
    _no_class(folder, rng)


def _deep(folder: Path, rng: np.random.Generator) -> None:
    deep = folder / "ant" / "/".join(["d" * 20] * 60)
    deep.mkdir(parents=True)
    shutil.copy(folder / "bee" / "0.png", deep / "0.png")


def _task_lists(folder: Path, rng: np.random.Generator) -> None:
    (folder / "images").mkdir()
    for number, name in enumerate(("ant", "bee")):
        for file in (folder / name).iterdir():
            shutil.copy(file, folder / "images" / f"{number}{file.name}")
    lines = "".join(f"images/{number}{i}.png {number}\n" for number in (0, 1) for i in range(5)).encode()
    for name in ("train800.txt", "val200.txt", "train800val200.txt", "test.txt"):
        (folder / name).write_bytes(damaged(rng, lines) if rng.random() < 0.4 else lines)


_CHANGES: tuple[Callable[[Path, np.random.Generator], None], ...] = (
    *(_renamed, _renamed, _emptied, _one_left, _one_class, _no_class, _loop, _dangling, _pipe, _device),
    *(_folder_as_image, _mixed, _parts_and_classes, _class_only_in_test, _deep, _task_lists, _task_lists),
)


def hostile_folder(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A search on a folder that is not what it should be."""
    folder = ground.here / "images"
    shutil.copytree(ground.images, folder)
    change = _CHANGES[int(rng.integers(len(_CHANGES)))]
    change(folder, rng)
    words = search_words(folder, ground.here / "run", {"shots": 1} if rng.random() < 0.2 else None)
    words += [one_of(rng, ("--layout=parts", "--layout=classes", "--domains"))] if rng.random() < 0.4 else []
    words += ["--drop-duplicates"] if rng.random() < 0.2 else []
    return Hostile(change.__name__.strip("_").replace("_", " "), words)


def hostile_list(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A search on a table of paths and labels with wrong cells, headers, bytes or paths."""
    separator = str(one_of(rng, (",", ";", "\t", " ", "|")))
    rows = [
        [str(ground.images / name / f"{number}.png"), name] for name in ("ant", "bee") for number in range(5)
    ]
    if rng.random() < 0.5:
        rows.insert(0, ["path", "label"])
    for _ in range(int(rng.integers(1, 4))):
        at, what = int(rng.integers(len(rows))), int(rng.integers(9))
        wrong = str(one_of(rng, TEXTS))
        rows[at] = (
            [wrong, *rows[at][1:]],
            [rows[at][0], wrong],
            [rows[at][0]],
            [*rows[at], wrong],
            [],
            [rows[at][0], '"' + rows[at][-1]],
            [rows[at][0], "a" * 200_000],
            ["../../../../etc/passwd", rows[at][-1]],
            [rows[at][0] + "\0", rows[at][-1]],
        )[what] or [""]
    text = "\n".join(separator.join(row) for row in rows)
    data = text.encode(str(one_of(rng, ("utf-8", "utf-8", "utf-16", "utf-8-sig"))), "surrogatepass")
    if rng.random() < 0.3:
        data = damaged(rng, data)
    file = ground.here / f"list{one_of(rng, ('.csv', '.tsv', '.txt'))}"
    file.write_bytes(data)
    return Hostile(data[:120].decode("utf-8", "backslashreplace"), search_words(file, ground.here / "run"))
