"""Which images stay on a GPU, and how the others reach it, on a simulated one."""

from collections.abc import Iterator

import pytest
import torch
from simulated_gpu import CUDA, SimulatedGPU, simulated_gpu
from supernet_stages import data, preprocessing, small_network
from torch import Tensor

from supernet import Constant, Recipe, train, transfers
from supernet.images import TwoSizes
from supernet.transfers import RESIDENT_SHARE, free_memory, resident

NUMBER = 10
IMAGES = torch.arange(NUMBER * 3 * 4, dtype=torch.uint8).reshape(NUMBER, 3, 2, 2)


class InAFile:
    """Images of which only the rows that are read are in memory; ``reads`` are the numbers of rows."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.shape, self.device = images, images.shape, images.device
        self.nbytes, self.reads = images.nbytes, list[int]()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        found = self.images[rows]
        self.reads.append(len(found))
        return found


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    with simulated_gpu(monkeypatch) as simulated:
        yield simulated


def has_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))


def test_images_stay_on_the_gpu_up_to_their_share_of_its_free_memory(gpu, monkeypatch):
    least = -(-IMAGES.nbytes * 10 // round(RESIDENT_SHARE * 10))
    has_free(monkeypatch, least)
    found = resident(IMAGES, CUDA)
    assert found.device == CUDA
    assert torch.equal(found.cpu(), IMAGES)
    has_free(monkeypatch, least - 1)
    assert resident(IMAGES, CUDA) is IMAGES


def test_what_torch_holds_without_need_is_free_memory(gpu, monkeypatch):
    has_free(monkeypatch, 100)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory(CUDA) == 150


def test_larger_copies_count_and_go_along(gpu, monkeypatch):
    both = TwoSizes(IMAGES, IMAGES.repeat(1, 1, 2, 2))
    found = resident(both, CUDA)
    assert (found.images.device, found.larger.device) == (CUDA, CUDA)
    has_free(monkeypatch, 3 * IMAGES.nbytes)  # enough for the images alone
    assert resident(both, CUDA) is both


def test_images_of_a_file_are_read_in_parts(gpu, monkeypatch):
    monkeypatch.setattr(transfers, "_ROWS_COPIED", 4)
    images = InAFile(IMAGES)
    found = resident(images, CUDA)
    assert torch.equal(found.cpu(), IMAGES)
    assert images.reads == [4, 4, 2]


def test_on_a_cpu_nothing_is_copied():
    assert resident(IMAGES, torch.device("cpu")) is IMAGES


@pytest.mark.slow
@pytest.mark.parametrize(("free", "expected"), [(10**9, [3]), (0, [2, 1, 2, 1])])
def test_a_training_copies_its_images_once_if_they_fit_else_batch_by_batch(
    gpu, monkeypatch, free: int, expected: list[int]
):
    has_free(monkeypatch, free)
    net = small_network("ViT").to("cuda")
    copied: list[Tensor] = []
    monkeypatch.setattr(transfers, "_page_locked", lambda x: copied.append(x) or x.pin_memory())
    train(
        net,
        *data(net),
        preprocessing=preprocessing(net),
        chooser=Constant(net.capacity),
        recipe=Recipe(epochs=2, lr=1e-3, batch_size=2),
        seed=0,
    )
    assert [len(x) for x in copied if x.ndim == 4] == expected
