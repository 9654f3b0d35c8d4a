"""Counts with their nouns."""

import pytest

from nas_peft.data.count_words import count_words


@pytest.mark.parametrize(
    ("things", "thing"),
    [
        ("epochs", "epoch"),
        ("learning rates", "learning rate"),
        ("run folders of nas-peft", "run folder of nas-peft"),
        ("images beside the class folders", "image beside the class folders"),
        ("folders without images", "folder without images"),
        ("links to a file that is read already", "link to a file that is read already"),
        ("broken links and special files", "broken links and special files"),
        ("hidden", "hidden"),
        (".xmp", ".xmp"),
    ],
)
def test_one_is_in_the_singular(things: str, thing: str):
    assert count_words(1, things) == f"1 {thing}"
    assert count_words(0, things) == f"0 {things}"
    assert count_words(1200, things) == f"1,200 {things}"
