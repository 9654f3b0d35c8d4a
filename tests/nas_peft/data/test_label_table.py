"""Tables and lists as spreadsheets, editors and older systems write them."""

import os
from pathlib import Path

import pytest

from nas_peft.data.label_table import UNLABELLED_ROWS, list_label_table
from nas_peft.data.source import Reading, require_source
from nas_peft.data.task_folder import list_task_folder
from search_spaces.errors import InputError


@pytest.fixture
def write_table(tmp_path, write_image):
    """Writes a file beside images/1.png to 6.png."""
    for number in range(1, 7):
        write_image(tmp_path / "images" / f"{number}.png", (number, 0, 0))

    def write(text: str, name: str = "labels.csv", encoding: str = "utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("separator", "end"), [(",", "\n"), (";", "\r\n"), ("\t", "\n")])
def test_columns_are_found_by_name_and_parts_by_theirs(write_table, to_tensor, separator, end, encoding):
    rows = [["Split", "File Name", "Class"], ["training", "images/1.png", "cat"], ["TEST", "2.png", "dog"]]
    table = write_table(end.join(separator.join(row) for row in rows) + end, encoding=encoding)
    listing = list_label_table(table, to_tensor)
    assert listing.classes == ("cat", "dog")
    assert [item.label for item in listing.train] == [0]
    assert [item.label for item in listing.test] == [1]
    assert listing.test[0].load()[0, 0, 0] == 2


def test_a_table_without_a_header_or_suffixes(write_table, to_tensor):
    listing = list_label_table(write_table("1,7\n2,9\n3,7\n"), to_tensor)
    assert (listing.classes, [item.label for item in listing.train]) == (("7", "9"), [0, 1, 0])
    assert "not 0 to 1" in listing.notes[0]


def test_an_empty_cell_is_no_domain(write_table, to_tensor):
    """It was a domain without a name, which --objective robust left out and reports showed."""
    table = write_table("path,label,domain\n1,a,ship\n2,b, \n3,a,quay\n4,b,\n")
    listing = list_label_table(table, to_tensor)
    assert [item.domain for item in listing.train] == ["ship", None, "quay", None]
    (note,) = listing.notes
    assert note.startswith("2 of 4 images have no domain in the table")
    assert list_label_table(write_table("path,label,domain\n1,a,\n2,b,\n"), to_tensor).notes == ()


def test_rows_without_a_label_are_left_out_and_counted(write_table, to_tensor):
    listing = list_label_table(write_table("id,label\n1,a\n2,\n3,b\n"), to_tensor)
    assert (len(listing.train), listing.left_out) == (2, {UNLABELLED_ROWS: ("2",)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column of paths among a, b; call the columns 'path' and 'label'"),
        ("path,label\n9,x\n", "csv:2: no such image '9'"),
        ("path,label\n1,x\n1,y\n", "csv:3: image .* is 'y' in train here and 'x' in train in .*csv:2"),
        (
            "path,label,split\n1,x,train\n2,y,\n",
            "csv:3: the column of parts is empty here; write train",
        ),
        ("path,label,split\n1,x,often\n", "'often' is not a part; allowed are train, val and test"),
        ("", "is empty"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(write_table, to_tensor, text, message):
    with pytest.raises(InputError, match=message):
        list_label_table(write_table(text), to_tensor)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["path,label", "", "", "1,a", "", "9,b"], 6),
        (["", "path label", " ", "1 a", "9 b"], 5),
        (["# by hand", "path;label", "", "1;a", "9;b"], 5),
        (["1,a", "", "9,b"], 3),
        (["path,label", "1,'a", '2,"b', 'c"', "9,b"], 5),
    ],
)
def test_a_mistake_is_named_by_its_line_in_the_file(write_table, to_tensor, lines, number, end):
    with pytest.raises(InputError, match=rf"csv:{number}: no such image '9'"):
        list_label_table(write_table(end.join(lines)), to_tensor)


def test_a_line_ends_where_editors_end_it(write_table, write_image, to_tensor):
    """Not at the line separators of Unicode, which names of files may hold."""
    name = "two\u2028lines.png"
    write_image(write_table("").parent / name)
    listing = list_label_table(write_table(f"path,label\n{name},a\n1,b\n"), to_tensor)
    assert [Path(item.name).name for item in listing.train] == [name, "1.png"]


def test_whole_paths_from_elsewhere_are_said(write_table, to_tensor):
    table = write_table("path,label\n/old/images/1.png,a\nC:\\old\\images\\2.png,b\nimages/3.png,a\n")
    (note,) = list_label_table(table, to_tensor).notes
    assert note.startswith("2 of 3 images are not at their paths in the table and are found by the ends of")
    assert note.endswith(f"such as '/old/images/1.png' as '{table.parent}/images/1.png'")
    here = write_table(f"path,label\n{table.parent}/images/1.png,a\n2.png,b\n")
    assert list_label_table(here, to_tensor).notes == ()


def test_two_whole_paths_that_end_alike_are_not_one_image(write_table, to_tensor):
    table = write_table("path,label\n/old/cat/images/1.png,a\n/old/dog/images/1.png,a\n2.png,b\n")
    with pytest.raises(
        InputError,
        match=r"csv:3: neither '/old/dog/images/1.png' nor '/old/cat/images/1.png' of .*:2 is there",
    ):
        list_label_table(table, to_tensor)
    twice = write_table("path,label\n/old/images/1.png,a\n/old/images/1.png,a\n2.png,b\n")
    assert list_label_table(twice, to_tensor).left_out == {
        "rows that repeat an image": ("/old/images/1.png",)
    }


def test_options_for_folders_are_refused_for_a_table(write_table):
    with pytest.raises(InputError, match="--domains is for class folders"):
        require_source(str(write_table("1,a\n2,b\n")), Reading(domains=True))


@pytest.fixture
def write_task(tmp_path, write_image):
    def write(lines: list[str], encoding: str = "utf-8", end: str = "\n"):
        parts = {"train800": lines[:2], "val200": lines[2:4], "train800val200": lines[:4], "test": lines[4:]}
        for name, part in parts.items():
            (tmp_path / f"{name}.txt").write_bytes((end.join(part) + end).encode(encoding))
        return tmp_path

    for index in range(6):
        write_image(tmp_path / "images" / f"bäume_{index}.png", (index, 0, 0))
    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(("separator", "end"), [(" ", "\r\n"), ("\t", "\n")])
def test_lists_are_read_in_any_encoding(write_task, to_tensor, encoding, separator, end):
    lines = [f"images/bäume_{i}.png{separator}{i % 2}" for i in range(6)]
    listing = list_task_folder(write_task(lines, encoding, end), to_tensor)
    assert [item.label for _, items in listing.parts() for item in items] == [0, 1] * 3
    assert any("not UTF-8" in note for note in listing.notes) is (encoding == "latin-1")


@pytest.mark.parametrize("where", ["{root}/", "/gone/elsewhere/", "C:\\data\\"])
def test_absolute_paths_are_found_where_the_folder_is_now(write_task, to_tensor, tmp_path, where):
    lines = [f"{where.format(root=tmp_path)}images/bäume_{i}.png {i % 2}" for i in range(6)]
    listing = list_task_folder(write_task(lines), to_tensor)
    assert [item.name for item in listing.test] == [str(tmp_path / f"images/bäume_{i}.png") for i in (4, 5)]


@pytest.mark.parametrize(("labels", "classes"), [("12", ("1", "2")), ("37", ("3", "7")), ("ba", ("a", "b"))])
def test_labels_may_start_anywhere_or_be_names(write_task, to_tensor, labels, classes):
    lines = [f"images/bäume_{i}.png {labels[i % 2]}" for i in range(6)]
    listing = list_task_folder(write_task(lines), to_tensor)
    assert listing.classes == classes
    assert {item.label for item in listing.train} == {0, 1}


def test_names_of_classes_may_belong_to_labels_from_one(write_task, to_tensor):
    root = write_task([f"images/bäume_{i}.png {1 + i % 2}" for i in range(6)])
    (root / "classes.txt").write_text("oak\nelm\n")
    listing = list_task_folder(root, to_tensor)
    assert (listing.classes, [item.label for item in listing.train]) == (("oak", "elm"), [0, 1])
    assert "label 1 is 'oak'" in listing.notes[0]


def test_a_name_that_the_file_system_cannot_have_is_no_data_set():
    for spec in ("x" * 5000, os.fsdecode(b"\xff/none")):
        with pytest.raises(InputError):
            require_source(spec, Reading())


@pytest.mark.parametrize("before", ["sep=;\n", '"SEP=;"\n', "# exported by hand\n#\n"])
def test_lines_before_the_table_are_passed_over(write_table, to_tensor, before):
    table = write_table(f"{before}path;label\n1.png;a\n2.png;b\n")
    assert list_label_table(table, to_tensor).classes == ("a", "b")
    broken = write_table(f"{before}path;label\n1.png;a\n7.png;b\n")
    with pytest.raises(InputError, match=rf":{before.count(chr(10)) + 3}: no such image '7.png'"):
        list_label_table(broken, to_tensor)


def test_a_first_image_with_a_hash_is_no_comment(write_table, write_image, to_tensor):
    write_image(write_table("").parent / "#1.png")
    listing = list_label_table(write_table("#1.png,a\n2.png,b\n"), to_tensor)
    assert [len(listing.train), listing.classes] == [2, ("a", "b")]


def test_a_row_with_more_cells_than_columns_is_refused(write_table, to_tensor):
    with pytest.raises(InputError, match=r":3: 3 cells and 2 columns; .* quotation marks"):
        list_label_table(write_table("path,label\n1.png,a\n2.png,bus, red\n"), to_tensor)
    spread = write_table("path,label,\n1.png,a,,\n2.png,b,\n")  # separators at the end hold nothing
    assert list_label_table(spread, to_tensor).classes == ("a", "b")


def test_a_class_named_as_a_missing_value_is_said(write_table, to_tensor):
    (note,) = list_label_table(write_table("path,label\n1.png,a\n2.png,nan\n"), to_tensor).notes
    assert "'nan' is read as a class" in note


def test_tables_of_other_parts_beside_that_of_train_are_said_not_to_be_read(write_table, to_tensor):
    write_table("path,label\n3.png,a\n", "pets_test.csv")
    write_table("path,label\n3.png,a\n", "other.csv")
    train = write_table("path,label\n1.png,a\n2.png,b\n", "pets_train.csv")
    (note,) = list_label_table(train, to_tensor).notes
    assert "'pets_test.csv' beside 'pets_train.csv' is not read; to use them, put all rows into one" in note
    split = write_table("path,label,split\n1.png,a,train\n2.png,b,test\n", "all_train.csv")
    assert list_label_table(split, to_tensor).notes == ()
