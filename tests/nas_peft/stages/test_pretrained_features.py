import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas_peft.data import Part
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import ImageRows
from nas_peft.stages.pretrained_features import pretrained_features
from search_spaces import Architecture
from supernet import Preprocessing, Supernet, pooled_features


@pytest.fixture
def part(tmp_path) -> Part:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    path = tmp_path / "images.bin"
    path.write_bytes(pixels.tobytes())
    file = ImageFile(path, pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest())
    return Part(ImageRows(file, np.arange(6)), torch.arange(6))


@pytest.fixture
def features(backbone, tmp_path):
    """The features of a part, and the files that there are then, by time of change."""
    network = Supernet(backbone.model, Architecture.empty(backbone.depth), 6)
    prepared = Preprocessing.of(backbone.model)

    def of(part: Part, precision="fp32"):
        found = pretrained_features(network, part, backbone, prepared, precision)
        if precision == "fp32":
            assert torch.equal(found, pooled_features(network, part.images, prepared))
        return {path: path.stat().st_mtime_ns for path in tmp_path.glob("features-*")}

    return of


def test_features_of_a_file_are_kept_beside_it_and_read_again(features, part):
    first = features(part)
    assert len(first) == 1
    assert features(part) == first


def test_other_rows_and_another_precision_are_other_features(features, part):
    features(part)
    features(part.take(torch.tensor([0, 1, 2, 3, 5, 4])))
    assert len(features(part, "bf16")) == 3


def test_another_function_with_the_same_weights_has_features_of_its_own(features, part, backbone):
    """Two names of timm may share a file of weights, as CLIP with GELU and with QuickGELU do."""
    features(part)
    network = Supernet(backbone.model, Architecture.empty(backbone.depth), 6)
    for other in (replace(backbone, name="other"), replace(backbone, image_size=(64, 64))):
        pretrained_features(network, part, other, Preprocessing.of(backbone.model), "fp32")
    assert len(features(part)) == 3


def test_a_damaged_file_is_made_again(features, part):
    ((path, before),) = features(part).items()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    ((again, after),) = features(part).items()
    assert again == path
    assert after > before
    assert path.read_bytes() == content


def test_features_of_images_in_memory_are_not_kept(features, part):
    assert features(Part(part.images[:], part.labels)) == {}


def test_features_that_cannot_be_kept_are_features_all_the_same(features, part):
    ((path, _),) = features(part).items()
    path.unlink()
    path.with_name(f"{path.name}.partial").mkdir()  # no file can be written there
    assert path not in features(part)
