import io
import pickle  # noqa: TID251 - what is pickled here is read here
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from nas_peft.data import Part


def part(number: int, first: int = 0) -> Part:
    values = torch.arange(first, first + number, dtype=torch.uint8)
    return Part(values[:, None, None, None].expand(number, 3, 2, 2).contiguous(), values.long() % 3)


def test_take_selects_images_with_their_labels_in_the_given_order():
    taken = part(5).take(torch.tensor([4, 0, 4]))
    assert len(taken) == 3
    assert taken.images[:, 0, 0, 0].tolist() == [4, 0, 4]
    assert taken.labels.tolist() == [1, 0, 1]


def test_join_keeps_the_order_of_the_parts():
    joined = Part.join([part(2, first=7), part(3)])
    assert joined.images[:, 2, 1, 1].tolist() == [7, 8, 0, 1, 2]
    assert joined.labels.tolist() == [1, 2, 0, 1, 2]


def test_join_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no part"):
        Part.join([])


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 4, 4),
        torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
        torch.zeros(2, 3, 4, dtype=torch.uint8),
    ],
)
def test_images_of_another_type_or_shape_are_refused(images):
    with pytest.raises(ValueError, match="uint8 of shape"):
        Part(images, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("labels", [torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.int32)])
def test_labels_of_another_type_or_number_are_refused(labels):
    with pytest.raises(ValueError, match=r"int64 of shape \(2,\)"):
        Part(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), labels)


def test_pickled_out_of_band_the_images_are_not_copied():
    """As Ray pickles: numpy arrays leave the stream, and what is read shares their memory."""
    before, buffers = part(5), []
    data = pickle.dumps(before, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    after = pickle.loads(data, buffers=buffers)
    assert torch.equal(after.images, before.images)
    assert torch.equal(after.labels, before.labels)
    assert after.images.data_ptr() == before.images.data_ptr()


def test_a_part_from_read_only_memory_is_taken_without_a_warning():
    before, buffers = part(5), []
    data = pickle.dumps(before, protocol=5, buffer_callback=buffers.append)
    frozen = [bytes(buffer) for buffer in buffers]
    after = pickle.loads(data, buffers=frozen)
    assert torch.equal(after.take(torch.tensor([3])).images, before.images[3:4])


def test_processes_of_this_machine_get_the_tensors_themselves():
    rebuild, values = ForkingPickler(io.BytesIO()).dispatch_table[Part](part(2))
    assert rebuild is Part
    assert all(isinstance(value, torch.Tensor) for value in values)
