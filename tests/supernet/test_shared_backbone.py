"""The files of a model name one backbone, and the backbone that is given is that one."""

from pathlib import Path

import pytest
import torch

from search_spaces import Architecture, InputError
from supernet import (
    DEFAULT_BACKBONE,
    MultiTaskModel,
    Preprocessing,
    Subnet,
    Supernet,
    create_backbone,
    load_subnet,
    random_backbone,
    save_subnet,
)
from supernet.shared_backbone import backbone_of_files

FROZEN = Path(__file__).parent / "subnet_files"


@pytest.fixture(scope="module")
def shipped():
    return create_backbone(DEFAULT_BACKBONE)


@pytest.fixture(scope="module")
def saved(shipped, micro, tmp_path_factory):
    """A file of the shipped backbone, and one of random weights."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for name, backbone in (("shipped", shipped), ("random", micro)):
        network = Supernet(backbone.model, Architecture.uniform(8, "lora_rank", 1), 2).eval()
        subnet = Subnet(network, backbone, ("a", "b"), Preprocessing.of(backbone.model), {}, {})
        found[name] = folder / name
        save_subnet(subnet, found[name])
    return found


def test_by_the_files_by_name_and_as_a_model(saved, shipped):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = load_subnet(saved["shipped"], shipped).network(images)
    model = create_backbone(DEFAULT_BACKBONE).model.train().requires_grad_(True)
    for backbone in (None, DEFAULT_BACKBONE, shipped, model):
        found = MultiTaskModel(backbone, {"one": saved["shipped"], "two": saved["shipped"]})
        assert found.backbone.digest == shipped.digest
        torch.testing.assert_close(torch.stack(found(images, ["two", "one"])), expected, atol=1e-5, rtol=0)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_files_of_earlier_versions(shipped):
    files = {file.stem: file for file in sorted(FROZEN.glob("*.safetensors"))}
    found = MultiTaskModel(None, files)
    assert list(found.tasks) == list(files)


def test_weights_of_a_file(micro, saved, tmp_path):
    from safetensors.torch import save_file

    save_file(micro.model.state_dict(), tmp_path / "weights.safetensors")
    for backbone in (None, "vit_micro_patch8_32"):
        found = MultiTaskModel(
            backbone, {"a": saved["random"]}, backbone_weights=tmp_path / "weights.safetensors"
        )
        assert found.backbone.digest == micro.digest


def one_line(error):
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_files_of_different_backbones_are_refused(saved):
    with pytest.raises(InputError, match=r"'one' was trained on .* and task 'two' on") as error:
        backbone_of_files(None, {"one": saved["shipped"], "two": saved["random"]})
    assert "share one backbone" in one_line(error)


def test_mistakes_are_one_line(saved, shipped, micro, plain, tmp_path):
    files = {"one": saved["shipped"]}
    for backbone, of_tasks, weights, message in (
        (None, {}, None, "give a file or a backbone"),
        (None, {"one": tmp_path / "none"}, None, "no subnet checkpoint at"),
        (shipped, files, tmp_path / "weights", "leave backbone_weights out"),
        (plain(), files, None, "has a classifier; create it with num_classes=0"),
        (micro, files, None, "other weights of backbone"),
        (micro.model, files, None, "other weights of backbone"),
        (None, {"one": saved["random"]}, None, "random weights of backbone"),
        ("vit_micro_patch8_33", files, None, "vit_micro_patch8_32"),
        (torch.nn.Linear(2, 2), files, None, "is not supported"),
    ):
        with pytest.raises(InputError, match=message) as error:
            MultiTaskModel(backbone, of_tasks, backbone_weights=weights)
        one_line(error)


def test_a_device_that_is_not_there_is_refused(micro):
    for device in ("gpu", "cuda:99"):
        with pytest.raises(InputError, match=f"device '{device}' cannot be used") as error:
            MultiTaskModel(micro, {}, device=device)
        one_line(error)
    assert MultiTaskModel(micro, {}, device="cpu").device.type == "cpu"


def test_a_model_for_images_of_another_size_is_refused(tmp_path):
    backbone = random_backbone("vit_micro_patch8_32", 0, (48, 48))
    network = Supernet(backbone.model, Architecture.empty(8), 2).eval()
    save_subnet(
        Subnet(network, backbone, ("a", "b"), Preprocessing.of(backbone.model), {}, {}), tmp_path / "f"
    )
    assert MultiTaskModel(backbone.model, {"a": tmp_path / "f"}).backbone.image_size == (48, 48)
    other = random_backbone("vit_micro_patch8_32", 0)
    with pytest.raises(InputError, match="made for images of 32x32 pixels and the files for 48x48"):
        MultiTaskModel(other.model, {"a": tmp_path / "f"})
