"""The public data sets as tasks: from small stand-ins in the layouts that torchvision reads."""

import hashlib
import pickle  # noqa: TID251 - CIFAR's own format, written here
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR100

from benchmarks import public_tasks
from nas_peft.data import load_dataset
from nas_peft.data.listing import ToTensor
from supernet import Preprocessing, create_backbone

TEXTURES = [f"texture{letter}" for letter in "abcdefghijkl"]


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_caltech(root: Path) -> None:
    """Three classes of 10, 12 and 15 images and the background, one image in grey."""
    for number, (name, count) in enumerate(
        {"ant": 10, "bass": 12, "crab": 15, "BACKGROUND_Google": 3}.items()
    ):
        folder = root / "caltech101" / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for index in range(1, count + 1):
            image = noise(100 * number + index, (40, 20 + index))
            image.convert("L" if index == 1 else "RGB").save(folder / f"image_{index:04}.jpg")


def write_dtd(root: Path) -> None:
    """Twelve classes, of which ten are used, with 4 images in each of the three parts."""
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        names = [f"{texture}/{texture}_{4 * number + i:04}.jpg" for texture in TEXTURES for i in range(4)]
        (base / "labels" / f"{split}1.txt").write_text("".join(f"{name}\n" for name in names))
        for seed, name in enumerate(names):
            (base / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            noise(1000 * number + seed, (90, 70)).save(base / "images" / name)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes, 15 training and 6 test images of each; torchvision's checksums are made theirs."""
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, object]) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    def part(name: str, images: int, seed: int) -> list[list[str]]:
        pixels = np.random.default_rng(seed).integers(0, 256, (images, 3072), dtype=np.uint8)
        return [[name, write(name, {"data": pixels, "fine_labels": [i % 2 for i in range(images)]})]]

    monkeypatch.setattr(CIFAR100, "train_list", part("train", 30, 0))
    monkeypatch.setattr(CIFAR100, "test_list", part("test", 12, 1))
    meta = write("meta", {"fine_label_names": ["apple", "bear"]})
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": meta})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_caltech(tmp_path / "root")
    write_dtd(tmp_path / "root")
    write_cifar(tmp_path / "root", monkeypatch)
    monkeypatch.setattr(public_tasks, "_DTD_TRAIN", 80)
    return tmp_path / "root"


@pytest.fixture(scope="module")
def to_tensor() -> ToTensor:
    return Preprocessing.of(create_backbone("vit_micro_patch8_32").model).to_tensor


def lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text().splitlines()


def test_the_tasks_are_read_as_any_task_folder(root: Path, tmp_path: Path, to_tensor: ToTensor) -> None:
    assert public_tasks.main(["--root", str(root), "--out", str(tmp_path / "out")]) == 0
    expected = {
        "cifar100": (["apple", "bear"], 16, 4, 12, (32, 32)),
        "caltech101": (["ant", "bass", "crab"], 24, 6, 7, None),
        "dtd10": (TEXTURES[:10], 64, 16, 40, (82, 64)),
    }
    for name, (classes, train, val, test, size) in expected.items():
        folder = tmp_path / "out" / name
        data = load_dataset(str(folder), to_tensor=to_tensor)
        assert data.classes == tuple(classes)
        assert data.record["counts"] == {"train": train, "val": val, "test": test}
        assert lines(folder, "train800val200.txt") == lines(folder, "train800.txt") + lines(
            folder, "val200.txt"
        )
        images = sorted((folder / "images").iterdir())
        assert len(images) == train + val + test
        for path in images:
            with Image.open(path) as image:
                assert image.mode == "RGB"
                assert image.size == size if size else min(image.size) == 64


def test_every_image_has_its_own_label(root: Path, tmp_path: Path) -> None:
    """CIFAR's pixels are kept, so that each image can be found in the source."""
    assert public_tasks.main(["--root", str(root), "--out", str(tmp_path), "--task", "cifar100"]) == 0
    known = {
        part.data[i].tobytes(): (train, part.targets[i])
        for train in (True, False)
        for part in [CIFAR100(root, train=train)]
        for i in range(len(part))
    }
    seen = set()
    for file, train in (("train800val200.txt", True), ("test.txt", False)):
        for line in lines(tmp_path / "cifar100", file):
            path, label = line.split()
            pixels = np.asarray(Image.open(tmp_path / "cifar100" / path)).tobytes()
            assert known[pixels] == (train, int(label))
            seen.add(pixels)
    assert len(seen) == 32
    counts = np.bincount(
        [int(line.split()[1]) for line in lines(tmp_path / "cifar100", "train800val200.txt")]
    )
    assert counts.tolist() == [10, 10]


def test_the_same_seed_draws_the_same_parts_and_no_image_twice(root: Path) -> None:
    for name, source_of in public_tasks.TASKS.items():
        source = source_of(root, False)
        drawn = [public_tasks.draw_parts(name, source, seed) for seed in (0, 0, 1)]
        for part in ("train", "val", "test"):
            assert drawn[0][part].tolist() == drawn[1][part].tolist()
        assert drawn[0]["train"].tolist() != drawn[2]["train"].tolist()
        everything = np.concatenate(list(drawn[0].values()))
        assert len(np.unique(everything)) == len(everything)


def test_mistakes_are_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / "dtd10").mkdir(parents=True)
    for arguments, message in (
        (["--task", "dtd"], "unknown task 'dtd'; did you mean 'dtd10'?"),
        (["--task", "caltech101", "--root", str(tmp_path / "empty")], "'caltech101' cannot be read from"),
        (["--task", "dtd10"], "is there already"),
    ):
        assert public_tasks.main(["--root", str(root), "--out", str(tmp_path / "out"), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dtd10"]
