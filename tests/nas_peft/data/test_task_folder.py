from pathlib import Path

import pytest

from nas_peft.data.task_folder import is_task_folder, list_task_folder
from search_spaces.errors import InputError

LISTS = {
    "train800.txt": ["images/a 1.png 0", "images/b.png 2", "images/c.png 0"],
    "val200.txt": ["images/d.png 2"],
    "train800val200.txt": ["images/d.png 2", "images/a 1.png 0", "images/b.png 2", "images/c.png 0"],
    "test.txt": ["images/e.png 0", "images/f.png 1"],
}


@pytest.fixture
def task(tmp_path, write_image):
    """Writes the task; keyword arguments by list name replace its lines."""

    def write(**replaced: list[str]) -> Path:
        for index, name in enumerate(["a 1", "b", "c", "d", "e", "f"]):
            write_image(tmp_path / "images" / f"{name}.png", (index, 0, 0))
        for file, lines in LISTS.items():
            content = replaced.get(Path(file).stem, lines)
            (tmp_path / file).write_text("".join(f"{line}\n" for line in content))
        return tmp_path

    return write


def test_the_lists_are_the_parts_in_their_order(task, to_tensor):
    root = task()
    assert is_task_folder(root)
    listing = list_task_folder(root, to_tensor)
    relative = [[Path(i.name).name for i in items] for _, items in listing.parts()]
    assert relative == [["a 1.png", "b.png", "c.png"], ["d.png"], ["e.png", "f.png"]]
    assert [[i.label for i in items] for _, items in listing.parts()] == [[0, 2, 0], [2], [0, 1]]
    assert listing.classes == ("0", "1", "2")
    assert listing.val[0].load()[:, 0, 0].tolist() == [3, 0, 0]


def test_classes_are_named_by_their_file(task, to_tensor):
    root = task()
    (root / "classes.txt").write_text("ant\nbee\ncat\ndog\n")
    assert list_task_folder(root, to_tensor).classes == ("ant", "bee", "cat", "dog")


def test_blank_lines_do_not_count(task, to_tensor):
    assert len(list_task_folder(task(val200=["", "images/d.png 2", ""]), to_tensor).val) == 1


def test_a_folder_without_the_training_list_is_no_task(tmp_path):
    assert not is_task_folder(tmp_path)


def refuses(root: Path, to_tensor, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        list_task_folder(root, to_tensor)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["val200.txt", "train800val200.txt", "test.txt"])
def test_a_missing_list_is_named(task, to_tensor, name):
    root = task()
    (root / name).unlink()
    refuses(root, to_tensor, f"has train800.txt but no {name}")


def test_an_empty_list_is_named(task, to_tensor):
    refuses(task(test=[]), to_tensor, r"list '.*test.txt' is empty")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/d.png", r"val200.txt:2: 'images/d.png' is not 'path label'"),
        ("images/d.png two", r"val200.txt:2: 'images/d.png two' is not"),
        ("images/d.png -1", r"val200.txt:2: 'images/d.png -1' is not .* label from 0"),
        ("7", r"val200.txt:2: '7' is not"),
        ("/there/x.png 2", r"val200.txt:2: path '/there/x.png' is absolute and not in"),
        ("images/gone.png 2", r"val200.txt:2: no such image '.*images/gone.png'; add the file"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(task, to_tensor, line, message):
    refuses(task(val200=["", line]), to_tensor, message)


def test_an_image_listed_twice_is_named(task, to_tensor):
    lines = [*LISTS["test.txt"], "images/e.png 0"]
    refuses(task(test=lines), to_tensor, r"test.txt:3: image 'images/e.png' is listed before, in line 1")


def test_an_image_in_train_and_val_is_named(task, to_tensor):
    refuses(
        task(val200=["images/d.png 2", "images/b.png 2"]),
        to_tensor,
        r"val200.txt:2: image 'images/b.png' is also in .*train800.txt:2",
    )


@pytest.mark.parametrize(("image", "where"), [("c", "train800.txt:3"), ("d", "val200.txt:1")])
def test_an_image_in_training_and_test_is_named(task, to_tensor, image, where):
    lines = [*LISTS["test.txt"], f"images/{image}.png 0"]
    refuses(task(test=lines), to_tensor, rf"test.txt:3: image 'images/{image}.png' is also in .*{where}")


def test_an_image_missing_from_the_joint_list_is_named(task, to_tensor):
    refuses(
        task(train800val200=LISTS["train800val200.txt"][1:]),
        to_tensor,
        r"val200.txt:1: image 'images/d.png' is not in train800val200.txt",
    )


def test_an_image_in_the_joint_list_alone_is_named(task, to_tensor, write_image):
    root = task(train800val200=[*LISTS["train800val200.txt"], "images/g.png 1"])
    write_image(root / "images" / "g.png")
    refuses(
        root, to_tensor, r"train800val200.txt:5: image 'images/g.png' is neither in train800.txt nor in val"
    )


def test_two_labels_for_one_image_are_named(task, to_tensor):
    lines = ["images/d.png 1", *LISTS["train800val200.txt"][1:]]
    refuses(
        task(train800val200=lines),
        to_tensor,
        r"val200.txt:1: image 'images/d.png' has label 2 here and 1 in .*train800val200.txt:1",
    )


def test_a_label_without_a_name_is_named(task, to_tensor):
    root = task()
    (root / "classes.txt").write_text("ant\nbee\n")
    refuses(root, to_tensor, r"train800.txt:2: label 2 has no name, '.*classes.txt' names labels 0 to 1")


def test_a_name_for_two_classes_is_refused(task, to_tensor):
    root = task()
    (root / "classes.txt").write_text("ant\nbee\nant\n")
    refuses(root, to_tensor, r"names 'ant' more than once")
