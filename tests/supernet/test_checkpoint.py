"""One safetensors file brings a subnet back; every other file is refused with a remedy."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from search_spaces import Architecture, InputError, count_params, head_params, load_space
from supernet import (
    Backbone,
    Preprocessing,
    Subnet,
    Supernet,
    create_backbone,
    load_subnet,
    random_backbone,
    read_header,
    save_subnet,
)
from supernet.backbones import weights_digest
from supernet.checkpoint import UPGRADES, VERSION, content_digest

FROZEN = Path(__file__).parent / "subnet_files"
PLAIN_PREPROCESSING = Preprocessing((3, 32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0, "center")


@pytest.fixture
def saved(subnet, tmp_path):
    path = tmp_path / "subnet.safetensors"
    save_subnet(subnet, path)
    return path


def picture():
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def rewritten(path, **changes):
    """Rewrite the file with another header."""
    text, tensors = json.dumps(read_header(path) | changes), load_file(path)
    metadata = {"format": "nas-peft subnet", "subnet": text, "sha256": content_digest(text, tensors)}
    save_file(tensors, path, metadata=metadata)


def test_everything_comes_back(saved, subnet, micro):
    loaded = load_subnet(saved, backbone=micro)
    assert loaded.backbone is micro
    assert loaded.classes == subnet.classes
    assert loaded.preprocessing == subnet.preprocessing
    assert loaded.metrics == subnet.metrics
    assert loaded.training == subnet.training
    assert loaded.temperature == subnet.temperature == 1.25
    assert loaded.architecture == subnet.architecture
    own, other = (s.network.module_tensors(s.architecture) for s in (subnet, loaded))
    assert own.keys() == other.keys()
    assert all(torch.equal(own[k], other[k]) for k in own)
    assert torch.equal(loaded.logits([picture()]), subnet.logits([picture()]))
    assert not loaded.network.training


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_supernet_is_extracted_is_loaded(micro, randomised, tmp_path, pixels, seed):
    space = load_space("default", micro.depth)
    a = space.sample(np.random.default_rng(seed)) if seed else Architecture.empty(micro.depth)
    net = randomised(micro.model, space.largest())
    extracted = net.extract(a)
    template = Subnet(extracted, micro, tuple("abcde"), PLAIN_PREPROCESSING, {}, {})
    save_subnet(template, tmp_path / "file")
    loaded = load_subnet(tmp_path / "file", backbone=micro)
    assert torch.equal(loaded.network(pixels), extracted(pixels))
    torch.testing.assert_close(loaded.network(pixels), net(pixels, a), atol=1e-5, rtol=0)


def test_the_file_holds_the_trained_tensors_at_exact_size(saved, subnet):
    counted = count_params(subnet.architecture, subnet.backbone.shape) + head_params(128, 3)
    with safe_open(saved, framework="pt") as file:
        elements = [file.get_tensor(name).numel() for name in file.keys()]  # noqa: SIM118
    assert sum(elements) == counted == subnet.params
    assert 4 * counted < saved.stat().st_size < 4 * counted + 200 * len(elements) + 2000


def test_saving_a_small_subnet_of_a_supernet_saves_no_more(micro, randomised, tmp_path):
    """Views of the shared weights would bring their whole storage along."""
    net = randomised(micro.model, load_space("default", micro.depth).largest())
    one = Architecture.uniform(micro.depth, "lora_rank", 1)
    subnet = Subnet(net.extract(one), micro, tuple("abcde"), PLAIN_PREPROCESSING, {}, {})
    save_subnet(subnet, tmp_path / "file")
    assert (tmp_path / "file").stat().st_size < 4 * subnet.params + 8000


def test_the_header_can_be_read_alone(saved, subnet, micro):
    header = read_header(saved)
    assert header["version"] == 3
    assert header["temperature"] == 1.25
    assert header["backbone"] == {
        "name": micro.name,
        "weights": "random",
        "digest": micro.digest,
        "image_size": None,
        "in_file": False,
    }
    assert Architecture.from_dict(header["architecture"]) == subnet.architecture
    assert header["classes"] == ["cat", "dog", "größer"]
    assert header["metrics"] == subnet.metrics


@pytest.mark.slow
def test_it_loads_in_a_process_with_torch_timm_and_safetensors_alone(saved, subnet, run_program):
    code = f"""
