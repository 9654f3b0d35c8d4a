"""What ``--dataset`` can name: the embedded data sets, the forms of folders and files, the names of timm."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from nas_peft.data.embedded import DIGITS
from nas_peft.data.label_table import TABLE_SUFFIXES
from nas_peft.data.structured_tasks import IMAGES, STRUCTURED_TASKS
from nas_peft.data.timm_datasets import PACKAGES, TORCHVISION_TEST


@dataclass(frozen=True)
class EmbeddedSet:
    """A data set that needs no file: its name, what it shows, and its numbers of classes and images."""

    name: str
    about: str
    classes: int
    images: dict[str, int]


@dataclass(frozen=True)
class PathForm:
    """A form of folders or files that is read: the path of an image in it, or of the file itself."""

    path: str
    about: str


@dataclass(frozen=True)
class TimmPrefix:
    """A prefix of timm's names: the library behind it, whether that is installed, and how to install it."""

    prefix: str
    about: str
    installed: bool
    package: str
    names: tuple[str, ...] = ()


def embedded_sets() -> list[EmbeddedSet]:
    """The data sets that come with the package; no image is read."""
    shapes = [
        EmbeddedSet(name, task.what, len(task.classes), dict(IMAGES))
        for name, task in sorted(STRUCTURED_TASKS.items())
    ]
    return [EmbeddedSet("digits", "handwritten digits of scikit-learn", 10, dict(DIGITS)), *shapes]


def path_forms() -> list[PathForm]:
    """The forms of folders and files, each with the options that belong to it."""
    suffixes = ", ".join(TABLE_SUFFIXES)
    return [
        PathForm("FOLDER/CLASS/IMAGE", "one folder for each class; validation and test sets are split off"),
        PathForm(
            "FOLDER/PART/CLASS/IMAGE",
            "parts called train, val and test, or by other usual names; --layout decides where names are "
            "ambiguous",
        ),
        PathForm("FOLDER/DOMAIN/CLASS/IMAGE", "domains, which are pooled; with --domains"),
        PathForm("TABLE", f"a file of paths and labels, and parts if you like ({suffixes})"),
        PathForm(
            "FOLDER/train800.txt",
            "a task folder of VTAB-1k: images/, train800.txt, val200.txt, train800val200.txt and test.txt",
        ),
    ]


def timm_prefixes() -> list[TimmPrefix]:
    """The prefixes of names that ``timm.data.create_dataset`` opens, each with its library."""
    about = {
        "torch": "data sets of torchvision",
        "hfds": "data sets of the Hugging Face hub",
        "hfids": "data sets of the Hugging Face hub, read as a stream",
        "wds": "shards of WebDataset in the folder of --data-root",
        "tfds": "TensorFlow Datasets",
    }
    return [
        TimmPrefix(
            prefix,
            about[prefix],
            find_spec(module) is not None,
            package,
            tuple(TORCHVISION_TEST) if prefix == "torch" else (),
        )
        for prefix, (module, package) in PACKAGES.items()
    ]
