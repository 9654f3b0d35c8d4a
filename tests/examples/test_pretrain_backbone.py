"""The pretraining script: a real run on few images, what it writes, and that it goes on after a kill."""

from __future__ import annotations

import importlib.util
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from sweep import sweep
from timm.models.vision_transformer import VisionTransformer

SCRIPT = Path(__file__).parents[2] / "examples" / "pretrain_backbone.py"
SHAPE = ["--image-size=16", "--patch-size=8", "--dim=16", "--depth=2", "--heads=2"]
OPTIMIZER = "--optimizer=muon" if hasattr(torch.optim, "Muon") else "--optimizer=adamw"
SMALL = [*SHAPE, OPTIMIZER, "--epochs=2", "--batch-size=8", "--held-out=6", "--no-compile"]
STEPS = 2 * (30 // 8)


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pretrain_backbone", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script: Any = load_script()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 classes x 12 different images."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label, name in enumerate(["ant", "bee", "cat"]):
        (root / name).mkdir()
        for i in range(12):
            pixels = rng.integers(0, 100, (16, 16, 3)) + 70 * label
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in the same order as a tar."""
    path = tmp_path_factory.mktemp("archive") / "images.tar"
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.rglob("*.png")):
            tar.add(file, file.relative_to(folder))
    return path


def run(data: Path, out: Path, *options: str) -> None:
    assert script.main(["--data", str(data), "--out", str(out), *SMALL, *options]) == 0


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run writes."""
    out = tmp_path_factory.mktemp("undisturbed") / "small.safetensors"
    run(folder, out)
    return out


def metadata(path: Path) -> dict[str, Any]:
    """The metadata, less what a clock says and what the files are called."""
    with safe_open(path, framework="pt") as file:
        read = {key: json.loads(value) for key, value in file.metadata().items()}
    for row in read["history"]:
        assert row.pop("seconds") > 0
    del read["recipe"]["data"], read["recipe"]["out"]
    return read


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = load_file(a), load_file(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that the script says about it."""
    assert script.main(list(argv)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_file_fits_timm_and_is_half_precision(written: Path) -> None:
    model = VisionTransformer(
        img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=3,
        class_token=False, global_pool="avg", fc_norm=False,
    )  # fmt: skip
    weights = load_file(written)
    model.load_state_dict(weights)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    header = 8 + int.from_bytes(written.read_bytes()[:8], "little")
    assert written.stat().st_size <= 2 * sum(p.numel() for p in model.parameters()) + header


def test_metadata(written: Path) -> None:
    read = metadata(written)
    assert read.keys() == {"classes", "recipe", "history"}
    assert read["classes"] == ["ant", "bee", "cat"]
    assert read["recipe"]["dim"] == 16
    assert [row["epoch"] for row in read["history"]] == [1, 2]
    assert all(0 <= row["held_out_accuracy"] <= 1 for row in read["history"])


def test_same_seed_same_weights_folder_or_tar(written: Path, archive: Path, tmp_path: Path) -> None:
    run(archive, tmp_path / "again.safetensors")
    assert_same_weights(written, tmp_path / "again.safetensors")
    assert metadata(written) == metadata(tmp_path / "again.safetensors")


def test_other_seed_other_weights(written: Path, folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "other.safetensors", "--seed=1")
    assert not torch.equal(
        load_file(written)["head.weight"], load_file(tmp_path / "other.safetensors")["head.weight"]
    )


def test_adamw_alone_and_few_steps(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "none.safetensors", "--optimizer=adamw", "--max-steps=2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", sweep([1, STEPS // 2, STEPS // 2 + 1, STEPS - 1], [STEPS // 2]))
def test_killed_and_resumed_equals_undisturbed(
    steps: int, written: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    done = 0

    def augment(*arguments: Any) -> Any:
        nonlocal done
        if done == steps:
            raise Killed
        done += 1
        return original(*arguments)

    original = script.augment
    out = tmp_path / "small.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(script, "augment", augment)
        with pytest.raises(Killed):
            run(folder, out)
    assert not out.exists()
    run(folder, out)
    assert_same_weights(written, out)
    assert metadata(written) == metadata(out)


def test_held_out_images_are_never_trained_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[bytes] = set()

    def augment(images: torch.Tensor, *rest: Any) -> Any:
        seen.update(image.numpy().tobytes() for image in images)
        return original(images, *rest)

    original = script.augment
    monkeypatch.setattr(script, "augment", augment)
    run(folder, tmp_path / "small.safetensors", "--epochs=6")
    images, labels, _ = script.load_images(folder, 16)
    held_out, train = script.split_held_out(len(labels), 6, 0)
    assert not seen & {images[i].numpy().tobytes() for i in held_out}
    assert seen == {images[i].numpy().tobytes() for i in train}


def test_split_has_every_image_once() -> None:
    held_out, train = script.split_held_out(50, 7, 3)
    assert len(held_out) == 7
    assert sorted([*held_out.tolist(), *train.tolist()]) == list(range(50))


def test_augment_moves_each_image_on_its_own() -> None:
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8))
    batch = image.expand(200, -1, -1, -1)
    result = script.augment(batch, 2, torch.Generator().manual_seed(0))
    assert result.dtype == torch.float32
    assert result.shape == batch.shape
    assert result.min() >= -1
    assert result.max() <= 1
    # What may come out: both directions, 5 x 5 places in the image padded by its reflection.
    padded = np.pad(image.numpy(), ((0, 0), (2, 2), (2, 2)), mode="reflect")
    mirrored = np.pad(image.numpy()[:, :, ::-1], ((0, 0), (2, 2), (2, 2)), mode="reflect")
    allowed = {
        source[:, row : row + 16, column : column + 16].tobytes()
        for source in (padded, mirrored)
        for row in range(5)
        for column in range(5)
    }
    found = {((x + 1) * 127.5).round().to(torch.uint8).numpy().tobytes() for x in result}
    assert found <= allowed
    assert len(found) > 40  # of 50


def test_augment_without_shift_keeps_extreme_pixels() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 4)
    result = script.augment(images, 0, torch.Generator().manual_seed(0))
    assert torch.equal(result[0], torch.full((3, 4, 4), -1.0))
    assert torch.equal(result[1], torch.full((3, 4, 4), 1.0))


def test_global_random_state_is_left_alone(folder: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run(folder, tmp_path / "small.safetensors")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_defaults_are_the_shipped_recipe() -> None:
    settings = script.parse(["--data=a", "--out=b"])
    assert (settings.epochs, settings.lr, settings.optimizer) == (28, 3e-3, "muon")
    assert (settings.image_size, settings.patch_size, settings.dim, settings.depth) == (32, 8, 128, 8)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--held-out=36"], "--held-out 36"),
        (["--held-out=0"], "--held-out"),
        (["--batch-size=31"], "--batch-size"),
        (["--patch-size=5"], "--patch-size 5"),
        (["--heads=3"], "--heads 3"),
        (["--epochs=few"], "'few'"),
        (["--lr=nan"], "'nan'"),
        (["--seed=-1"], "'-1'"),
        (["--lr=1e30"], "--lr"),
        (["--epoch-count=3"], "--epoch-count"),
    ],
)
def test_mistaken_options(
    options: list[str], named: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.safetensors"
    assert named in mistake(capsys, "--data", str(folder), "--out", str(out), *SMALL, *options)
    assert not out.exists()


def test_mistaken_data(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out.safetensors"), *SMALL]
    assert "no data" in mistake(capsys, "--data", str(tmp_path / "nowhere"), *out)
    (tmp_path / "empty").mkdir()
    assert "no images" in mistake(capsys, "--data", str(tmp_path / "empty"), *out)
    assert "class directory" in mistake(capsys, "--data", str(folder / "ant"), *out)
    (tmp_path / "no.tar").write_bytes(b"no tar")
    assert "no.tar" in mistake(capsys, "--data", str(tmp_path / "no.tar"), *out)
    (tmp_path / "one" / "ant").mkdir(parents=True)
    (tmp_path / "one" / "ant" / "00.png").write_bytes((folder / "ant" / "00.png").read_bytes())
    assert "one class, 'ant'" in mistake(capsys, "--data", str(tmp_path / "one"), *out)


@pytest.mark.parametrize("as_tar", [False, True])
def test_unreadable_image_is_named(
    as_tar: bool, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "bee" / "00.png").read_bytes()
    for name, data in (("bee/00.png", whole), ("cat/cut.png", whole[: len(whole) // 2])):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_bytes(data)
    source = tmp_path / "data"
    if as_tar:
        source = tmp_path / "data.tar"
        with tarfile.open(source, "w") as tar:
            tar.add(tmp_path / "data", ".")
    said = mistake(capsys, "--data", str(source), "--out", str(tmp_path / "out.safetensors"), *SMALL)
    assert "cat/cut.png' cannot be decoded" in said


def test_torch_without_muon(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    given = ["--data", str(folder), "--out", str(tmp_path / "out.safetensors"), *SMALL]
    assert "--optimizer adamw" in mistake(capsys, *given, "--optimizer=muon")


def test_state_of_other_settings_or_images_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.safetensors"
    given = ["--data", str(folder), "--out", str(out), *SMALL]
    run(folder, out)
    said = mistake(capsys, *given, "--lr=0.5", "--seed=4")
    assert "lr is 0.003 there and 0.5 here, seed is 0 there and 4 here" in said
    others = tmp_path / "others"
    for label, name in enumerate(["ant", "bee", "cat"]):
        (others / name).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (16, 16), (i, label, 0)).save(others / name / f"{i}.png")
    assert "images" in mistake(capsys, "--data", str(others), "--out", str(out), *SMALL)

    state_file = tmp_path / "small.safetensors.state.pt"
    state = torch.load(state_file, weights_only=True)
    del state["settings"]
    torch.save(state, state_file)
    assert "which settings" in mistake(capsys, *given)
    state_file.write_bytes(b"cut short")
    assert "not a readable training state" in mistake(capsys, *given)
