"""Templates escape every text, and name what they were not given."""

import pytest
from jinja2 import UndefinedError

from nas_peft.report.data_table import data_table
from nas_peft.report.rendering import rendered


def comparison(**changes):
    table = data_table("<caption>", ("a", "b"), [("<x>", "&")])
    content = {"runs": [("A", "<i>")], "decisions": table, "settings": table, "methods": table}
    plot = {"title": "<p>", "svg": "<svg>", "description": "", "data": table}
    return rendered("comparison.html.j2", **content | {"plot": plot, "comparable": "<b>"} | changes)


def test_every_text_is_escaped():
    page = comparison()
    for text in ("<caption>", "<x>", "<i>", "<svg>", "<b>", "<p>The"):
        assert text not in page.replace("<caption><span>", "")
    assert "&lt;x&gt;" in page


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError, match="title"):
        comparison(plot={})
