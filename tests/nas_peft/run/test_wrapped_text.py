"""Text in lines that fit."""

from nas_peft.run.wrapped_text import wrapped


def test_what_continues_a_line_stands_further_to_the_right_and_columns_stay():
    path = "/a/path/that/is/longer/than/a/line.jpg"
    text = f"data: photos\n  dog        39      10\n  left out: 1 image (such as {path})\n"
    lines = wrapped(text, 30).splitlines()
    assert lines[:2] == ["data: photos", "  dog        39      10"]
    assert lines[2:] == ["  left out: 1 image (such as", f"    {path})"]
    assert wrapped("", 30) == ""
    assert wrapped("a\n\nb", 30) == "a\n\nb"
