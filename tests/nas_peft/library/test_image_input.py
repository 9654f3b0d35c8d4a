"""Images as programs have them, and tables of them."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas_peft.data.label_table import list_label_table
from nas_peft.library.image_input import as_sequence, class_names, opened, write_table
from search_spaces import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)


def test_every_form_opens_as_the_same_images(tmp_path: Path):
    for place, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
    paths = sorted(tmp_path.glob("*.png"))
    pictures = [Image.fromarray(pixels) for pixels in PIXELS]
    mixed = [str(paths[0]), pictures[1]]
    objects = np.array([str(path) for path in paths], dtype=object)
    for images in (PIXELS, list(PIXELS), pictures, paths, mixed, objects, tmp_path, str(tmp_path)):
        found = [np.asarray(image) for image in opened(as_sequence(images))]
        assert np.array_equal(np.stack(found), PIXELS)


def test_an_opened_file_is_the_image_of_its_path(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    Image.fromarray(PIXELS[0]).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(PIXELS[0, ..., 0].astype(np.uint16) * 200).save(tmp_path / "deep.png")
    clear = Image.fromarray(PIXELS[0]).copy()
    clear.putalpha(Image.fromarray(PIXELS[1, ..., 0]))
    clear.save(tmp_path / "clear.png")
    paths = sorted(tmp_path.glob("*.png"))
    pictures = [Image.open(path) for path in paths]
    for of_path, picture in zip(opened(paths), opened(pictures), strict=True):
        assert np.array_equal(np.asarray(of_path), np.asarray(picture))
    table = write_table(pictures, ["a"] * len(paths), tmp_path / "images")
    with table.open(encoding="utf-8") as lines:
        written = [row["path"] for row in csv.DictReader(lines)]
    for path, picture in zip(written, opened(paths), strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(picture))


def test_a_picture_in_memory_that_cannot_be_used_is_named_by_its_place(tmp_path: Path):
    with pytest.raises(InputError, match="image 1 cannot be used: its pixels are floating-point"):
        list(opened([PIXELS[0], Image.new("F", (2, 2))]))
    whole = tmp_path / "whole.png"
    Image.fromarray(np.tile(PIXELS[0], (20, 20, 1))).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:300])
    with (
        Image.open(tmp_path / "half.png") as half,
        pytest.raises(InputError, match="image 0 cannot be decoded: image file is truncated"),
    ):
        list(opened([half]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS[0], r"array of shape \(5, 7, 3\) and uint8"),
        (PIXELS.astype(np.float32), "float32"),
        (PIXELS[..., :1], r"\(2, 5, 7, 1\)"),
        ([PIXELS[0], 5], "image 1 is 5"),
        ([PIXELS], r"image 0 is uint8 of shape \(2, 5, 7, 3\)"),
        (np.zeros((1, 0, 0, 3), np.uint8), r"array of shape \(1, 0, 0, 3\), without pixels"),
        ([PIXELS[0], PIXELS[0, :0]], r"image 1 is an array of shape \(0, 7, 3\), without pixels"),
        (5, "of the type int"),
        ("no/such/folder", "no image or folder at 'no/such/folder'"),
    ],
)
def test_anything_else_is_refused_with_the_forms(images, message: str):
    with pytest.raises(InputError, match=message) as error:
        as_sequence(images)
    assert "give" in str(error.value)


def test_a_table_has_files_where_they_are_and_images_in_memory_without_loss(tmp_path: Path):
    file = tmp_path / "given.png"
    Image.fromarray(PIXELS[0]).save(file)
    grey = Image.fromarray(PIXELS[1]).convert("L")
    table = write_table([file, PIXELS[1], grey], ["a, b", "ü", "a, b"], tmp_path / "images")
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["label"] for row in rows] == ["a, b", "ü", "a, b"]
    assert rows[0]["path"] == str(file)
    assert np.array_equal(np.asarray(Image.open(rows[1]["path"])), PIXELS[1])
    assert np.array_equal(np.asarray(Image.open(rows[2]["path"])), np.asarray(grey.convert("RGB")))


def test_files_are_found_in_the_home_folder_and_missed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    for images in (["~/a.png"], "~"):
        assert np.array_equal(np.asarray(*opened(as_sequence(images))), PIXELS[0])
    for path, said in (
        ("gone.png", "the image 'gone.png' is missing; give paths"),
        ("~nouser/a.png", "home folder in '~nouser/a.png' is not known"),
        (str(tmp_path), "' is not a file; give paths"),
        ("x" * 300, "cannot be reached"),
    ):
        with pytest.raises(InputError, match=said):
            list(opened([path]))
        with pytest.raises(InputError, match=said):
            write_table([path], ["a"], tmp_path / "images")


@pytest.mark.parametrize(
    "name",
    [
        *(b"plain.png", b"comma, semicolon; tab\t.png", b'"quoted".png', b" space .png "),
        *(b"latin-\xe9.png", b"two\nlines.png", b"two\rlines.png", "two\u2028lines.png".encode()),
        *("next\x85line.png".encode(), "cafe\u0301.png".encode(), b"~$letter.png"),
    ],
)
def test_a_file_of_any_name_is_in_the_table(name: bytes, tmp_path: Path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    with file.open("wb") as opened_file:
        Image.fromarray(PIXELS[0]).save(opened_file, "PNG")
    Image.fromarray(PIXELS[1]).save(tmp_path / "another.png")
    for _ in range(2):  # as after a fit that was stopped
        table = write_table([file, str(tmp_path / "another.png")], ["a", "b"], tmp_path / "images")
    listing = list_label_table(table, lambda image: image)  # type: ignore[arg-type, return-value]
    assert [np.asarray(item.load()).tolist() for item in listing.train] == PIXELS.tolist()


@pytest.mark.parametrize(
    ("labels", "as_they_are"),
    [
        (["cat", "dog"], True),
        ([0, 7, 10], True),
        ([-1, 1], True),
        ([0.5, 1.5], True),
        ([False, True], True),
        (["01", "1"], False),
        ([1.0, 2.0], False),
        ([" cat", "cat"], False),
        (["", "cat"], False),
        (["a\nb", "c"], False),
        (["cafe\u0301", "tea"], False),
        (["cafe\u0301", "caf\u00e9"], False),
        (["\u2126", "\u03a9"], False),
    ],
)
def test_class_names_are_those_that_a_table_gives_back(labels, as_they_are: bool, tmp_path: Path):
    names = class_names(labels)
    assert (names == tuple(map(str, labels))) == as_they_are
    table = write_table([PIXELS[0]] * len(names), names, tmp_path)
    read = list_label_table(table, lambda image: None)  # type: ignore[arg-type, return-value]
    assert sorted(read.classes) == sorted(names)


def test_a_decomposed_label_names_its_class_in_composed_form():
    """A subnet has the names of its classes in that form, by which labels are found again."""
    assert class_names(["cafe\u0301", "tea"]) == ("caf\u00e9", "tea")
    assert class_names(["cafe\u0301", "caf\u00e9"]) == ("class-000000", "class-000001")
