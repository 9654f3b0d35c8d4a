"""torchvision's data sets are read from real files; the packages of the other prefixes are optional and not
installed for the tests, so stand-ins of the same shape take the place of what timm makes from them."""

import struct
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import timm.data
import torch
from sklearn.datasets import load_digits

from nas_peft.data import load_dataset, timm_datasets
from nas_peft.data.timm_datasets import is_timm_name, list_timm_dataset
from search_spaces.errors import InputError


def write_idx(path: Path, array: np.ndarray) -> None:
    """The file format of MNIST: a magic number with type and rank, the sizes, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def mnist(tmp_path) -> Path:
    """A folder with 60 training and 30 test images in the form of MNIST, all of real digits."""
    bunch = load_digits()
    for part, chosen in (("train", slice(0, 60)), ("t10k", slice(60, 90))):
        write_idx(tmp_path / f"MNIST/raw/{part}-images-idx3-ubyte", bunch.images[chosen] * 15)
        write_idx(tmp_path / f"MNIST/raw/{part}-labels-idx1-ubyte", bunch.target[chosen])
    return tmp_path


@pytest.mark.parametrize("spec", ["torch/mnist", "HFDS/cifar10", "wds/x", "hfids/a/b", "tfds/mnist"])
def test_prefixes_are_recognised(spec):
    assert is_timm_name(spec)


@pytest.mark.parametrize("spec", ["torch", "torch/", "mnist", "vtab/mnist", "./torch/mnist"])
def test_other_names_are_not(spec):
    assert not is_timm_name(spec)


def test_a_torchvision_data_set_is_read_from_its_files(mnist, to_tensor):
    data = load_dataset("torch/mnist", to_tensor=to_tensor, root=mnist)
    bunch = load_digits()
    assert data.name == "torch/mnist"
    assert data.classes[:2] == ("0 - zero", "1 - one")
    assert data.record["counts"] == {"train": 48, "val": 12, "test": 30}
    assert data.record["splits"]["test"] == "given"
    assert data.record["splits"]["val"] == "stratified split of train, 20%, seed 0"
    assert data.test.open("now").labels.tolist() == bunch.target[60:90].tolist()


def test_an_item_of_torchvision_is_its_image(mnist):
    listing = list_timm_dataset("torch/mnist", mnist, lambda image: np.asarray(image))
    item = listing.train[7]
    assert item.name == "torch/mnist train[7]"
    assert np.array_equal(item.load()[..., 0], load_digits().images[7] * 15)


@pytest.mark.parametrize(
    "dataset",
    [
        SimpleNamespace(targets=[4, 0, 2]),
        SimpleNamespace(targets=torch.tensor([4, 0, 2])),
        SimpleNamespace(targets=torch.tensor([[4, 9, 9], [0, 9, 9], [2, 9, 9]])),
        SimpleNamespace(index=[(4, "a.jpg"), (0, "b.jpg"), (2, "c.jpg")]),
    ],
    ids=["CIFAR", "MNIST", "QMNIST", "INaturalist"],
)
def test_labels_are_read_from_each_form_torchvision_keeps_them_in(dataset):
    assert timm_datasets._torchvision_labels(dataset) == [4, 0, 2]


def test_an_unknown_torchvision_data_set_is_named(tmp_path, to_tensor):
    with pytest.raises(InputError, match=r"unknown torchvision data set 'mnst'; did you mean 'mnist'\?"):
        list_timm_dataset("torch/mnst", tmp_path, to_tensor)


@pytest.mark.parametrize("name", ["folder", "image_folder"])
def test_a_folder_is_given_by_its_path(tmp_path, to_tensor, name):
    with pytest.raises(InputError, match="give the path of the folder itself"):
        list_timm_dataset(f"torch/{name}", tmp_path, to_tensor)


def test_a_download_without_network_is_one_line_with_the_remedy(tmp_path, to_tensor, monkeypatch):
    def unreachable(*args, **options):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(InputError, match=r"'torch/mnist' cannot be opened.*no route to host") as caught:
        list_timm_dataset("torch/mnist", tmp_path, to_tensor)
    message = str(caught.value)
    assert message.endswith(f"check the name and the network, or put its files into '{tmp_path}'")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("spec", "package"),
    [
        ("hfds/cifar10", "datasets"),
        ("hfids/cifar10", "datasets"),
        ("wds/shards", "webdataset"),
        ("tfds/mnist", "tensorflow-datasets tensorflow"),
    ],
)
def test_a_missing_package_is_named(to_tensor, monkeypatch, spec, package):
    monkeypatch.setattr(timm_datasets, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"'{spec}' needs a package .*: pip install {package}$"):
        list_timm_dataset(spec, None, to_tensor)


@pytest.mark.parametrize("prefix", ["hfds", "hfids", "wds", "tfds"])
def test_the_splits_that_exist_become_the_parts(stand_in, rows, tmp_path, to_tensor, prefix):
    stand_in({"train": rows(6), "validation": rows(4, 50), "test": rows(2, 90)})
    (tmp_path / "_info.json").write_text("{}")
    data = load_dataset(f"{prefix}/insects", to_tensor=to_tensor, root=tmp_path)
    assert data.classes == ("ant", "bee")
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.val.images[:, 0, 0, 0].tolist() == [50, 51, 52, 53]
    assert data.val.labels.tolist() == [0, 1, 0, 1]
    assert data.test.open("now").images[:, 0, 0, 0].tolist() == [90, 91]
    assert set(data.record["splits"].values()) == {"given"}


@pytest.mark.parametrize("prefix", ["hfds", "hfids", "wds", "tfds"])
def test_splits_that_do_not_exist_are_made(stand_in, rows, tmp_path, to_tensor, prefix):
    stand_in({"train": rows(20), "valid": rows(10, 50)})
    (tmp_path / "_info.json").write_text("{}")
    data = load_dataset(f"{prefix}/insects", to_tensor=to_tensor, root=tmp_path)
    assert len(data.test) == 6
    assert data.record["splits"]["test"] == "stratified split of train and val, 20%, seed 0"


def test_columns_are_found_by_their_type(stand_in, rows, to_tensor):
    made = stand_in({"train": rows(6)}, features={"picture": "image", "kind": "class", "note": "text"})
    list_timm_dataset("hfds/insects", None, to_tensor)
    assert made.opened == [
        ("hfds/insects", "train", None, {"input_key": "picture", "target_key": "kind"}),
    ]


@pytest.mark.parametrize(
    ("features", "chosen"),
    [
        ({"img": "image", "coarse_label": "class", "fine_label": "class"}, "fine_label"),
        ({"img": "image", "other": "class", "label": "text"}, "label"),
    ],
)
def test_the_usual_label_columns_come_first(stand_in, rows, to_tensor, features, chosen):
    made = stand_in({"train": rows(6)}, features=features)
    list_timm_dataset("hfds/insects", None, to_tensor)
    assert made.opened[0][3]["target_key"] == chosen


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"a": "image", "b": "image", "label": "class"}, "has 2 image columns among a, b, label"),
        ({"label": "class"}, "has 0 image columns among label"),
        ({"img": "image", "a": "class", "b": "class"}, "no column of class labels among img, a, b"),
        (None, "does not name its columns as a stream; use hfds/insects"),
    ],
)
def test_columns_that_cannot_be_told_are_an_error(stand_in, rows, to_tensor, features, message):
    stand_in({"train": rows(6)}, features=features)
    with pytest.raises(InputError, match=message):
        list_timm_dataset("hfids/insects", None, to_tensor)


def test_test_images_without_labels_are_not_used_and_the_record_says_so(stand_in, rows, to_tensor):
    stand_in({"train": rows(20), "test": [(rows(1, 9)[0][0], -1), (rows(1, 8)[0][0], -1)]})
    data = load_dataset("hfds/insects", to_tensor=to_tensor)
    assert len(data.test) == 4
    assert data.record["ignored"] == ["split 'test': its images have no labels"]


def test_other_images_without_labels_are_an_error(stand_in, rows, to_tensor):
    stand_in({"train": [*rows(4), (rows(1, 9)[0][0], -1)]})
    with pytest.raises(InputError, match=r"'hfds/insects train\[4\]' has no label \(-1\)"):
        list_timm_dataset("hfds/insects", None, to_tensor)


@pytest.mark.parametrize(("label", "shown"), [("bee", "'bee'"), (None, "None"), ([0, 1], r"\[0, 1\]")])
@pytest.mark.parametrize("prefix", ["hfds", "tfds"])
def test_labels_that_are_no_numbers_are_an_error(stand_in, rows, to_tensor, prefix, label, shown):
    stand_in({"train": [*rows(4), (rows(1, 9)[0][0], label)]})
    with pytest.raises(InputError, match=f"has label {shown}; one whole number per image is needed"):
        list_timm_dataset(f"{prefix}/insects", None, to_tensor)


def test_classes_without_names_are_called_by_number(stand_in, rows, to_tensor):
    stand_in({"train": [*rows(4), (rows(1, 9)[0][0], np.int64(2))]}, classes={})
    assert list_timm_dataset("tfds/insects", None, to_tensor).classes == ("0", "1", "2")


def test_what_lies_in_the_current_folder_is_no_part_of_a_stream(
    stand_in, rows, to_tensor, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    versions = []
    for name in ("one", "two"):
        stand_in({"train": rows(6)})
        versions.append(list_timm_dataset("tfds/insects", None, to_tensor).version)
        (tmp_path / name).write_text("of no data set")
    assert versions[0] == versions[1]


def test_a_label_beyond_the_names_is_an_error(stand_in, rows, to_tensor):
    stand_in({"train": [*rows(4), (rows(1, 9)[0][0], 2)]})
    with pytest.raises(InputError, match="has label 2 but names 2 classes only"):
        list_timm_dataset("hfds/insects", None, to_tensor)


def test_a_bad_image_is_never_replaced_by_its_neighbour(stand_in, rows, to_tensor):
    images = [*rows(19), (b"broken", 1), *rows(6, 50)]
    stand_in({"train": images})
    with pytest.raises(InputError, match=r"image 'hfds/insects train\[19\]' cannot be decoded"):
        load_dataset("hfds/insects", to_tensor=to_tensor)
    data = load_dataset("hfds/insects", to_tensor=to_tensor, skip_bad_images=True)
    assert data.record["skipped"] == ["hfds/insects train[19]"]
    assert sum(data.record["counts"].values()) == 25


def test_a_bad_image_of_torchvision_is_named(mnist, to_tensor, monkeypatch):
    from torchvision.datasets import MNIST

    whole = MNIST.__getitem__
    monkeypatch.setattr(
        MNIST, "__getitem__", lambda self, index: whole(self, index if index != 3 else fail())
    )
    with pytest.raises(InputError, match=r"'torch/mnist train\[3\]' cannot be decoded: truncated"):
        list_timm_dataset("torch/mnist", mnist, to_tensor).train[3].load()


def fail():
    raise OSError("truncated")


def test_a_stream_that_loses_images_is_an_error(stand_in, rows, tmp_path, to_tensor):
    stand_in({"train": rows(6)}, declared=7)
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(InputError, match="declares 7 images in 'train' and yields 6"):
        list_timm_dataset("wds/insects", tmp_path, to_tensor)


def test_a_stream_that_breaks_says_where(stand_in, rows, to_tensor, monkeypatch):
    stand_in({"train": rows(3)})
    working = timm.data.create_dataset

    def breaking(*args, **options):
        stream = working(*args, **options)
        stream.rows = broken_after(stream.rows)
        return stream

    def broken_after(whole):
        yield from whole
        raise ConnectionError("reset\nby peer")

    monkeypatch.setattr(timm.data, "create_dataset", breaking)
    with pytest.raises(
        InputError, match="cannot be read beyond image 3 of 'train': ConnectionError: reset by peer"
    ):
        list_timm_dataset("tfds/insects", None, to_tensor)


def test_web_data_sets_need_their_folder_with_its_list(stand_in, rows, tmp_path, to_tensor):
    stand_in({"train": rows(3)})
    with pytest.raises(InputError, match="needs the folder of its shards: give it with --data-root"):
        list_timm_dataset("wds/insects", None, to_tensor)
    with pytest.raises(InputError, match=r"has no _info.json in '"):
        list_timm_dataset("wds/insects", tmp_path, to_tensor)


@pytest.mark.parametrize("prefix", ["hfds", "tfds"])
def test_what_timm_raises_becomes_one_line(stand_in, rows, to_tensor, prefix):
    stand_in({"test": rows(3)})
    with pytest.raises(InputError, match="cannot be opened: ValueError: Unknown split train and more; check"):
        list_timm_dataset(f"{prefix}/insects", None, to_tensor)


def test_the_packages_are_named_as_they_import():
    assert find_spec(timm_datasets.PACKAGES["torch"][0]) is not None
    assert timm_datasets.TIMM_PREFIXES == ("torch", "hfds", "hfids", "wds", "tfds")
