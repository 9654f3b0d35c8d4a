"""Each form, read back by the library that it is for; and what is refused leaves nothing behind."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import nn

import nas_peft
import supernet
from nas_peft.deployment.check_images import CheckImages
from nas_peft.deployment.exporting import FORMS, export_model
from nas_peft.deployment.folding import Folded
from nas_peft.deployment.timm_checkpoint import TimmCheckpoint
from search_spaces import Architecture, InputError
from supernet import Backbone, Preprocessing, Subnet, Supernet, create_backbone, load_subnet, random_backbone

LORA = {"lora_rank": (2, 0, 1, 0, 0, 0, 0, 1), "lora_rank_v": (1,) * 8, "lora_rank_fc2": (0, 3) * 4}
MIXED = {"lora_rank": (1,) * 8, "prompt_tokens": (0, 2) * 4, "adapter_dim": (1,) + (0,) * 7}

Make = Callable[[dict], Subnet]


@pytest.fixture(scope="module")
def make(backbone: Backbone) -> Make:
    """Makes a subnet of the shipped backbone whose modules all have an effect."""

    def made(sizes: dict) -> Subnet:
        network = Supernet(backbone.model, Architecture.of(8, sizes), 3, seed=5).eval()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for value in (*network.layers.parameters(), network.head.weight):
                value += 0.1 * torch.randn(value.shape, generator=generator)
        return Subnet(network, backbone, ("a", "b", "c"), Preprocessing.of(backbone.model), {}, {"seed": 7})

    return made


@pytest.fixture(scope="module")
def lora(make: Make) -> Subnet:
    return make(LORA)


@pytest.fixture(scope="module")
def mixed(make: Make) -> Subnet:
    return make(MIXED)


@pytest.fixture(scope="module")
def shallow() -> Subnet:
    """Two layers with modules, because tracing takes long."""
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    vit = timm.create_model("vit_base_patch16_224", num_classes=0, **shape).eval()
    network = Supernet(
        vit, Architecture.of(2, {k: sizes[:2] for k, sizes in MIXED.items()}), 3, seed=5
    ).eval()
    backbone = Backbone("mine", "random", vit, "")
    return Subnet(network, backbone, ("a", "b", "c"), Preprocessing.of(vit), {}, {})


def images(subnet: Subnet, count: int = 3) -> torch.Tensor:
    return CheckImages.for_subnet(subnet).pixels[:count]


@torch.inference_mode()
def close(found: torch.Tensor, subnet: Subnet) -> None:
    torch.testing.assert_close(found, subnet.network(images(subnet, len(found))), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["vit.safetensors", "vit.pth"])
@torch.inference_mode()
def test_timm_loads_what_is_merged(lora: Subnet, tmp_path: Path, name: str):
    report = export_model(lora, "merged", tmp_path / name)
    model = timm.create_model("vit_micro_patch8_32", num_classes=3, checkpoint_path=str(tmp_path / name))
    close(model.eval()(images(lora)), lora)
    assert report.folded == lora.architecture.kinds
    assert report.remaining == ()
    assert report.bytes == (tmp_path / name).stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == [name]
    (tmp_path / "usual").touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / "usual").stat().st_mode


@torch.inference_mode()
def test_full_fine_tuning_is_a_plain_checkpoint_too(make: Make, tmp_path: Path):
    tuned = Supernet(random_backbone("vit_micro_patch8_32", 3).model, Architecture.empty(8), 3).eval()
    subnet = replace(make({}), network=tuned)
    export_model(subnet, "merged", tmp_path / "full.safetensors")
    model = timm.create_model(
        "vit_micro_patch8_32", num_classes=3, checkpoint_path=str(tmp_path / "full.safetensors")
    )
    close(model.eval()(images(subnet)), subnet)
    with pytest.raises(InputError, match=r"training changed the weights of the backbone.*--to merged"):
        export_model(subnet, "peft", tmp_path / "adapter")


@torch.inference_mode()
@pytest.mark.slow
def test_peft_loads_an_adapter_of_lora_alone(lora: Subnet, tmp_path: Path):
    import peft

    report = export_model(lora, "peft", tmp_path / "adapter")
    base = timm.create_model("vit_micro_patch8_32", pretrained=True, num_classes=3)
    model = peft.PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    close(model(images(lora)), lora)
    close(model.merge_and_unload()(images(lora)), lora)
    close(loaded_by(report.usage, peft=peft, timm=timm).eval()(images(lora)), lora)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["rank_pattern"]["blocks.0.attn.qkv"] == config["alpha_pattern"]["blocks.0.attn.qkv"] == 3
    assert config["base_model_name_or_path"] == "vit_micro_patch8_32"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert report.remaining == lora.architecture.kinds
    (tmp_path / "usual").touch()
    for file in (tmp_path / "adapter").iterdir():
        assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode
    files = {file.name for file in (tmp_path / "adapter").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}


@pytest.fixture(scope="module")
def own_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file that is not the shipped backbone's."""
    state = random_backbone("vit_micro_patch8_32", 3).model.state_dict()
    file = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    return file


