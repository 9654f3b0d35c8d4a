"""The inputs of trainings that leave out a domain."""

import pytest
import torch

from nas_peft.data import Part
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.training_inputs import TrainingInputs
from supernet import Preprocessing, random_backbone


@pytest.fixture
def inputs() -> TrainingInputs:
    """Ten training images, each with its number as its pixels, label and features; 3, 4 and 8 are photos."""
    backbone = random_backbone("vit_tiny_patch16_224", 0, image_size=(32, 32))
    numbers = torch.arange(12)
    images = numbers.to(torch.uint8)[:, None, None, None].expand(12, 3, 2, 2).contiguous()
    own, other = {"x": torch.zeros(1)}, {"x": torch.ones(1)}
    return TrainingInputs(
        backbone,
        Preprocessing.of(backbone.model),
        12,
        Part(images[:10], numbers[:10]),
        Part(images[10:], numbers[10:]),
        numbers[:, None].float(),
        InheritedStarts({"a": own, "b": own}, without={"photo": {"a": other}}),
        domains={"photo": torch.tensor([3, 4, 8])},
    )


def test_a_domain_s_images_take_the_place_of_the_validation_set(inputs: TrainingInputs):
    found = inputs.without("photo")
    assert found.train.labels.tolist() == [0, 1, 2, 5, 6, 7, 9]
    assert found.val.labels.tolist() == [3, 4, 8]
    assert found.features.flatten().tolist() == [0, 1, 2, 5, 6, 7, 9, 3, 4, 8]
    assert found.inherited.train["a"]["x"] == 1  # of a supernet that has not seen them
    assert found.inherited.train["b"]["x"] == 0
    assert found.shifted is None
    assert inputs.without(None) is inputs
