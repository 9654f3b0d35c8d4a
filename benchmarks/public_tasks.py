"""Write public data sets as tasks in the form of VTAB-1k: CIFAR-100, Caltech-101 and ten textures of DTD.

::

    python -m benchmarks.public_tasks --root downloads/ --out data/ --download

writes the folders ``cifar100``, ``caltech101`` and ``dtd10`` to ``--out``, for ``--dataset`` of ``nas-peft``
and ``--task`` of the benchmarks. torchvision reads the data sets from ``--root``, and with ``--download``
fetches missing files (https://www.cs.toronto.edu/~kriz/cifar.html, https://data.caltech.edu/records/mzrjq-6wc02,
https://www.robots.ox.ac.uk/~vgg/data/dtd/). Parts are drawn with a fixed seed of this module, so accuracies
on these tasks are comparable with each other, but not with those published for VTAB-1k.

- ``cifar100``: 10 training images of each class (800 + 200), 5,000 images of the test set, PNG.
- ``caltech101``: 10 images of each class (808 + 202), 5,000 of the others for testing, JPEG, short side 64
  pixels, without the background class.
- ``dtd10``: the first ten classes of DTD, 800 images (640 + 160) and the other 400 for testing, JPEG, short
  side 64 pixels.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness.command_line import StudyParser, exit_status
from nas_peft.data.splits import draw_per_class
from search_spaces import InputError
from search_spaces.errors import unknown_name
from search_spaces.streams import stream

SHORT_SIDE, JPEG_QUALITY = 64, 92
_PER_CLASS, _TEST = 10, 5000
_DTD_CLASSES, _DTD_TRAIN = 10, 800
_VAL = 0.2  # share of the training images

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """Images of a data set that a task is drawn from.

    Attributes:
        image: function from an index to the image, in any mode.
        labels: labels of all images, shape ``(N,)``.
        classes: names in label order.
        train: indices that the training and validation parts may take.
        test: indices that the test part may take; images taken for training are left out.
        original: whether pixels are kept, as PNG; else images are JPEG with a short side of 64 pixels.
    """

    image: Callable[[int], Image.Image]
    labels: Indices
    classes: tuple[str, ...]
    train: Indices
    test: Indices
    original: bool = False


def cifar100(root: Path, download: bool) -> Source:
    """CIFAR-100. torchvision checks the MD5 of its files before it unpickles them."""
    from torchvision.datasets import CIFAR100

    parts = [CIFAR100(root, train=train, download=download) for train in (True, False)]
    pixels = np.concatenate([part.data for part in parts])
    labels = np.array([label for part in parts for label in part.targets], dtype=np.int64)
    everything, first = np.arange(len(labels)), len(parts[0])
    return Source(
        lambda index: Image.fromarray(pixels[index]),
        labels,
        tuple(parts[0].classes),
        everything[:first],
        everything[first:],
        original=True,
    )


def caltech101(root: Path, download: bool) -> Source:
    """Caltech-101 without the background class."""
    from torchvision.datasets import Caltech101

    images = Caltech101(root, download=download)
    everything = np.arange(len(images))
    labels = np.array(images.y, dtype=np.int64)
    return Source(lambda index: images[index][0], labels, tuple(images.categories), everything, everything)


def dtd10(root: Path, download: bool) -> Source:
    """The first ten classes of DTD in alphabetical order, all images of its three parts."""
    from torchvision.datasets import DTD

    parts: list[Any] = [DTD(root, split=split, download=download) for split in ("train", "val", "test")]
    classes = tuple(parts[0].classes[:_DTD_CLASSES])
    items = [
        (part, index, label)
        for part in parts
        for index, label in enumerate(part._labels)
        if label < len(classes)
    ]
    everything = np.arange(len(items))
    return Source(
        lambda index: items[index][0][items[index][1]][0],
        np.array([label for _, _, label in items], dtype=np.int64),
        classes,
        everything,
        everything,
    )


TASKS: dict[str, Callable[[Path, bool], Source]] = {
    "cifar100": cifar100,
    "caltech101": caltech101,
    "dtd10": dtd10,
}


def draw_parts(name: str, source: Source, seed: int) -> dict[str, Indices]:
    """Indices of the parts ``train``, ``val`` and ``test``, each in a random order.

    ``dtd10`` is drawn over all classes together, the other tasks class by class.
    """
    rng = stream(seed, "public task", name)
    if name == "dtd10":
        chosen = rng.permutation(source.train)[:_DTD_TRAIN]
    else:
        chosen = source.train[draw_per_class(source.labels[source.train], _PER_CLASS, rng)]
    chosen = rng.permutation(chosen)
    test = rng.permutation(np.setdiff1d(source.test, chosen))[:_TEST]
    first = len(chosen) - round(_VAL * len(chosen))
    return {"train": chosen[:first], "val": chosen[first:], "test": test}


def write_task(name: str, source: Source, out: Path, seed: int) -> None:
    """Write the task folder ``out``, which appears whole or not at all.

    Raises `InputError` if the folder exists.
    """
    if out.exists():
        raise InputError(f"'{out}' is there already; give another --out, or remove it")
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():  # of a run that was killed
        shutil.rmtree(partial)
    (partial / "images").mkdir(parents=True)
    parts = draw_parts(name, source, seed)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for start, indices in (
        ("train", np.concatenate([parts["train"], parts["val"]])),
        ("test", parts["test"]),
    ):
        for number, index in enumerate(indices.tolist()):
            path = f"images/{start}_{number:05}.{'png' if source.original else 'jpg'}"
            _save(source.image(index).convert("RGB"), partial / path, source.original)
            lines[start].append(f"{path} {source.labels[index]}\n")
    first = len(parts["train"])
    for file, part in (
        ("train800.txt", lines["train"][:first]),
        ("val200.txt", lines["train"][first:]),
        ("train800val200.txt", lines["train"]),
        ("test.txt", lines["test"]),
        ("classes.txt", [f"{label}\n" for label in source.classes]),
    ):
        (partial / file).write_text("".join(part), encoding="utf-8")
    partial.rename(out)


def _save(image: Image.Image, path: Path, original: bool) -> None:
    if original:
        image.save(path)
        return
    scale = SHORT_SIDE / min(image.size)
    width, height = (max(SHORT_SIDE, round(side * scale)) for side in image.size)
    image.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=JPEG_QUALITY)


def run(argv: Sequence[str]) -> None:
    """Write the tasks of the command line. Raises `InputError`."""
    parser = StudyParser("public_tasks", "Write public data sets as tasks in the form of VTAB-1k.")
    add = parser.add_argument
    add(
        "--root",
        type=Path,
        required=True,
        help="folder of torchvision's data sets, read or downloaded",
    )
    add("--out", type=Path, required=True, help="folder that the task folders are written to")
    add("--task", action="append", help="cifar100, caltech101 or dtd10; repeat for more (all three)")
    add("--download", action="store_true", help="download missing data sets")
    add("--seed", type=int, default=0, help="seed that parts are drawn with (%(default)s)")
    args = parser.parse_args(argv)
    names = args.task or list(TASKS)
    for name in names:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
        if (args.out / name).exists():
            raise InputError(f"'{args.out / name}' is there already; give another --out, or remove it")
    for name in names:
        try:
            source = TASKS[name](args.root, args.download)
        # URLError is an OSError; torchvision raises RuntimeError for files that are missing or damaged.
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"data set '{name}' cannot be read from '{args.root}': {' '.join(str(error).split())}; "
                "put its files there, or give --download with a network"
            ) from error
        write_task(name, source, args.out / name, args.seed)
        print(f"{args.out / name}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