@pytest.fixture(scope="module")
def on_own_weights(own_weights: Path, lora: Subnet) -> Subnet:
    """LoRA on a backbone whose weights are those of a file."""
    backbone = create_backbone("vit_micro_patch8_32", own_weights)
    network = Supernet(backbone.model, lora.architecture, 3, seed=5).eval()
    network.layers.load_state_dict(lora.network.layers.state_dict())
    network.head.load_state_dict(lora.network.head.state_dict())
    return replace(lora, network=network, backbone=backbone)


def loaded_by(line: str, **names: object) -> Any:
    """The value of the last expression of a line of Python."""
    first, _, last = line.rpartition("; ")
    exec(first, names)
    return eval(last, names)


@torch.inference_mode()
@pytest.mark.slow
def test_the_lines_for_a_backbone_from_a_file_name_the_file(
    on_own_weights: Subnet, own_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import peft

    monkeypatch.chdir(own_weights.parent)
    report = export_model(on_own_weights, "peft", tmp_path / "adapter")
    close(loaded_by(report.usage, peft=peft, timm=timm).eval()(images(on_own_weights)), on_own_weights)
    for to, name in (("subnet", "a.safetensors"), ("hub-folder", "hub")):
        loaded = loaded_by(export_model(on_own_weights, to, tmp_path / name).usage, nas_peft=nas_peft)
        close(loaded.network(images(on_own_weights)), on_own_weights)
    assert '"subnet.safetensors"), backbone_weights=' in (tmp_path / "hub" / "README.md").read_text()


@torch.inference_mode()
def test_a_hub_folder_is_loaded_and_says_no_path(mixed: Subnet, tmp_path: Path):
    record = {"spec": "/home/me/photos", "source": "class folders in /home/me/photos", "counts": {"test": 9}}
    subnet = replace(mixed, training={"seed": 7, "dataset": record | {"left_out": {"hidden": "a"}}})
    report = export_model(subnet, "hub-folder", tmp_path / "my hub", license="mit")
    folder = tmp_path / "my hub"
    assert {file.name for file in folder.iterdir()} == {"README.md", "config.json", "subnet.safetensors"}
    assert report.remaining == subnet.architecture.kinds
    assert report.lines()[-1] == f"upload, when you want to: hf upload USER/NAME '{folder}' ."
    assert report.to_dict()["upload"] == report.upload
    loaded = load_subnet(folder / "subnet.safetensors")
    close(loaded.network(images(subnet)), subnet)
    assert loaded.training == {"seed": 7, "dataset": {"spec": "photos", "counts": {"test": 9}}}
    for file in folder.iterdir():
        assert b"/home/me" not in file.read_bytes()
    assert ModelCard.load(folder / "README.md").data.license == "mit"
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    assert config["architecture"] == subnet.architecture.to_dict()
    half = export_model(subnet, "hub-folder", tmp_path / "half", half=True)
    assert half.bytes < report.bytes
    with pytest.raises(InputError, match="license is for the model card of a hub folder"):
        export_model(subnet, "subnet", tmp_path / "a.safetensors", license="mit")
    with pytest.raises(
        InputError, match="is a folder that is not empty, and --to hub-folder writes a folder"
    ):
        export_model(subnet, "hub-folder", folder)


@torch.inference_mode()
def test_a_hub_folder_of_full_fine_tuning_is_one_of_timm(make: Make, tmp_path: Path):
    """A subnet file could not hold the changed backbone; the hub's own library for such models is timm."""
    tuned = Supernet(random_backbone("vit_micro_patch8_32", 3).model, Architecture.empty(8), 3).eval()
    record = {"seed": 7, "dataset": {"spec": "/home/me/photos"}}
    subnet = replace(make({}), network=tuned, training=record, temperature=0.5)
    folder = tmp_path / "my model"
    report = export_model(subnet, "hub-folder", folder, license="mit")
    assert {file.name for file in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert f"timm.create_model('local-dir:{folder}', pretrained=True)" in report.usage
    assert report.upload == f"hf upload USER/NAME '{folder}' ."
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    close(model(images(subnet)), subnet)
    config = json.loads((folder / "config.json").read_text())
    assert (config["label_names"], config["nas_peft"]["temperature"]) == (["a", "b", "c"], 0.5)
    assert Preprocessing.of(model) == subnet.preprocessing
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name) == ("mit", "timm")
    assert 'timm.create_model("hf-hub:USER/NAME", pretrained=True)' in card.text
    assert "load_subnet" not in card.text
    code = card.text.partition("```python\n")[2].partition("```")[0]
    sideways = Image.Exif()
    sideways[0x0112] = 6
    photo = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((60, 40)).convert("RGB").save(photo, exif=sideways)
    names: dict[str, torch.Tensor] = {}
    exec(code.replace("hf-hub:USER/NAME", f"local-dir:{folder}").replace("photo.jpg", str(photo)), names)
    expected = subnet.probabilities([Image.open(photo)])
    torch.testing.assert_close(names["probabilities"], expected, atol=1e-3, rtol=0)
    (tmp_path / "usual").touch()
    for file in folder.iterdir():
        assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode
        assert b"/home/me" not in file.read_bytes()
    with pytest.raises(InputError, match=r"training changed the weights.*leave --half out"):
        export_model(subnet, "hub-folder", tmp_path / "half", half=True)


@pytest.mark.parametrize("trained", [False, True])
@torch.inference_mode()
def test_a_hub_folder_does_not_say_where_the_backbone_was(
    trained: bool, shallow: Subnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "home" / "me" / "bb"
    save_for_hf(shallow.backbone.model, str(folder), safe_serialization=True)
    backbone = create_backbone(f"local-dir:{folder}")
    network = Supernet(backbone.model, Architecture.empty(2), 3, seed=5).eval()
    subnet = replace(shallow, network=network, backbone=replace(backbone, trained=trained))
    report = export_model(subnet, "hub-folder", tmp_path / "hub")
    for file in (tmp_path / "hub").iterdir():
        assert b"home/me" not in file.read_bytes()
    loaded = loaded_by(report.usage, nas_peft=nas_peft, supernet=supernet, timm=timm)
    close(getattr(loaded, "network", loaded).eval()(images(subnet)), subnet)
    if not trained:
        monkeypatch.chdir(folder.parent)
        close(load_subnet(tmp_path / "hub" / "subnet.safetensors").network(images(subnet)), subnet)
        assert "# local-dir:bb on an unnamed data set" in (tmp_path / "hub" / "README.md").read_text()


@pytest.mark.thorough
@pytest.mark.slow
@torch.inference_mode()
def test_onnxruntime_runs_any_kind_at_any_batch_size(shallow: Subnet, tmp_path: Path):
    import onnx
    import onnxruntime

    report = export_model(shallow, "onnx", tmp_path / "vit.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "vit.onnx", providers=["CPUExecutionProvider"])
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("images", ["batch", 3, 32, 32])
    assert (returned.name, returned.shape[1:]) == ("logits", [3])
    for count in (1, 2, 7):
        (found,) = session.run(["logits"], {"images": images(shallow, count).numpy()})
        close(torch.from_numpy(found), shallow)
    metadata = {prop.key: prop.value for prop in onnx.load(tmp_path / "vit.onnx").metadata_props}
    assert json.loads(metadata["nas_peft"])["classes"] == ["a", "b", "c"]
    assert report.folded == ("lora_rank",)
    assert report.remaining == ("adapter_dim", "prompt_tokens")


@pytest.mark.thorough
@pytest.mark.slow
@torch.inference_mode()
def test_a_large_onnx_model_keeps_its_weights_beside_it(
    shallow: Subnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The exporter writes a second file for models above 1.5 GiB; here it is told to."""
    import onnxruntime

    monkeypatch.setattr(
        torch.onnx.ONNXProgram, "save", partialmethod(torch.onnx.ONNXProgram.save, external_data=True)
    )
    report = export_model(shallow, "onnx", tmp_path / "vit.onnx")
    written = sorted(tmp_path.iterdir())
    assert [file.name for file in written] == ["vit.onnx", "vit.onnx.data"]
    assert report.bytes == sum(file.stat().st_size for file in written) > 50_000
    assert f"{written[0]} with {written[1]} (" in report.lines()[0]
    assert report.to_dict()["companions"] == [str(written[1])]
    session = onnxruntime.InferenceSession(tmp_path / "vit.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": images(shallow).numpy()})
    close(torch.from_numpy(found), shallow)


@pytest.mark.slow
@torch.inference_mode()
def test_torch_export_loads_any_kind_at_any_batch_size(shallow: Subnet, tmp_path: Path):
    export_model(shallow, "torch-export", tmp_path / "vit.pt2")
    extra = {"nas_peft.json": ""}
    program = torch.export.load(tmp_path / "vit.pt2", extra_files=extra).module()
    for count in (1, 2, 7):
        close(program(images(shallow, count)), shallow)
    assert json.loads(extra["nas_peft.json"])["architecture"]["prompt_tokens"] == [0, 2]


@pytest.mark.thorough
def test_what_cannot_be_merged_is_named_with_its_latency(mixed: Subnet, tmp_path: Path):
    message = (
        r"Adapter, VPT cannot be merged .*: Adapter [+-]\d+\.\d\d ms, VPT [+-]\d+\.\d\d ms: "
        r"\d+\.\d\d instead of \d+\.\d\d ms for one image here.*--to onnx and --to torch-export"
    )
    with pytest.raises(InputError, match=message):
        export_model(mixed, "merged", tmp_path / "vit.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_working_folder_is_filled(mixed: Subnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    export_model(mixed, "hub-folder", ".")
    assert {file.name for file in tmp_path.iterdir()} == {"README.md", "config.json", "subnet.safetensors"}
    assert tmp_path.samefile(".")


def test_kinds_that_peft_does_not_know_are_named(mixed: Subnet, make: Make, tmp_path: Path):
    with pytest.raises(InputError, match="adapter cannot hold Adapter, VPT; --to onnx"):
        export_model(mixed, "peft", tmp_path / "adapter")
    with pytest.raises(InputError, match="the subnet has no LoRA, only a head; give --to merged"):
        export_model(make({}), "peft", tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_computes_something_else_is_removed(lora: Subnet, tmp_path: Path, monkeypatch):
    class Wrong(TimmCheckpoint):
        def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
            head = nn.Linear(128, 3)
            head.load_state_dict({k: v + 0.01 for k, v in folded.network.head.state_dict().items()})
            folded.network.head = head
            super().write(subnet, folded, path)

    monkeypatch.setitem(FORMS, "merged", Wrong())
    (tmp_path / "vit.safetensors").write_text("an earlier one")
    with pytest.raises(
        InputError, match=r"was removed: largest difference of the logits .*; give another --to"
    ):
        export_model(lora, "merged", tmp_path / "vit.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["vit.safetensors"]
    assert (tmp_path / "vit.safetensors").read_text() == "an earlier one"
    report = export_model(lora, "merged", tmp_path / "vit.safetensors", tolerance=1.0)
    assert report.verification.difference > 1e-3


def test_the_images_of_the_check(lora: Subnet, image_folder: Path, tmp_path: Path):
    generated = CheckImages.for_subnet(lora)
    assert generated.source == "10 generated pictures"
    assert torch.equal(generated.pixels, CheckImages.for_subnet(lora).pixels)
    of_folder = CheckImages.for_subnet(replace(lora, training={"dataset": {"spec": str(image_folder)}}))
    assert of_folder.source == f"10 images of the data set '{image_folder}'"
    gone = CheckImages.for_subnet(replace(lora, training={"dataset": {"spec": "gone/photos"}}))
    assert gone.source == "10 generated pictures, as the data set 'gone/photos' is not at hand"
    Image.new("RGB", (40, 50), "red").save(tmp_path / "red.png")
    given = CheckImages.for_subnet(lora, [tmp_path / "red.png"])
    assert given.source == "1 given image"
    assert len(given.pixels) == 10


@pytest.mark.parametrize(
    ("to", "name", "said"),
    [
        ("merged", "vit.bin", r"does not end in .safetensors or .pth, as --to merged needs"),
        ("onnx", "vit", r"does not end in .onnx"),
        ("merge", "vit.pth", r"unknown form of export 'merge'; did you mean 'merged'"),
        ("merged", "none/vit.pth", "no folder '.*none' for the output"),
        ("peft", "file", "is a file, and --to peft writes a folder"),
        ("peft", "full", "is a folder that is not empty, and --to peft writes a folder"),
    ],
)
def test_wrong_outputs_are_refused(lora: Subnet, tmp_path: Path, to: str, name: str, said: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(InputError, match=said):
        export_model(lora, to, tmp_path / name)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "full"}


def test_a_missing_library_is_one_line_with_the_command(lora: Subnet, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("nas_peft.deployment.extra.EXTRAS", {"onnx": ("onnx", "no_such_library")})
    with pytest.raises(
        InputError, match=r"needs no_such_library, which is not .*pip install 'nas-peft\[onnx\]'"
    ):
        export_model(lora, "onnx", tmp_path / "vit.onnx")
