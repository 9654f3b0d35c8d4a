"""What the listing commands print, as text and as JSON, and the mistakes in their arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.data import embedded_names
from nas_peft.data.embedded import list_embedded
from nas_peft.data.timm_datasets import TIMM_PREFIXES
from nas_peft.planning.levels import LEVELS
from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.lists import AUGMENTATIONS
from nas_peft.settings.methods import METHODS
from search_spaces import BackboneShape, count_params, load_space, preset_names
from supernet import create_backbone
from supernet.modules import ELASTIC


def shown(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})
    assert result.exit_code == status, result.output
    assert max(map(len, result.stdout.splitlines()), default=0) <= 80 or "--json" in arguments
    return result.stdout if status == 0 else result.stderr


def listed(*arguments: str) -> Any:
    return json.loads(shown(*arguments, "--json"))


def test_data_sets_are_those_that_are_read():
    found = listed("datasets")
    assert sorted(e["name"] for e in found["embedded"]) == sorted(embedded_names())
    for embedded in found["embedded"]:
        listing = list_embedded(embedded["name"], lambda image: None)  # type: ignore[arg-type, return-value]
        assert embedded["images"] == {part: len(items) for part, items in listing.parts()}
        assert embedded["classes"] == len(listing.classes)
    assert tuple(t["prefix"] for t in found["timm"]) == TIMM_PREFIXES
    text = shown("datasets")
    for name in (*embedded_names(), "FOLDER/CLASS/IMAGE", "TABLE", "torch/NAME", "--domains"):
        assert name in text


def test_spaces_are_the_presets_with_their_size():
    found = listed("spaces")
    assert [space["name"] for space in found] == list(preset_names())
    for described in found:
        space = load_space(described["name"], 12)
        assert described["architectures"] == space.cardinality()
        assert described["largest_params"] == count_params(space.largest(), BackboneShape.vit(768))
    assert "1,189,056" in shown("spaces")


def test_a_kind_that_acts_in_all_layers_is_described_so():
    (found,) = listed("spaces", "all")
    places = {kind["kind"]: kind["places"] for kind in found["kinds"]}
    assert places["fact_rank"] == [f"{place} of every layer" for place in ELASTIC["fact_rank"].places]
    assert places["shallow_prompt_tokens"] == ["before the first layer"]


@pytest.mark.slow
def test_a_space_is_described_with_the_places_of_its_kinds_on_a_backbone():
    (found,) = listed("spaces", "large", "--backbone", "vit_micro_patch8_32")
    shape = create_backbone("vit_micro_patch8_32").shape
    assert found["largest_params"] == count_params(load_space("large", 8).largest(), shape)
    places = {kind["kind"]: kind["places"] for kind in found["kinds"]}
    assert places["lora_rank_fc1"] == list(ELASTIC["lora_rank_fc1"].places)
    assert (places["prompt_tokens"], places["lora_rank_pos"]) == (["attention"], ["before the first layer"])
    assert "SSF, norm1, norm2, proj, fc2, qkv, fc1: 0, 2, 4, 6" in shown("spaces", "large")
    assert "did you mean 'large'?" in shown("spaces", "larg", status=2)


def test_backbones_are_families_of_timm():
    found = {family["family"]: family["names"] for family in listed("backbones")}
    assert "vit_small_patch14_dinov2.lvd142m" in found["DINOv2"]
    assert "vit_micro_patch8_32" in shown("backbones")


@pytest.mark.slow
def test_names_of_backbones_say_whether_they_work_and_where_their_weights_are():
    found = {one["name"]: one for one in listed("backbones", "vit_micro")}
    assert found["vit_micro_patch8_32"]["weights"] == "package"
    assert found["vit_micro_patch8_32"]["supported"] is True
    names = listed("backbones", "vit_base*rpn*") + listed("backbones", "vit_tiny*in21k")
    found = {one["name"]: one for one in names}
    assert found["vit_tiny_patch16_224.augreg_in21k"]["supported"] is True
    assert found["vit_tiny_patch16_224.augreg_in21k"]["pixels"] == [224, 224]
    assert found["vit_tiny_patch16_224.augreg_in21k"]["weights"] in ("hub", "cache")
    (other,) = (one for name, one in found.items() if "rpn" in name)
    assert (other["supported"], other["reason"]) == (False, "has blocks of type ResPostBlock")
    text = " ".join(shown("backbones", "vit_base*rpn*").split())
    assert "not supported: has blocks of type ResPostBlock" in text
    assert listed("backbones", "vit_")[0]["supported"] is None
    assert "matches 'nosuch'; give a shorter part of a name" in shown("backbones", "nosuch", status=2)


def test_recipes_are_those_of_the_settings():
    found = listed("recipes")
    assert tuple(found["augmentations"]) == AUGMENTATIONS
    assert [method["name"] for method in found["methods"]] == list(METHODS)
    assert [baseline["name"] for baseline in found["baselines"]] == list(BASELINES)
    assert len(found["levels"]) == len(LEVELS)
    text = shown("recipes")
    for name in (*AUGMENTATIONS, *METHODS, *BASELINES, "thorough", f"level {len(LEVELS)}"):
        assert f"  {name} " in text


@pytest.mark.parametrize("name", [*METHODS, *BASELINES])
def test_each_method_is_described_in_full(name: str):
    text = " ".join(shown("recipes", name).split())
    assert "paper" in text
    method = METHODS[BASELINES[name].method if name in BASELINES else name]  # type: ignore[index]
    assert " ".join(method.taken_over.split()) in text


def test_an_unknown_method_is_one_line():
    assert "error: unknown method 'lp-ftt'; did you mean 'lp-ft'?" in shown("recipes", "lp-ftt", status=2)


@pytest.mark.parametrize("command", ["search", "baselines"])
def test_the_schema_is_one(command: str):
    schema = json.loads(CliRunner().invoke(app, ["schema", command]).stdout)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"nas-peft {command}"
    assert ("generations" in schema["properties"]) == (command == "search")
