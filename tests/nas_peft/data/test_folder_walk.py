"""What is not the user's picture never counts, and is named with a reason."""

import os
import unicodedata

import pytest
from PIL import Image

from nas_peft.data.folder_walk import LINKED_FOLDER, LINKED_TWICE, FolderWalk
from nas_peft.data.image_files import shown_name, why_no_image
from search_spaces.errors import InputError


def test_system_files_thumbnails_and_run_folders_are_left_out(tmp_path, write_image):
    for name in (
        "a/1.png",
        "a/@eaDir/1.png/T.jpg",
        "a/thumbnails/1.jpg",
        "a/.hidden.png",
        "lost+found/x.png",
    ):
        write_image(tmp_path / name)
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "runs" / "one" / "stages").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "config.yaml").write_text("seed: 0")
    walk = FolderWalk(tmp_path)
    assert [folder.name for folder in walk.folders(tmp_path)] == ["a"]
    assert [path.name for path in walk.images(tmp_path / "a")] == ["1.png"]
    assert {reason: list(paths) for reason, paths in walk.left_out.items()} == {
        "system folders": ["lost+found", "a/@eaDir"],
        "run folders of nas-peft": ["runs"],
        "thumbnail folders": ["a/thumbnails"],
        "hidden": ["a/.hidden.png"],
        "system files": ["a/Thumbs.db"],
    }


def test_links_that_loop_or_repeat_count_once(tmp_path, write_image):
    write_image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "again.png").symlink_to(tmp_path / "a" / "1.png")
    os.link(tmp_path / "a" / "1.png", tmp_path / "a" / "hard.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    walk = FolderWalk(tmp_path)
    assert [folder.name for folder in walk.folders(tmp_path)] == ["a"]
    assert len(walk.images(tmp_path / "a")) == 1
    assert list(walk.left_out[LINKED_TWICE]) == ["a/again.png", "a/hard.png"]
    assert list(walk.left_out[LINKED_FOLDER]) == ["up", "a/loop"]
    assert list(walk.left_out["broken links and special files"]) == [
        "a/gone.png",
        "a/pipe.png",
        "a/self",
    ]


def test_one_folder_under_two_class_names_is_refused(tmp_path, write_image):
    write_image(tmp_path / "cat" / "1.png")
    (tmp_path / "feline").symlink_to(tmp_path / "cat")
    with pytest.raises(InputError, match=r"'feline' and 'cat' in .* are one folder under two names"):
        FolderWalk(tmp_path).folders(tmp_path)


def test_images_of_other_suffixes_are_read_and_the_rest_is_told_why(tmp_path):
    for name in ("a.jfif", "a.jpe", "a.JPG_large", "nosuffix"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="JPEG")
        assert why_no_image(tmp_path / name) is None
    for name, reason in (
        ("a.nef", "camera raw"),
        ("a.xml", ".xml"),
        ("a.jpg~", "unfinished"),
        ("b", "no suff"),
    ):
        (tmp_path / name).write_bytes(b"II*\0")
        assert reason in str(why_no_image(tmp_path / name))


def test_undecodable_bytes_and_composed_letters_have_one_text():
    assert shown_name(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert shown_name("cafe\u0301") == "caf\u00e9"
    assert shown_name("a\nb\x1b[31m") == "a\\nb\\x1b[31m"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_order_does_not_depend_on_the_form_of_unicode(tmp_path, write_image, form):
    """One folder on two systems has one split: decomposed, "é" is an "e" that comes before "f"."""
    for name in ("éa", "ez", "fa"):
        write_image(tmp_path / "a" / unicodedata.normalize(form, name) / "1.png")
        write_image(tmp_path / "b" / unicodedata.normalize(form, f"{name}.png"))
    walk = FolderWalk(tmp_path)
    folders = [walk.folders(tmp_path / "a"), [path.parent for path in walk.images(tmp_path / "a")]]
    for found in folders:
        assert [unicodedata.normalize("NFC", path.name) for path in found] == ["ez", "fa", "éa"]
    for files in (walk.images(tmp_path / "b"), walk.files(tmp_path / "b")):
        assert [unicodedata.normalize("NFC", path.stem) for path in files] == ["ez", "fa", "éa"]
