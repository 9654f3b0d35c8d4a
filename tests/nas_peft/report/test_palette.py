"""Colours can be told from their grounds, on light and dark, as WCAG 2.2 AA asks."""

import pytest

from nas_peft.report.palette import MARKS, PALETTE, TEXT, contrast, variables


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("ground", ["card", "ground", "soft"])
@pytest.mark.parametrize("role", TEXT)
def test_texts_can_be_read(role: str, ground: str):
    text, behind = PALETTE[role], PALETTE[ground]
    assert contrast(text.light, behind.light) >= 4.5
    assert contrast(text.dark, behind.dark) >= 4.5


@pytest.mark.parametrize("role", MARKS)
def test_marks_can_be_seen(role: str):
    mark, card = PALETTE[role], PALETTE["card"]
    assert contrast(mark.light, card.light) >= 3
    assert contrast(mark.dark, card.dark) >= 3


def test_every_role_is_a_variable():
    for dark in (False, True):
        assert variables(dark).count("--") == len(PALETTE)
    assert "--ink: #e8ebf2;" in variables(dark=True)
