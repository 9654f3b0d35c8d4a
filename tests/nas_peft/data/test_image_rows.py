import pickle  # noqa: TID251 - what is pickled here is read here

import numpy as np
import pytest
import torch

from nas_peft.data import Part
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import ImageMemory, ImageRows, chunks
from search_spaces import Architecture
from supernet import (
    Constant,
    Preprocessing,
    Recipe,
    Supernet,
    evaluate,
    pooled_features,
    score,
    train,
    train_pack,
)

LORA = Architecture.uniform(8, "lora_rank", 2)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module", params=["file", "memory"])
def images(request, tmp_path_factory, pixels) -> ImageRows:
    """The images of ``pixels`` in another order than in their block."""
    order = np.random.default_rng(1).permutation(40)
    if request.param == "memory":
        return ImageRows(ImageMemory(pixels[order]), np.argsort(order))
    path = tmp_path_factory.mktemp("block") / "images.bin"
    path.write_bytes(pixels[order].tobytes())
    return ImageRows(ImageFile(path, pixels.shape, "digest"), np.argsort(order))


def test_rows_look_like_the_tensor_of_the_images(images, pixels):
    tensor = torch.from_numpy(pixels)
    assert (len(images), images.shape, images.nbytes) == (40, tensor.shape, tensor.nbytes)
    some = torch.tensor([7, 0, 7])
    for rows in (some, slice(None), slice(3, 9), slice(38, 99), slice(0, 40, 7)):
        assert torch.equal(images[rows], tensor[rows])
    assert torch.equal(torch.cat(list(chunks(images))), tensor)


def test_a_batch_is_new_memory(images):
    images[:].zero_()
    assert images[:].any()


def test_selecting_and_joining_parts_reads_no_image(images, pixels):
    part = Part(images, torch.arange(40))
    one, other = part.take(torch.tensor([5, 2])), part.take(slice(30, 40))
    joined = Part.join([one, other, one.take(torch.tensor([1]))])
    assert joined.images.block is images.block
    assert joined.labels.tolist() == [5, 2, *range(30, 40), 2]
    assert torch.equal(joined.images[:], torch.from_numpy(pixels[joined.labels]))


def test_rows_of_two_blocks_are_joined_in_memory(images, pixels):
    part = Part(images, torch.arange(40))
    other = Part(torch.from_numpy(pixels[:2]), torch.arange(2))
    joined = Part.join([other, part])
    assert torch.equal(joined.images, torch.from_numpy(np.concatenate([pixels[:2], pixels])))


def test_a_part_is_pickled_without_its_images(images, pixels):
    part = Part(images, torch.arange(40)).take(torch.arange(3, 6))
    buffers: list = []
    data = pickle.dumps([part, part.take(slice(1))], protocol=5, buffer_callback=buffers.append)
    first, second = pickle.loads(data, buffers=buffers)
    assert len(data) < 2000
    assert torch.equal(first.images[:], torch.from_numpy(pixels[3:6]))
    assert Part.join([first, second]).images.block == first.images.block


@pytest.mark.slow
@pytest.mark.parametrize("images", ["file"], indirect=True)
def test_every_result_is_that_of_the_images_in_memory(images, pixels, backbone):
    tensor, labels = torch.from_numpy(pixels), torch.arange(40) % 3
    prepared, given = Preprocessing.of(backbone.model), {"labels": labels}
    given["preprocessing"] = prepared
    recipe = Recipe(1, 1e-2, batch_size=20, augmentation="crop-flip")

    def results(of) -> list[torch.Tensor]:
        network = Supernet(backbone.model, LORA, 3, seed=0)
        curve = train(network, of, chooser=Constant(LORA), recipe=recipe, seed=0, **given)
        packed = [Supernet(backbone.model, LORA, 3, seed=1)]
        train_pack(packed, of, recipes=[recipe], seeds=[1], **given)
        tested = evaluate(network, of, **given)
        (scored,) = score(network, of, architectures=[LORA], **given)
        features = pooled_features(network, of, prepared, batch_size=16)
        again = evaluate(packed[0], of, **given)
        return [torch.tensor(curve.losses), tested.losses, scored.losses, features, again.losses]

    for found, expected in zip(results(images), results(tensor), strict=True):
        assert torch.equal(found, expected)
