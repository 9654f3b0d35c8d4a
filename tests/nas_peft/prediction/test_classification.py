"""Classification of many large images by several subnets on one backbone."""

from pathlib import Path

import pytest
from PIL import Image

from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.prediction.classification import BATCH, Model, classify
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet


@pytest.fixture(scope="module")
def subnet(backbone: Backbone) -> Subnet:
    network = Supernet(backbone.model, Architecture.uniform(8, "lora_rank", 1), 3, seed=5).eval()
    return Subnet(network, backbone, ("a", "b", "c"), Preprocessing.of(backbone.model), {}, {})


def peak_of(subnet: Subnet, images: list[Path]) -> int:
    memory = PeakMemory("cpu")
    found = list(classify([Model("it", subnet)], images, top=1, on_unreadable=lambda *_: None))
    assert sum(map(len, found)) == len(images)
    assert memory.bytes is not None
    return memory.bytes


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs the peak memory of Linux")
def test_memory_does_not_grow_with_the_number_of_photos(subnet: Subnet, tmp_path: Path):
    """A photo of 24 megapixels has 72 MB; four of them take no more than one."""
    photo = tmp_path / "photo.png"
    Image.new("L", (6000, 4000), 90).save(photo, compress_level=1)
    peak_of(subnet, [photo])
    one, four = peak_of(subnet, [photo]), peak_of(subnet, [photo] * 4)
    assert four - one < 20e6


def test_batches_do_not_show(subnet: Subnet, tmp_path: Path):
    images = []
    for number in range(BATCH + 3):
        images.append(tmp_path / f"{number:02}.png")
        Image.new("RGB", (30, 40), (10 * number, 100, 50)).save(images[-1])
    (tmp_path / "05.png").write_text("broken")
    skipped: list[Path] = []
    model = Model("it", subnet)
    batches = list(classify([model], images, top=2, on_unreadable=lambda path, _: skipped.append(path)))
    assert skipped == [tmp_path / "05.png"]
    found = [prediction for batch in batches for prediction in batch]
    assert [p.image for p in found] == [path for path in images if path not in skipped]
    (alone,) = next(classify([model], [found[-1].image], top=2, on_unreadable=lambda *_: None))
    for (name, p), (other, q) in zip(alone.classes, found[-1].classes, strict=True):
        assert name == other
        assert p == pytest.approx(q, abs=1e-5)