import json, sys
sys.modules.update(dict.fromkeys(("ray", "optuna", "pydantic", "typer", "rich", "sklearn", "nas_peft")))
import numpy as np
from PIL import Image
from supernet import load_subnet, random_backbone
subnet = load_subnet({str(saved)!r}, backbone=random_backbone("vit_micro_patch8_32", 0))
picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8))
print(json.dumps(subnet.logits([picture]).tolist()))
"""
    done = run_program("-c", code)
    assert done.returncode == 0, done.stderr
    logits = json.loads(done.stdout)
    torch.testing.assert_close(torch.tensor(logits), subnet.logits([picture()]), atol=1e-5, rtol=0)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"missing.safetensors'; nas-peft search writes"):
        load_subnet(tmp_path / "missing.safetensors")


def test_a_folder_with_a_subnet_file(tmp_path):
    (tmp_path / "subnet.safetensors").touch()
    with pytest.raises(InputError, match=r"is a folder; give the subnet file in it, .*subnet.safetensors$"):
        load_subnet(tmp_path)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        *((odd, "not a whole safetensors file.*give the") for odd in (b"\x00" * 100, b"\x80\x04K.", b"text")),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS .*'git lfs pull'"),
        (b"<html>", "a web page"),
        (b"", "empty; fetch it again"),
    ],
)
def test_a_file_that_is_not_safetensors(tmp_path, content, cause):
    (tmp_path / "odd.bin").write_bytes(content)
    with pytest.raises(InputError, match=f"odd.bin' is {cause}"):
        load_subnet(tmp_path / "odd.bin")


def test_a_file_that_was_cut_off(saved, micro):
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        load_subnet(saved, backbone=micro)


def test_another_safetensors_file(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors' is a safetensors file but.*give the file"):
        load_subnet(tmp_path / "other.safetensors")


def test_another_version(saved, micro):
    rewritten(saved, version=4)
    message = r"subnet.safetensors' has format version 4 .* reads versions 1 to 3; use the nas-peft that wro"
    with pytest.raises(InputError, match=message):
        load_subnet(saved, backbone=micro)


def test_a_header_that_does_not_fit_its_tensors(saved, micro, subnet):
    rewritten(saved, architecture=Architecture.empty(micro.depth).to_dict())
    with pytest.raises(InputError, match=r"subnet.safetensors' is damaged .*; give the file"):
        load_subnet(saved, backbone=micro)
    rewritten(saved, architecture=subnet.architecture.to_dict(), classes=["cat", "dog"])
    with pytest.raises(InputError, match=r"subnet.safetensors' is damaged .*head.weight.*; give the file"):
        load_subnet(saved, backbone=micro)


def test_a_missing_tensor(saved, micro):
    tensors = load_file(saved)
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    del tensors["head.bias"]
    save_file(tensors, saved, metadata=metadata)
    with pytest.raises(InputError, match=r"is damaged \(it lacks the tensor head.bias.*; give the file"):
        load_subnet(saved, micro)


@pytest.mark.parametrize("part", ["tensors", "header"])
def test_an_altered_file(saved, micro, part):
    """One bit of a weight, one letter of a class: both would change answers silently."""
    data = bytearray(saved.read_bytes())
    if part == "tensors":
        data[-2] ^= 1
    else:
        place = data.index(b"cat")
        data[place : place + 3] = b"car"
    saved.write_bytes(data)
    with pytest.raises(InputError, match=r"is damaged \(its content was altered since it was written\)"):
        load_subnet(saved, micro)


@pytest.mark.parametrize("version", [*UPGRADES, VERSION])
def test_every_version_of_the_format_is_read(version):
    """Frozen files, made by the version that introduced the format; they are never made anew."""
    loaded = load_subnet(FROZEN / f"version_{version}.safetensors")
    assert loaded.classes == ("cat", "dog", "größer")
    assert loaded.metrics == {"val_accuracy": 0.75, "test_accuracy": 0.5}
    assert loaded.training["recipe"] == {"lr": 0.005, "epochs": 8}
    assert loaded.temperature == (None if version == 1 else 1.5)
    expected = torch.tensor([[-0.1447247862815857, 0.9638408422470093, -0.1340635120868683]])
    torch.testing.assert_close(loaded.logits([picture()]), expected, atol=1e-4, rtol=0)
    assert (FROZEN / f"version_{version}.safetensors").stat().st_size < 8000


def test_half_precision(subnet, micro, tmp_path):
    for half in (False, True):
        save_subnet(subnet, tmp_path / f"{half}", half=half)
    loaded = load_subnet(tmp_path / "True", micro)
    stored = load_file(tmp_path / "True")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    saved_bytes = (tmp_path / "False").stat().st_size - (tmp_path / "True").stat().st_size
    assert abs(saved_bytes - 2 * subnet.params) < 100
    own = subnet.logits([picture()])
    assert loaded.network.head.weight.dtype == torch.float32
    assert 0 < (loaded.logits([picture()]) - own).abs().max() < 1e-2
    with torch.no_grad():
        loaded.network.head.bias[0] = 1e6
    with pytest.raises(InputError, match=r"head.bias has values beyond the range of float16; save in full"):
        save_subnet(loaded, tmp_path / "wide", half=True)
    assert not (tmp_path / "wide").exists()


@pytest.mark.parametrize("half", [False, True])
def test_a_backbone_that_training_changed_is_in_the_file(subnet, micro, pixels, tmp_path, half):
    model = copy.deepcopy(micro.model)
    with torch.no_grad():
        model.blocks[0].mlp.fc1.bias += 0.1
    network = Supernet(model, subnet.architecture, 3).eval()
    network.load_module_tensors(subnet.network.module_tensors(subnet.architecture))
    changed = replace(subnet, network=network)
    assert changed.changed_backbone
    save_subnet(changed, tmp_path / "file", half=half)
    loaded = load_subnet(tmp_path / "file", backbone_weights=tmp_path / "not read")
    assert loaded.changed_backbone
    assert loaded.backbone.weights == micro.weights
    assert loaded.backbone.digest == weights_digest(loaded.network.backbone) != micro.digest
    assert not any(p.requires_grad for p in loaded.network.backbone.parameters())
    torch.testing.assert_close(
        loaded.logits_of(pixels), changed.logits_of(pixels), atol=1e-2 if half else 0.0, rtol=0
    )
    again = tmp_path / "again"
    save_subnet(loaded, again, half=half)
    assert read_header(again) == read_header(tmp_path / "file")
    assert torch.equal(load_subnet(again, loaded.backbone).logits_of(pixels), loaded.logits_of(pixels))
    with pytest.raises(InputError, match="belongs to other weights of backbone"):
        load_subnet(again, micro)


@pytest.mark.parametrize("fault", ["none held", "one missing"])
def test_a_backbone_that_is_not_whole(subnet, micro, tmp_path, fault):
    changed = replace(subnet, backbone=replace(micro, trained=True))
    save_subnet(changed, path := tmp_path / "file")
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    held = [name for name in tensors if name.startswith("backbone.")]
    for name in held if fault == "none held" else held[:1]:
        del tensors[name]
    save_file(tensors, path, metadata=metadata)
    why = "disagree on whether it holds a backbone" if fault == "none held" else "missing"
    with pytest.raises(InputError, match=rf"file' is damaged \(.*{why}.*; give the file"):
        load_subnet(path)


def test_a_header_that_is_not_one(saved):
    save_file(load_file(saved), saved, metadata={"format": "nas-peft subnet", "subnet": "{}"})
    with pytest.raises(InputError, match=r"subnet.safetensors' is damaged"):
        read_header(saved)
    save_file(load_file(saved), saved, metadata={"format": "nas-peft subnet"})
    with pytest.raises(InputError, match=r"subnet.safetensors' is damaged"):
        read_header(saved)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("backbone", {"name": "vit_micro_patch8_32", "digest": ""}),
        ("backbone", {"name": "a", "weights": "timm", "digest": "", "image_size": [32]}),
        ("architecture", ["depth"]),
        ("classes", []),
        ("classes", "cat"),
        ("preprocessing", {"mean": [0.5, 0.5, 0.5]}),
        ("metrics", None),
        ("temperature", 0),
        ("temperature", "warm"),
    ],
)
def test_an_entry_of_the_header_that_is_not_valid(saved, micro, entry, value):
    """As another program may write it: one line, for `load_subnet` and for a server."""
    rewritten(saved, **{entry: value})
    for read in (read_header, lambda path: load_subnet(path, micro)):
        with pytest.raises(InputError, match=rf"is damaged \(its header has no valid entry '{entry}'\)"):
            read(saved)


def test_an_architecture_for_another_depth(saved, micro, subnet):
    rewritten(saved, architecture=subnet.architecture.to_dict() | {"depth": micro.depth + 1})
    with pytest.raises(InputError, match=r"subnet.safetensors'"):
        load_subnet(saved, micro)
    deeper = {kind: [*sizes, 1] for kind, sizes in subnet.architecture.to_dict().items() if kind != "depth"}
    rewritten(saved, architecture={"depth": micro.depth + 1, **deeper})
    with pytest.raises(InputError, match=r"subnet.safetensors'"):
        load_subnet(saved, micro)


def test_other_weights_of_the_backbone(saved):
    other = random_backbone("vit_micro_patch8_32", 1)
    message = r"subnet.safetensors' belongs to other weights of backbone 'vit_micro_patch8_32'.*give the file"
    with pytest.raises(InputError, match=message):
        load_subnet(saved, backbone=other)


def test_a_model_of_timm_may_be_the_backbone(saved, micro, pixels):
    model = copy.deepcopy(micro.model).train()
    loaded = load_subnet(saved, model)
    assert loaded.network.backbone is model
    assert (model.training, loaded.backbone.weights) == (False, micro.weights)
    assert torch.equal(loaded.logits_of(pixels), load_subnet(saved, micro).logits_of(pixels))
    with_head = copy.deepcopy(model)
    with_head.reset_classifier(3)
    with pytest.raises(InputError, match="has a classifier; create it with num_classes=0"):
        load_subnet(saved, with_head)


def test_weights_that_were_in_a_file_are_asked_for(saved, micro, tmp_path):
    rewritten(saved, backbone={"name": micro.name, "weights": "mine.safetensors", "digest": micro.digest})
    with pytest.raises(InputError, match=r"weights in 'mine.safetensors'; .* --backbone-weights"):
        load_subnet(saved)
    save_file(micro.model.state_dict(), tmp_path / "renamed.safetensors")
    loaded = load_subnet(saved, backbone_weights=tmp_path / "renamed.safetensors")
    assert loaded.backbone.digest == micro.digest


def test_a_file_without_an_image_size_is_of_the_names_own(saved, micro):
    recorded = read_header(saved)["backbone"]
    del recorded["image_size"]
    rewritten(saved, backbone=recorded)
    assert load_subnet(saved, backbone=micro).backbone is micro


@pytest.mark.thorough
def test_the_backbone_is_made_for_the_image_size_again(tmp_path):
    backbone = create_backbone("vit_micro_patch8_32", image_size=(32, 48))
    network = Supernet(backbone.model, Architecture.uniform(8, "lora_rank", 1), 3).eval()
    preprocessing = Preprocessing.of(backbone.model)
    subnet = Subnet(network, backbone, ("a", "b", "c"), preprocessing, {}, {})
    save_subnet(subnet, tmp_path / "file")
    loaded = load_subnet(tmp_path / "file")
    assert loaded.backbone.image_size == (32, 48)
    assert loaded.preprocessing.input_size == (3, 32, 48)
    assert torch.equal(loaded.logits([picture()]), subnet.logits([picture()]))
    message = r"image size 32x48 and backbone 'vit_micro_patch8_32' .* the name's own; .*size=\(32, 48\)"
    with pytest.raises(InputError, match=message):
        load_subnet(tmp_path / "file", backbone=create_backbone("vit_micro_patch8_32"))


@torch.no_grad()
def test_every_family_comes_back(net, space, images, tmp_path):
    vit, many = net.backbone, [space.sample(np.random.default_rng(i)) for i in range(len(images))]
    backbone = Backbone("mine", "random", vit, weights_digest(vit))
    template = Subnet(net.extract(many[0]), backbone, tuple("abcde"), PLAIN_PREPROCESSING, {}, {})
    save_subnet(template, tmp_path / "file")
    loaded = load_subnet(tmp_path / "file", backbone=backbone)
    torch.testing.assert_close(loaded.network(images[:1]), net(images, many)[:1], atol=1e-5, rtol=0)
    torch.testing.assert_close(loaded.network(images), net(images, many[0]), atol=1e-5, rtol=0)


def test_random_weights_are_in_no_file(saved):
    with pytest.raises(InputError, match=r"random weights.*backbone="):
        load_subnet(saved)


def test_a_frozen_backbone_that_was_changed_is_not_saved(subnet, tmp_path):
    backbone = random_backbone("vit_micro_patch8_32", 1)
    network = Supernet(backbone.model, subnet.architecture, 3)
    with torch.no_grad():
        backbone.model.norm.weight[0] = 2.0
    with pytest.raises(ValueError, match="'vit_micro_patch8_32' were changed"):
        save_subnet(replace(subnet, backbone=backbone, network=network), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
