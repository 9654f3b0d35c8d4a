"""``nas-peft export``: any subnet of a finished run, and a checkpoint, in another library's form."""

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import CliRunner, Result

import nas_peft
from nas_peft.cli.app import app
from nas_peft.deployment.check_images import CheckImages
from nas_peft.deployment.run_subnet import subnet_of_run
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.results import SearchResult
from search_spaces import Architecture, InputError
from supernet import load_subnet


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def error_of(result: Result) -> str:
    """The one line that says what is wrong; nothing else is printed."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("error: ")


@pytest.fixture(scope="module")
def run(finished_run: SearchResult) -> Path:
    return Path(finished_run.run)


@pytest.fixture(scope="module")
def lora_row(finished_run: SearchResult) -> str:
    return next(row.name for row in finished_run.rows if row.label == "LoRA alone")


def test_a_row_is_a_plain_timm_model(run: Path, lora_row: str, tmp_path: Path):
    file = tmp_path / "lora.safetensors"
    shown = export(run, "--row", "LoRA alone", "--to", "merged", "--output", file)
    assert shown.exit_code == 0, shown.output
    assert "folded into the weights: LoRA; kept as modules: none" in shown.stdout
    assert "images of the data set" in shown.stdout
    assert "in batches of 1, 2 and 7" in shown.stdout
    subnet = subnet_of_run(run, row=lora_row)
    assert subnet.training["weights"] == "retrained"
    model = timm.create_model("vit_micro_patch8_32", num_classes=3, checkpoint_path=str(file)).eval()
    pixels = CheckImages.for_subnet(subnet).pixels
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels), subnet.network(pixels), atol=1e-4, rtol=0)


def test_a_row_is_a_checkpoint_of_half_the_size(run: Path, lora_row: str, tmp_path: Path):
    half, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    for file, options in ((half, ["--half"]), (whole, [])):
        shown = export(run, "--row", lora_row, "--to", "subnet", "--output", file, *options)
        assert shown.exit_code == 0, shown.output
    subnet, own = load_subnet(half), subnet_of_run(run, row=lora_row)
    assert subnet.temperature == own.temperature
    assert whole.stat().st_size - half.stat().st_size == pytest.approx(2 * subnet.params, abs=100)
    pixels = CheckImages.for_subnet(own).pixels
    with torch.inference_mode():
        torch.testing.assert_close(subnet.network(pixels), own.network(pixels), atol=2e-2, rtol=0)
    said = error_of(export(run, "--to", "merged", "--output", tmp_path / "vit.pth", "--half"))
    assert (
        said == "half stores a subnet checkpoint in float16; give --to subnet or --to hub-folder, not merged"
    )


def test_full_fine_tuning_is_a_checkpoint_with_its_backbone(run: Path, tmp_path: Path):
    file = tmp_path / "full.safetensors"
    shown = export(run, "--row", "full", "--to", "subnet", "--output", file)
    assert shown.exit_code == 0, shown.output
    assert load_subnet(file).changed_backbone


@pytest.mark.thorough
def test_a_row_is_a_peft_adapter(run: Path, lora_row: str, tmp_path: Path):
    shown = export(run, "--row", lora_row, "--to", "peft", "--output", tmp_path / "adapter", "--json")
    report = json.loads(shown.stdout)
    assert report["folded"] == []
    assert report["largest_difference"] <= report["accepted_difference"]
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()


@pytest.mark.thorough
def test_full_fine_tuning_and_linear_probing_have_weights_of_their_own(run: Path):
    full, linear, exported = (subnet_of_run(run, row=row) for row in ("full", "linear", None))
    pixels = CheckImages.for_subnet(exported).pixels
    with torch.inference_mode():
        logits = [subnet.network(pixels) for subnet in (full, linear, exported)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    assert (logits[1] - logits[2]).abs().max() > 1e-3
    assert linear.architecture == Architecture.empty(8)
    assert full.metrics["test_accuracy"] is not None
    assert full.temperature is not None
    assert exported.temperature is not None
    assert "validation part" in exported.metrics["protocol"]


@torch.inference_mode()
def test_the_exported_model_is_the_default(run: Path, finished_run: SearchResult):
    selected = finished_run.selected
    found, row = subnet_of_run(run), subnet_of_run(run, row=selected.name)
    exported = load_subnet(run / "subnet.safetensors")
    pixels = CheckImages.for_subnet(exported).pixels
    for subnet in (found, row):
        assert torch.equal(subnet.network(pixels), exported.network(pixels))


def test_a_candidate_has_inherited_weights_unless_it_was_retrained(run: Path, finished_run: SearchResult):
    search = FinishedSearch.read(run)
    rows = {row.name for row in finished_run.rows}
    point = next(c for c in search.front() if f"candidate-{c.number}" not in rows)
    subnet = subnet_of_run(run, candidate=point.number)
    assert subnet.architecture == point.architecture
    assert subnet.training["weights"] == "inherited"
    retrained = next(name for name in rows if name.startswith("candidate-"))
    number = int(retrained.removeprefix("candidate-"))
    assert "candidate" not in subnet_of_run(run, candidate=number).training


def test_a_hub_folder_has_the_run_s_accuracy_and_the_command_of_the_upload(
    run: Path, finished_run: SearchResult, tmp_path: Path
):
    shown = export(run, "--to", "hub-folder", "--output", tmp_path / "hub", "--license", "cc-by-4.0")
    assert shown.exit_code == 0, shown.output
    assert f"hf upload USER/NAME {tmp_path / 'hub'} ." in shown.stdout
    card = (tmp_path / "hub" / "README.md").read_text()
    (seed,) = finished_run.selected.seeds
    images = finished_run.dataset["counts"]["test"]
    assert f"| test | {images} | {100 * seed.test_accuracy:.1f} |" in card
    assert "license: cc-by-4.0" in card
    assert "- epochs: 1" in card


@pytest.mark.thorough
def test_a_checkpoint_is_checked_on_given_images(run: Path, image_folder: Path, tmp_path: Path):
    picture = next(image_folder.rglob("*.png"))
    file = tmp_path / "vit.pt2"
    shown = export(run / "subnet.safetensors", "--to", "torch-export", "--output", file, "--images", picture)
    assert shown.exit_code == 0, shown.output
    assert "on 1 given image, in batches" in shown.stdout


def test_mistakes_of_export(run: Path, lora_row: str, tmp_path: Path, image_folder: Path):
    out = tmp_path / "vit.safetensors"
    checkpoint = run / "subnet.safetensors"
    text = tmp_path / "text.png"
    text.write_text("not an image")
    mistakes: list[tuple[tuple[object, ...], str]] = [
        ((run, "--row", "lora"), "unknown row 'lora'; did you mean 'lora_rank-"),
        ((run, "--row", lora_row, "--candidate", 1), "row and candidate both pick a subnet"),
        ((run, "--candidate", 999), "candidate is 999, and"),
        ((checkpoint, "--row", lora_row), "--row and --candidate pick a subnet of a run folder"),
        ((run, "--module-file", "kind.py"), "a run names its own backbone weights and module files"),
        ((tmp_path / "none.safetensors",), "no subnet checkpoint at"),
        ((tmp_path,), "is not a run folder"),
        ((run, "--row", lora_row, "--images", tmp_path / "none.png"), "no image at"),
        ((run, "--row", lora_row, "--images", text), "give another to --images"),
    ]
    for arguments, said in mistakes:
        assert said in error_of(export(*map(str, arguments), "--to", "merged", "--output", out))
    kept = checkpoint.read_bytes()
    own, link = ("--to", "subnet", "--output", checkpoint), tmp_path / "link.safetensors"
    assert "is a file of the run" in error_of(export(run, *own))
    copy = Path(shutil.copy(checkpoint, out))
    link.symlink_to(copy)
    assert "is a file that the command reads" in error_of(export(copy, "--to", "subnet", "--output", link))
    assert copy.read_bytes() == checkpoint.read_bytes() == kept
    copy.unlink()
    link.unlink()
    assert "unknown form of export 'tflite'" in error_of(export(run, "--to", "tflite", "--output", out))
    assert [file.name for file in tmp_path.iterdir()] == ["text.png"]


def test_a_row_without_weights_names_the_command_that_trains_it(run: Path, lora_row: str):
    """Its final model is moved away: earlier versions kept no weights of rows that lost."""
    (file,) = (run / "trainings").glob(f"{lora_row}.train_val.*.safetensors")
    moved = file.rename(file.with_suffix(".moved"))
    try:
        with pytest.raises(
            InputError, match=f"has kept no weights of the row '{lora_row}', .* with another --out"
        ):
            subnet_of_run(run, row=lora_row)
    finally:
        moved.rename(file)


@pytest.mark.slow
def test_a_row_of_a_run_without_retraining_says_that_nothing_was_trained(image_folder: Path, tmp_path: Path):
    few = {"generations": 1, "population": 2, "supernet_epochs": 1, "linear_epochs": 1, "head_epochs": 1}
    result = nas_peft.search(
        out=tmp_path / "run", device="cpu", dataset=str(image_folder), no_retrain=True, time=None, **few
    )
    assert subnet_of_run(result.run, row=result.selected.name).training["weights"] == "inherited"
    with pytest.raises(InputError, match=r"row 'linear': with --no-retrain nothing is trained.*--candidate"):
        subnet_of_run(result.run, row="linear")
