"""Spans of time: read from the command line, and in words."""

import pytest

from nas_peft.settings.durations import in_words, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1.5H", 5400), ("1m1s", 61)],
)
def test_spans_are_read(text: str, seconds: float):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "30s1m", "-5m", "0m"])
def test_other_texts_are_refused_with_examples(text: str):
    with pytest.raises(ValueError, match="such as 2h, 5m, 1h30m or 90s, or auto"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 s"),
        (8.4, "8 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (5430, "1 h 30 min"),
        (3599.7, "1 h"),
    ],
)
def test_two_units_are_said(seconds: float, words: str):
    assert in_words(seconds) == words
