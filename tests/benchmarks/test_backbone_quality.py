"""The backbone benchmark: its protocol, what it writes, and what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import benchmarks.backbone_quality as script
from nas_peft.data import Part, SealedPart
from supernet import Evaluation, Preprocessing, Recipe, create_backbone, random_backbone


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some weights with the record of a pretraining."""
    path = tmp_path_factory.mktemp("weights") / "some.safetensors"
    history = [{"epoch": 1, "held_out_accuracy": 0.1}, {"epoch": 2, "held_out_accuracy": 0.25}]
    metadata = {
        "classes": json.dumps(["ant", "bee"]),
        "recipe": json.dumps({"data": "images.tar", "held_out": 40}),
        "history": json.dumps(history),
    }
    save_file(random_backbone("vit_micro_patch8_32", 9).model.state_dict(), path, metadata=metadata)
    return path


@pytest.fixture(scope="module")
def report(insects: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A short run."""
    return measured(insects, weights, tmp_path_factory.mktemp("report") / "new" / "report.json")


def measured(insects: Path, weights: Path, out: Path) -> dict[str, Any]:
    options = ["--epochs=2", "--seeds=2", "--backbone-weights", str(weights), f"--out={out}"]
    assert script.main([f"--task={insects}", *options]) == 0
    read: dict[str, Any] = json.loads(out.read_text())
    return read


def mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that the script says about it."""
    assert script.main(list(argv)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.thorough
def test_report_says_what_was_measured_and_how(report: dict[str, Any]) -> None:
    assert report["seeds"] == [0, 1]
    assert report["recipe"]["epochs"] == 2
    assert report["recipe"]["lr"] == [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1]
    assert report["machine"]["processor"]
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["torch"] == torch.__version__
    assert report["versions"]["timm"] == timm.__version__
    assert report["versions"]["python"].startswith("3.")
    (task,) = report["tasks"]
    assert task["task"] == "insects"
    assert task["counts"] == {"train": 19, "val": 5, "test": 6}
    for name in ("pretrained", "random"):
        result = task[name]
        first, second = result["test_accuracy"]
        assert result["mean"] == pytest.approx((first + second) / 2)
        assert result["std"] == pytest.approx(abs(first - second) / 2**0.5)
        assert len(result["validation_accuracy"]) == 6
        best = result["validation_accuracy"][str(result["lr"])]
        assert best == max(result["validation_accuracy"].values())


def test_report_has_the_record_of_the_pretraining(report: dict[str, Any]) -> None:
    assert report["backbone"]["weights"] == "some.safetensors"
    assert report["backbone"]["pretraining"] == {
        "data": "images.tar", "classes": 2, "epochs": 2, "held_out": 40, "held_out_accuracy": 0.25
    }  # fmt: skip


def test_report_has_no_folders_of_the_machine(report: dict[str, Any], insects: Path, weights: Path) -> None:
    assert str(insects.parent) not in json.dumps(report)
    assert str(weights.parent) not in json.dumps(report)
    assert report["command"].startswith("python -m benchmarks.backbone_quality --task=insects")
    assert "--backbone-weights some.safetensors --out=report.json" in report["command"]


@pytest.mark.thorough
def test_same_command_same_numbers(
    report: dict[str, Any], insects: Path, weights: Path, tmp_path: Path
) -> None:
    again = measured(insects, weights, tmp_path / "report.json")
    for run in (report, again):
        for name in ("pretrained", "random"):
            assert run["tasks"][0][name].pop("training_seconds", 1.0) > 0
    assert again == report


def test_test_part_is_opened_once_after_both_choices(
    insects: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    train_head, open_part = script.train_head, SealedPart.open

    def train(*arguments: Any, **named: Any) -> Any:
        part = arguments[1]
        events.append(f"train on {len(part)}")
        return train_head(*arguments, **named)

    def opened(self: SealedPart, decision: str) -> Part:
        events.append(f"open: {decision}")
        return open_part(self, decision)

    monkeypatch.setattr(script, "train_head", train)
    monkeypatch.setattr(SealedPart, "open", opened)
    measured(insects, weights, tmp_path / "report.json")
    one = ["train on 19"] * 6 + ["train on 24"] * 2
    assert events[:-1] == one + one
    assert events[-1].startswith("open: ")
    assert "pretrained" in events[-1]
    assert "random" in events[-1]


@pytest.mark.thorough
def test_control_has_other_weights_for_every_seed(
    insects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, list[str]] = {}

    def measure(dataset: Any, contestants: Any, recipe: Recipe) -> dict[str, Any]:
        given.update({name: [b.digest for b in backbones] for name, backbones in contestants.items()})
        result = {"mean": 0.5, "std": None}
        counts = {"train": 1, "val": 1, "test": 1}
        return {"task": "t", "classes": 2, "counts": counts, "pretrained": result, "random": result}

    monkeypatch.setattr(script, "measure", measure)
    assert script.main([f"--task={insects}", "--seeds=3", "--out", str(tmp_path / "report.json")]) == 0
    assert len(set(given["random"])) == 3
    assert len(set(given["pretrained"])) == 1
    assert set(given["random"]).isdisjoint(given["pretrained"])


def test_only_the_head_is_trained() -> None:
    backbone = random_backbone("vit_micro_patch8_32", 0)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    images = torch.randint(0, 256, (20, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    part = Part(images.to(torch.uint8), torch.arange(20) % 2)
    network = script.train_head(backbone, part, 2, Recipe(epochs=60, lr=3e-2), seed=0)
    assert all(torch.equal(value, before[name]) for name, value in backbone.model.state_dict().items())
    assert not list(network.elastic_modules())
    assert script.score(network, part).accuracy > 0.9  # 20 images in 128 dimensions


def test_learning_rate_is_chosen_by_accuracy_then_loss() -> None:
    def evaluation(right: int, loss: float) -> Evaluation:
        return Evaluation(torch.full((10,), loss), torch.arange(10) < right)

    scores = {1e-3: evaluation(5, 0.1), 3e-3: evaluation(7, 0.9), 1e-2: evaluation(7, 0.8)}
    assert script.best_learning_rate(scores) == 1e-2


def test_weights_without_a_record(tmp_path: Path) -> None:
    model = create_backbone("vit_micro_patch8_32").model
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={"history": "no JSON"})
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    for name in ("bare.safetensors", "other.safetensors", "broken.safetensors", "torch.pt"):
        assert script.pretraining_record(tmp_path / name, model) is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--task=digitz"], "digitz"),
        (["--backbone=vit_macro"], "vit_macro"),
        (["--backbone-weights=nowhere.safetensors"], "nowhere.safetensors"),
        (["--seeds=0"], "'0'"),
        (["--epochs=x"], "'x'"),
        (["--tasks=digits"], "--tasks"),
        (["--out=."], "--out"),
    ],
)
def test_mistakes(options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    assert named in mistake(capsys, "--out", str(out), *options)
    assert not out.exists()


def test_features_are_those_of_the_preprocessed_images() -> None:
    backbone = random_backbone("vit_micro_patch8_32", 0)
    images = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    part = Part(images.to(torch.uint8), torch.arange(5) % 2)
    network = script.train_head(backbone, part, 2, Recipe(epochs=1, lr=1e-3), seed=0)
    x = Preprocessing.of(backbone.model).normalise(part.images)
    with torch.no_grad():
        expected = backbone.model(x) @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
        hits = script.score(network, part).hits
    assert torch.equal(hits, expected.argmax(-1) == part.labels)
