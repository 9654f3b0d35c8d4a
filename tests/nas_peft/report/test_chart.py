"""Plots: colours of the page, texts as they are, one space of identifiers, equal bytes for equal data."""

from xml.etree import ElementTree

import pytest

from nas_peft.report.chart import Chart, chart, drawing, logarithmic, short_number
from nas_peft.report.data_table import data_table
from nas_peft.report.mark_names import name_marks
from nas_peft.report.palette import light

NAME = "<script> $x_1$ 漢"


def drawn(title: str) -> Chart:
    with drawing() as (figure, axes):
        axes.plot([1, 10], [2, 3], "o-", color=light("chosen"), label=NAME)
        logarithmic(axes)
        axes.set_xlabel(NAME)
        axes.legend()
        return chart(figure, title, "A line & a <name>.", data_table("c", ("a", "b"), [("x", "1")]))


def test_a_plot_is_drawn_in_the_colours_of_the_page():
    svg = str(drawn("A plot").svg)
    assert "var(--chosen)" in svg
    assert "var(--ink)" in svg
    assert light("chosen") not in svg
    assert "font-family" not in svg


def test_texts_are_as_they_were_given():
    root = ElementTree.fromstring(str(drawn("A plot").svg))
    texts = [element.text for element in root.iter("text")]
    assert texts.count(NAME) == 2
    assert {"1", "2", "5", "10"} <= set(texts)
    assert root.find("desc").text == "A line & a <name>."
    assert root.get("aria-labelledby") == root.find("title").get("id") == "a-plot-title"


def test_identifiers_of_two_plots_differ_and_each_is_used():
    ids = [
        {e.get("id") for e in ElementTree.fromstring(str(drawn(title).svg)).iter() if e.get("id")}
        for title in ("One", "Two")
    ]
    assert not ids[0] & ids[1]
    svg = str(drawn("One").svg)
    assert all(svg.count(name) >= 2 for name in ids[0])
    assert svg == str(drawn("One").svg)


def test_the_style_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn("A plot")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (340, "340"), (20_000, "20k"), (1_614_474, "1.61M"), (2.1e9, "2.1G")]
)
def test_large_numbers_are_short(value: float, text: str):
    assert short_number(value) == text


def test_names_cover_neither_marks_nor_each_other():
    marks = [(1.0, 1.0, "first"), (1.02, 1.0, "second"), (1.0, 1.02, "third"), (2.0, 2.0, "alone")]
    with drawing() as (_, axes):
        axes.scatter(*zip(*[(x, y) for x, y, _ in marks], strict=True))
        axes.margins(0.3)
        name_marks(axes, marks)
        boxes = [text.get_window_extent() for text in axes.texts]
        points = [axes.transData.transform((x, y)) for x, y, _ in marks]
    assert {text.get_text() for text in axes.texts} >= {"first", "alone"}
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[n + 1 :])
    assert not any(box.contains(x, y) for box in boxes for x, y in points)


def test_a_table_has_as_many_cells_as_headers():
    with pytest.raises(ValueError, match="has not 2 cells"):
        data_table("c", ("a", "b"), [("x",)])
