"""Thirds of the classes by their training images."""

from nas_peft.robustness.class_frequency import frequency_groups


def test_thirds_from_many_to_few_in_any_order():
    groups = frequency_groups([5, 40, 10, 20, 8, 2, 3])
    assert [(g.name, g.labels, g.fewest, g.most) for g in groups] == [
        ("many", (1, 3), 20, 40),
        ("medium", (2, 4), 8, 10),
        ("few", (0, 5, 6), 2, 5),
    ]


def test_even_classes_and_pairs_have_no_groups():
    assert frequency_groups([10, 12, 11]) == ()
    assert frequency_groups([10, 100]) == ()
    assert frequency_groups([0, 1, 3])[-1].labels == (0,)
