"""Data sets that timm opens by name: torchvision, Hugging Face, WebDataset and TensorFlow Datasets."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_peft.data.decoding import UnreadableImage, read_image, to_rgb
from nas_peft.data.home_folder import expanded
from nas_peft.data.listing import Item, Listing, ToTensor
from nas_peft.data.source_digest import files_digest
from nas_peft.data.stream_store import StreamStore, contents_digest
from search_spaces.errors import InputError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

# For each prefix, the module that timm imports and the packages to install.
PACKAGES = {
    "torch": ("torchvision", "torchvision"),
    "hfds": ("datasets", "datasets"),
    "hfids": ("datasets", "datasets"),
    "wds": ("webdataset", "webdataset"),
    "tfds": ("tensorflow_datasets", "tensorflow-datasets tensorflow"),
}
TIMM_PREFIXES = tuple(PACKAGES)

# torchvision's data sets, and the split that serves as the test set: the test labels of the last four are not
# public, so papers test on their validation split.
TORCHVISION_TEST = {
    "cifar10": "test",
    "cifar100": "test",
    "mnist": "test",
    "kmnist": "test",
    "fashion_mnist": "test",
    "qmnist": "test",
    "imagenet": "validation",
    "places365": "validation",
    "inaturalist": "validation",
    "inat": "validation",
}
_TORCHVISION_ROOT = Path("~/.cache/nas-peft/torchvision")

_VAL_NAMES = ("validation", "valid", "val", "dev")
_SHARD_LISTS = ("_info.json", "info.json")
_LABEL_COLUMNS = ("label", "fine_label")


def is_timm_name(spec: str) -> bool:
    """Whether ``spec`` is one of the prefixes followed by a name."""
    prefix, _, name = spec.partition("/")
    return prefix.lower() in PACKAGES and bool(name)


def list_timm_dataset(
    spec: str, root: Path | None, to_tensor: ToTensor, streams: StreamStore | None = None
) -> Listing:
    """The images of a data set that ``timm.data.create_dataset`` knows.

    Images are decoded here and not by timm, which replaces an image that it cannot read with another image.
    The streams (``hfids/``, ``wds/``, ``tfds/``) have no random access and are read whole.

    Args:
        spec: ``torch/``, ``hfds/``, ``hfids/``, ``wds/`` or ``tfds/``, and the data set's name there.
        root: folder of the data, also for downloads; all prefixes but ``wds/`` have a default.
        to_tensor: preprocessing of the backbone.
        streams: keeps the images of streams; by default in memory.

    Raises:
        InputError: the package for that prefix is not installed, the data set is unknown or cannot be
            fetched, or it has no class labels.
    """
    prefix, _, name = spec.partition("/")
    prefix = prefix.lower()
    module, package = PACKAGES[prefix]
    if find_spec(module) is None:
        raise InputError(f"data set '{spec}' needs a package that is not installed: pip install {package}")
    if prefix == "torch":
        return _list_torchvision(spec, name.lower(), root, to_tensor)
    if prefix == "hfds":
        return _list_hugging_face(spec, name, root, to_tensor)
    if prefix == "wds":
        _check_shards(spec, root)
    return _list_stream(spec, prefix, name, root, to_tensor, streams or StreamStore())


def _open(spec: str, split: str, root: Path | None, **options: object) -> Any:
    from timm.data import create_dataset

    try:
        return create_dataset(spec, root=None if root is None else str(root), split=split, **options)
    # Five libraries are behind this call, and their errors have no common class below Exception.
    except Exception as error:
        raise _cannot(spec, "opened", error, root) from error


def _cannot(spec: str, what: str, error: Exception, root: Path | None) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    where = "" if root is None else f", or put its files into '{root}'"
    return InputError(
        f"data set '{spec}' cannot be {what}: {type(error).__name__}: {reason}; "
        f"check the name and the network{where}"
    )


def _list_torchvision(spec: str, name: str, root: Path | None, to_tensor: ToTensor) -> Listing:
    if name in ("folder", "image_folder"):
        raise InputError(f"data set '{spec}' names no data; give the path of the folder itself")
    if name not in TORCHVISION_TEST:
        raise unknown_name("torchvision data set", name, TORCHVISION_TEST)
    folder = expanded(root or _TORCHVISION_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    train = _open_or_download(spec, "train", folder)
    test_split = TORCHVISION_TEST[name]
    test = _open_or_download(spec, test_split, folder)
    names = train.all_categories if hasattr(train, "all_categories") else train.classes
    return Listing(
        spec,
        f"torchvision: {name}",
        tuple(", ".join(n) if isinstance(n, tuple) else str(n) for n in names),
        _indexed(f"{spec} train", _torchvision_labels(train), _torchvision_loader(train, to_tensor)),
        None,
        _indexed(f"{spec} {test_split}", _torchvision_labels(test), _torchvision_loader(test, to_tensor)),
        origin={"test": f"given as '{test_split}'"} if test_split != "test" else {},
        version=files_digest(sorted(path for path in folder.rglob("*") if path.is_file())),
    )


def _open_or_download(spec: str, split: str, root: Path) -> Any:
    # Some torchvision classes raise when told to download files that are there, so local files come first.
    try:
        return _open(spec, split, root, download=False)
    except InputError:
        return _open(spec, split, root, download=True)


def _torchvision_labels(dataset: Any) -> list[int]:
    if hasattr(dataset, "targets"):
        # QMNIST has a row of values for each image, the label first.
        return [int(target[0]) if getattr(target, "ndim", 0) else int(target) for target in dataset.targets]
    return [int(category) for category, _ in dataset.index]


def _torchvision_loader(dataset: Any, to_tensor: ToTensor) -> Callable[[int, str], Tensor]:
    def load(index: int, name: str) -> Tensor:
        try:
            image, _ = dataset[index]
        except (OSError, SyntaxError, ValueError) as error:
            raise UnreadableImage(name, str(error)) from error
        return to_tensor(to_rgb(image, name))

    return load


def _indexed(where: str, labels: Iterable[int], load: Callable[[int, str], Tensor]) -> tuple[Item, ...]:
    def item(index: int, label: int) -> Item:
        name = f"{where}[{index}]"
        return Item(name, label, lambda: load(index, name))

    return tuple(item(index, label) for index, label in enumerate(labels))


def _list_hugging_face(spec: str, name: str, root: Path | None, to_tensor: ToTensor) -> Listing:
    columns = _hugging_face_columns(spec, name, root)

    def open_split(split: str) -> Any:
        return _open(spec, split, root, **columns).reader

    def items(split: str, reader: Any) -> tuple[Item, ...]:
        def load(index: int, where: str) -> Tensor:
            encoded, _ = reader[index]
            with encoded:
                return to_tensor(read_image(encoded, where))

        labels = reader.dataset[columns["target_key"]]
        return _indexed(f"{spec} {split}", _whole_numbers(spec, labels), load)

    train = open_split("train")
    listing = _listing(
        spec,
        f"Hugging Face: {name}",
        list(train.class_to_idx),
        set(train.dataset.info.splits or ()),
        lambda split: items(split, train if split == "train" else open_split(split)),
    )
    # the files of all splits are in one folder
    files = [Path(file["filename"]) for file in getattr(train.dataset, "cache_files", ())]
    folders = sorted({file.parent for file in files})
    beside = [path for folder in folders for path in sorted(folder.glob("*.arrow"))]
    return replace(listing, version=files_digest(beside) if beside else None)


def _hugging_face_columns(spec: str, name: str, root: Path | None) -> dict[str, str]:
    """Arguments of timm for the image and label columns, whose names differ between data sets."""
    datasets = importlib.import_module("datasets")
    cache = None if root is None else str(root)
    try:
        if spec.lower().startswith("hfids/"):
            features = datasets.load_dataset_builder(name, cache_dir=cache).info.features
        else:
            features = datasets.load_dataset(name, split="train", cache_dir=cache).features
    # The library raises its own errors, and those of file systems and the network.
    except Exception as error:
        raise _cannot(spec, "opened", error, root) from error
    if features is None:
        raise InputError(f"data set '{spec}' does not name its columns as a stream; use hfds/{name}")
    images = [key for key, feature in features.items() if isinstance(feature, datasets.Image)]
    if len(images) != 1:
        raise InputError(
            f"data set '{spec}' has {len(images)} image columns among {', '.join(features)}; "
            "exactly one is needed"
        )
    named = [key for key, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    label = next((key for key in _LABEL_COLUMNS if key in features), named[0] if len(named) == 1 else None)
    if label is None:
        raise InputError(
            f"data set '{spec}' has no column of class labels among {', '.join(features)}; "
            "a column 'label', or exactly one of type ClassLabel, is needed"
        )
    return {"input_key": images[0], "target_key": label}


def _check_shards(spec: str, root: Path | None) -> None:
    if root is None:
        raise InputError(f"data set '{spec}' needs the folder of its shards: give it with --data-root")
    if not any((root / name).is_file() for name in _SHARD_LISTS):
        raise InputError(
            f"data set '{spec}' has no {_SHARD_LISTS[0]} in '{root}'; write one that names the splits and "
            "their shards, as timm describes for web data sets"
        )


def _list_stream(
    spec: str, prefix: str, name: str, root: Path | None, to_tensor: ToTensor, streams: StreamStore
) -> Listing:
    options: dict[str, object] = {"is_training": False, "batch_size": 1}
    if prefix == "tfds":
        # TensorFlow decodes these to RGB arrays itself.
        options |= {"download": True, "input_img_mode": "RGB"}
    else:
        options |= {"input_img_mode": ""}
    if prefix == "hfids":
        # The reader insists on a length, for learning-rate schedules; reading to the end needs none.
        options |= {"num_samples": 1, **_hugging_face_columns(spec, name, root)}

    reader = _open(spec, "train", root, **options).reader
    version = _version_of_stream(spec, prefix, root, reader)

    def items(split: str) -> tuple[Item, ...]:
        dataset = _open(spec, split, root, **options)
        declared = None if prefix == "hfids" else dataset.reader.num_samples

        def images() -> Iterator[tuple[str, int, Tensor]]:
            read = 0
            try:
                for image, label in dataset:
                    where = f"{spec} {split}[{read}]"
                    yield where, _whole_numbers(spec, [label])[0], to_tensor(to_rgb(image, where))
                    read += 1
            except InputError:
                raise
            # As in _open: any of the libraries, any of their errors.
            except Exception as error:
                raise _cannot(spec, f"read beyond image {read} of '{split}'", error, root) from error
            if prefix == "wds" and declared != read:
                # webdataset skips images that it cannot decode, with a log message at most.
                raise InputError(
                    f"data set '{spec}' declares {declared} images in '{split}' and yields {read}; repair "
                    "unreadable images, or correct the declared number"
                )

        own = None if version is None else hashlib.sha256(f"{version} {split}".encode()).hexdigest()
        return streams.items(images, own, declared)

    splits = reader.info.get("splits", {}) if prefix == "wds" else reader.builder.info.splits
    listing = _listing(spec, f"timm: {spec}", list(reader.class_to_idx), set(splits or ()), items)
    if version is None:
        version = contents_digest(item for _, of in listing.parts() for item in of)
    return replace(listing, version=version)


def _version_of_stream(spec: str, prefix: str, root: Path | None, reader: Any) -> str | None:
    """A digest of the files of a stream; ``None`` for one that comes over the network."""
    if prefix == "hfids":
        return None
    place = root if prefix == "wds" else getattr(reader.builder, "data_path", None)
    if place is None or not Path(place).is_dir():
        return None
    folder = Path(place)
    files = files_digest(sorted(path for path in folder.rglob("*") if path.is_file()))
    return hashlib.sha256(f"{spec} {files}".encode()).hexdigest()


def _listing(
    spec: str, source: str, names: list[str], splits: set[str], items: Callable[[str], tuple[Item, ...]]
) -> Listing:
    train = items("train")
    val_split = next((name for name in _VAL_NAMES if name in splits), None)
    val = None if val_split is None else items(val_split)
    test = items("test") if "test" in splits else None
    origin = {} if val_split in (None, "validation", "val") else {"val": f"given as '{val_split}'"}
    ignored: tuple[str, ...] = ()
    # Benchmarks hide the labels of their test images; such images cannot be tested on.
    if test is not None and all(item.label < 0 for item in test):
        test, ignored = None, ("split 'test': its images have no labels",)
    every = [*train, *(val or ()), *(test or ())]
    nameless = next((item for item in every if item.label < 0), None)
    if nameless is not None:
        raise InputError(
            f"image '{nameless.name}' has no label ({nameless.label}); "
            "every image of train and val needs one, and every image of test or none"
        )
    highest = max((item.label for item in every), default=-1)
    classes = tuple(names) or tuple(str(label) for label in range(highest + 1))
    if highest >= len(classes):
        raise InputError(f"data set '{spec}' has label {highest} but names {len(classes)} classes only")
    return Listing(spec, source, classes, train, val, test, origin, ignored)


def _whole_numbers(spec: str, labels: Iterable[Any]) -> list[int]:
    numbers = []
    for label in labels:
        # NumPy's integers are not int, but have __index__ like the whole numbers of any library.
        if not hasattr(label, "__index__"):
            raise InputError(f"data set '{spec}' has label {label!r}; one whole number per image is needed")
        numbers.append(int(label))
    return numbers
