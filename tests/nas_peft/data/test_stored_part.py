"""A part as arrays: the same values in the same memory, also where these must not be written to."""

import numpy as np
import torch

from nas_peft.data import Part
from nas_peft.data.stored_part import StoredPart


def test_a_part_comes_back_from_its_arrays_without_a_copy():
    part = Part(torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 2, 2), torch.tensor([1, 0]))
    stored = StoredPart.of(part)
    again = stored.part()
    assert torch.equal(again.images, part.images)
    assert torch.equal(again.labels, part.labels)
    assert again.images.data_ptr() == part.images.data_ptr()


def test_arrays_that_must_not_be_written_to_are_read_without_a_warning():
    images, labels = np.ones((2, 3, 2, 2), dtype=np.uint8), np.zeros(2, dtype=np.int64)
    for array in (images, labels):
        array.flags.writeable = False  # as Ray gives them
    assert len(StoredPart(images, labels).part()) == 2
