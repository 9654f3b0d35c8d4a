"""The benchmark of training steps: its checks, what it measures and writes, and what it says of mistakes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from sweep import sweep
from torch import Tensor, nn

import benchmarks.supernet_step.run as supernet_step
from benchmarks.supernet_step import checks as step_checks
from benchmarks.supernet_step import contestants as step_contestants
from benchmarks.supernet_step.contestants import ConcatenatedPrompts, Contestant, Floor, plans
from benchmarks.supernet_step.measurement import results_of
from benchmarks.supernet_step.tables import goals_met
from search_spaces import Architecture, InputError
from supernet import random_backbone

BACKBONE = "vit_micro_patch8_32"
SMALL = ["--device=cpu", f"--backbone={BACKBONE}", "--layers=2", "--batch=3", "--repeats=3"]
NAMES = [name for name in plans([10, 100]) if name != "peft-lora" or find_spec("peft")]
ALL = [f"--contestant={name}" for name in NAMES]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of everything."""
    path = tmp_path_factory.mktemp("step") / "new" / "step.json"
    assert supernet_step.main([*SMALL, *ALL, f"--out={path}"]) == 0
    return path


@pytest.fixture
def vit() -> Any:
    return step_contestants.cut(random_backbone(BACKBONE, 0).model, 2)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def entries_of(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(path.read_text())["entries"]
    return entries


def mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that the script says about it."""
    assert supernet_step.main(list(argv)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.thorough
def test_entry_says_what_was_measured_and_how(out: Path) -> None:
    (entry,) = entries_of(out)
    assert (entry["backbone"], entry["layers"], entry["batch"]) == (BACKBONE, 2, 3)
    assert (entry["precision"], entry["repeats"], entry["sizes"]) == ("fp32", 3, [10, 100])
    assert entry["device"] == entry["machine"]["processor"]
    assert entry["versions"]["torch"] == torch.__version__
    assert list(entry["contestants"]) == NAMES
    for name, result in entry["contestants"].items():
        assert len(result["seconds"]) == 3
        assert result["median_seconds"] == pytest.approx(sorted(result["seconds"])[1], abs=1e-6)
        assert result["images_per_second"] == pytest.approx(3 / result["median_seconds"])
        assert result["reference"] == ("eval-timm" if name.startswith("eval") else "floor")
        assert result["peak_bytes"] > result["bytes_before"] > 0
    assert entry["contestants"]["floor"]["speed_of_reference"] == 1
    assert str(out.parent) not in out.read_text()


@pytest.mark.thorough
def test_memory_is_in_the_order_that_it_must_be(out: Path) -> None:
    (entry,) = entries_of(out)
    peak = {name: result["peak_bytes"] for name, result in entry["contestants"].items()}
    assert peak["eval-timm"] < peak["floor"] < peak["supernet-10"] < peak["supernet-100"]
    assert peak["supernet-prompts"] < peak["vpt-prompts"]
    assert peak["floor"] < peak["full"]


@pytest.mark.thorough
def test_contestants_agree(out: Path) -> None:
    (entry,) = entries_of(out)
    checks = entry["checks"]
    assert {"empty supernet - timm", "floor - timm", "prompts - concatenated prompts"} < set(checks)
    assert all(0 <= gap <= step_checks.TOLERANCE for gap in checks.values())
    if find_spec("peft"):
        assert "LoRA - PEFT's" in checks


@pytest.mark.thorough
def test_goals_stand_beside_what_was_measured(out: Path) -> None:
    (entry,) = entries_of(out)
    goals = {(goal["contestant"], goal["quantity"]): goal for goal in entry["goals"]}
    assert len(goals) == (7 if find_spec("peft") else 6)
    goal = goals["supernet-10", "peak memory"]
    peak = {name: entry["contestants"][name]["peak_bytes"] for name in ("supernet-10", "floor")}
    assert goal["measured"] == pytest.approx(peak["supernet-10"] / peak["floor"])
    assert goal["met"] == (goal["measured"] <= goal["goal"])


def test_goals_by_hand() -> None:
    results = {"floor": {"peak_bytes": 100}, "supernet-10": {"peak_bytes": 116}}
    speed, memory = goals_met(results, lambda name, reference: {"supernet-10": 0.9}[name])
    assert (speed["quantity"], speed["goal"], speed["measured"], speed["met"]) == ("speed", 0.9, 0.9, True)
    assert (memory["quantity"], memory["goal"], memory["met"]) == ("peak memory", 1.15, False)
    assert memory["measured"] == pytest.approx(1.16)


def test_ratios_are_within_repeats() -> None:
    # the second repeat was on a machine half as fast
    seconds = {"floor": [1.0, 2.0, 1.0], "full": [2.0, 4.0, 2.5], "eval-timm": [0.5, 0.5, 0.5]}
    found = results_of(seconds, 8)
    assert found["full"]["speed_of_reference"] == pytest.approx(0.5)
    assert found["full"]["images_per_second"] == pytest.approx(8 / 2.5)
    assert found["eval-timm"]["speed_of_reference"] == 1
    assert results_of({"full": [1.0]}, 8)["full"]["speed_of_reference"] is None


@pytest.mark.thorough
def test_a_run_replaces_its_own_entry_and_no_other(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "step.json"
    copy.write_text(out.read_text())
    few = ["--contestant=floor", f"--out={copy}"]
    assert supernet_step.main([*SMALL, *few, "--precision=bf16"]) == 0
    assert [entry["precision"] for entry in entries_of(copy)] == ["fp32", "bf16"]
    assert entries_of(copy)[0] == entries_of(out)[0]
    assert supernet_step.main([*SMALL, *few]) == 0
    assert [entry["precision"] for entry in entries_of(copy)] == ["bf16", "fp32"]
    assert list(entries_of(copy)[1]["contestants"]) == ["floor"]


@pytest.mark.thorough
def test_a_part_is_written_only_where_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supernet_step, "OUT", tmp_path / "step.json")
    assert supernet_step.main([*SMALL, "--contestant=floor"]) == 0
    assert not (tmp_path / "step.json").exists()
    assert "floor" in capsys.readouterr().out


@pytest.mark.thorough
def test_profile_prints_operators(capsys: pytest.CaptureFixture[str]) -> None:
    assert supernet_step.main([*SMALL, "--profile=supernet-10"]) == 0
    assert "aten::addmm" in capsys.readouterr().out


def test_prompts_that_differ_are_found(vit: Any, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_the_last_layers(self: ConcatenatedPrompts, images: Tensor) -> Tensor:
        with torch.no_grad():
            self.prompts[-1] = 0
        return forward(self, images)

    forward = ConcatenatedPrompts.forward
    step_checks.check(vit, images, peft=False)
    monkeypatch.setattr(ConcatenatedPrompts, "forward", without_the_last_layers)
    with pytest.raises(step_checks.WrongContestant, match="concatenated prompts"):
        step_checks.check(vit, images, peft=False)


def test_lora_that_differs_is_found(vit: Any, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(step_contestants, "LORA_RANK", 8)
    assert step_checks.check(vit, images, peft=True)["LoRA - PEFT's"] <= step_checks.TOLERANCE
    original = step_checks.with_peft

    def doubled(model: Any) -> nn.Module:
        wrapped = original(model)
        for block in model.blocks:
            block.attn.qkv.scaling["default"] = 2.0
        return wrapped

    monkeypatch.setattr(step_checks, "with_peft", doubled)
    with pytest.raises(step_checks.WrongContestant, match="PEFT"):
        step_checks.check(vit, images, peft=True)


def test_a_floor_whose_gradient_ends_early_is_found(
    vit: Any, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Floor, "forward", lambda self, x: self.head(self.vit(x)))
    with pytest.raises(step_checks.WrongContestant, match="embedded tokens"):
        step_checks.check(vit, images, peft=False)


@pytest.mark.parametrize("name", sweep(NAMES, 3))
def test_each_trains_what_it_says(name: str, vit: Any, images: Tensor) -> None:
    plan = plans([10, 100])[name]
    contestant = step_contestants.built(plan, vit, 3)
    before = {k: v.clone() for k, v in contestant.network.state_dict().items()}
    labels = torch.tensor([1, 2, 3])
    for _ in range(2):
        contestant.step(images, labels, "fp32")
    changed = {k for k, v in contestant.network.state_dict().items() if not torch.equal(v, before[k])}
    backbone = {k for k in changed if ".blocks." in k and "lora" not in k and not k.startswith("layers")}
    assert ("head.weight" in changed) == contestant.trains == (not name.startswith("eval"))
    assert bool(backbone) == (name == "full")
    modules = {k for k in changed if k.startswith(("layers", "prompts")) or "lora" in k}
    assert bool(modules) == (name.startswith(("supernet", "peft", "vpt")))
    if name == "supernet-10":
        assert {k.split(".")[2] for k in modules} == {"prompt_tokens", "lora_rank", "adapter_dim"}
        assert {k.split(".")[1] for k in modules} == {"0", "1"}


def test_sizes_per_image_are_random_up_to_the_capacity() -> None:
    capacity = Architecture.of(2, {"lora_rank": [10, 10], "prompt_tokens": [10, 0]})
    drawn = step_contestants.random_sizes(capacity, 64)
    assert drawn.kinds == ("lora_rank", "prompt_tokens")
    assert set(drawn.sizes[:, 0, 0].tolist()) == set(range(11))
    assert set(drawn.sizes[:, 1, 1].tolist()) == {0}
    assert torch.equal(drawn.sizes, step_contestants.random_sizes(capacity, 64).sizes)


def test_optimizer_state_is_resident(vit: Any, images: Tensor) -> None:
    network = Floor(vit)
    contestant = Contestant(network, network, trains=True)
    frozen = sum(t.numel() for t in contestant.tensors())
    contestant.step(images, torch.tensor([1, 2, 3]), "fp32")
    head = sum(p.numel() for p in network.head.parameters())
    assert sum(t.numel() for t in contestant.tensors()) >= frozen + 2 * head


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--contestant=supernet-11"], "supernet-10"),
        (["--profile=flor"], "'floor'"),
        (["--layers=9"], "--layers"),
        (["--backbone=vit_macro"], "vit_macro"),
        (["--backbone=eva02_tiny_patch14_224"], "VisionTransformer"),
    ],
)
def test_mistakes(options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "step.json"
    assert named in mistake(capsys, *SMALL, "--contestant=floor", f"--out={out}", *options)
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--device is cuda" in mistake(capsys, "--device=cuda")


def test_another_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "other.json"
    for text in ("no JSON", "{}", "[]"):
        out.write_text(text)
        assert "is not a file of this benchmark" in mistake(capsys, *SMALL, f"--out={out}")
        assert out.read_text() == text


def test_peft_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, vit: Any) -> None:
    monkeypatch.setattr(step_contestants, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install peft"):
        step_contestants.built(plans([10])["peft-lora"], vit, 2)
