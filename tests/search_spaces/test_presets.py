"""The spaces that come with the package, and the messages for mistakes in a user's file."""

import re

import numpy as np
import pytest

from search_spaces import InputError, KindChoices, SearchSpace, load_space, preset_names

THREE = ("adapter_dim", "lora_rank", "prompt_tokens")


def test_the_presets():
    assert preset_names() == ("all", "default", "large", "noah-fewshot", "noah-vtab", "wide")


@pytest.mark.parametrize("depth", [1, 4, 8, 12, 24])
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_at_every_depth(name, depth):
    space = load_space(name, depth)
    assert (space.name, space.depth) == (name, depth)
    assert space.about
    assert space.sample(np.random.default_rng(0)) in space
    assert SearchSpace.from_dict(space.to_dict()) == space


@pytest.mark.parametrize("name", ["default", "noah-vtab", "noah-fewshot"])
def test_the_kinds_of_noah(name):
    assert [kind for kind, _ in load_space(name, 4).kinds] == list(THREE)


def test_wide_has_every_family_and_leaves_every_layer_free():
    space = load_space("wide", 4)
    assert [kind for kind, _ in space.kinds] == [
        "adapter_dim",
        "adapter_dim_parallel_scaled",
        "lora_rank_fc1",
        "lora_rank_fc2",
        "lora_rank_k",
        "lora_rank_pos",
        "lora_rank_proj",
        "lora_rank_q",
        "lora_rank_v",
        "prompt_tokens",
        "shallow_prompt_tokens",
        "ssf",
    ]
    assert space.choices("ssf") == KindChoices((0, 2, 4, 6))
    assert space.choices("shallow_prompt_tokens") == KindChoices((1, 2, 4, 8, 16, 32), depths=(0, 1))
    assert space.smallest().kinds == ()
    assert space.largest()["shallow_prompt_tokens"] == (32, 0, 0, 0)


def test_noah_presets_are_the_published_spaces_on_twelve_layers():
    for kind in THREE:
        assert load_space("noah-vtab", 12).choices(kind) == KindChoices((1, 5, 10), (3, 6, 9, 12))
        assert load_space("noah-fewshot", 12).choices(kind) == KindChoices((5, 10, 50, 100), (3, 6, 9, 12))


def test_default_leaves_every_layer_free():
    space = load_space("default", 8)
    assert space.choices("lora_rank") == space.choices("adapter_dim") == KindChoices((0, 1, 2, 4, 8, 16))
    assert space.choices("prompt_tokens") == KindChoices((0, 1, 2, 4, 8, 16, 32))
    assert space.smallest().kinds == ()


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (6, (2, 3, 5, 6)), (8, (2, 4, 6, 8)), (24, (6, 12, 18, 24))],
)
def test_fractions_are_rounded_to_layers(depth, expected):
    assert load_space("noah-vtab", depth).choices("lora_rank").depths == expected


def written(folder, text, name="mine.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


GOOD = "name: mine\nkinds:\n  lora_rank: {sizes: [1, 2], depths: [0, 2]}\n  adapter_dim: {sizes: [0, 3]}\n"


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine"])
def test_a_file_of_ones_own(tmp_path, name):
    expected = SearchSpace(
        "mine", 4, (("lora_rank", KindChoices((1, 2), (0, 2))), ("adapter_dim", KindChoices((0, 3))))
    )
    path = written(tmp_path, GOOD, name)
    assert load_space(path, 4) == expected
    assert load_space(str(path), 4) == expected


def test_a_preset_is_not_hidden_by_a_folder_or_file_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    written(tmp_path, GOOD, "noah-vtab")
    assert load_space("default", 4).name == "default"
    assert load_space("noah-vtab", 4).name == "noah-vtab"


def kind(fields):
    return f"name: mine\nkinds:\n  lora_rank: {fields}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kinds: {lora_rank: {sizes: [1]}}", "the field 'name' is missing"),
        ("name: mine", "the field 'kinds' is missing"),
        ("name: 3\nkinds: {}", "name is 3; give a text"),
        ("name: mine\nabout: [1]\nkinds: {}", "about is [1]; give a text, or leave it out"),
        ("name: mine\nkinds: [lora_rank]", "kinds is ['lora_rank']; give fields"),
        ("name: mine\nkinds: {}", "the space 'mine' has no kinds"),
        ("name: mine\nkind: {}", "unknown field 'kind'; did you mean 'kinds'?"),
        (
            "name: mine\nkinds: {lora: {sizes: [1]}}",
            "unknown module kind 'kinds.lora'; did you mean 'kinds.lora_rank'?",
        ),
        ("name: mine\ndepth: 12\nkinds: {}", "depth is 12, but the backbone sets it; remove the field"),
        (kind("[1, 2]"), "kinds.lora_rank is [1, 2]; give fields, such as {sizes: [0, 1, 2, 4]}"),
        (kind("{}"), "kinds.lora_rank has no sizes; add a list"),
        (kind("{sizes: 4}"), "kinds.lora_rank.sizes is 4; give a list of whole numbers"),
        (kind("{sizes: []}"), "kinds.lora_rank.sizes is empty"),
        (kind("{sizes: [0]}"), "kinds.lora_rank.sizes is [0]; add a positive size"),
        (kind("{sizes: [1, x]}"), "kinds.lora_rank.sizes[1] is 'x'; give a whole number from 0 up"),
        (kind("{sizes: [1, true]}"), "kinds.lora_rank.sizes[1] is True; give a whole number from 0 up"),
        (kind("{sizes: [-1]}"), "kinds.lora_rank.sizes[0] is -1; give a whole number from 0 up"),
        (kind("{sizes: [4, 2]}"), "kinds.lora_rank.sizes[1] is 2 after 4; give ascending numbers"),
        (kind("{sizes: [1], deep: [1]}"), "unknown field of kinds.lora_rank 'deep'"),
        (
            kind("{sizes: [1], depths: [2, 5]}"),
            "kinds.lora_rank.depths[1] is 5; give a whole number from 0 to 4",
        ),
        (kind("{sizes: [0, 1], depths: [2]}"), "kinds.lora_rank.sizes[0] is 0, but with depths"),
        (
            kind("{sizes: [1], depths: [2], depth_fractions: [1]}"),
            "kinds.lora_rank has both depths and depth_fractions",
        ),
        (
            kind("{sizes: [1], depth_fractions: [.5, 2]}"),
            "kinds.lora_rank.depth_fractions[1] is 2; give a number from 0",
        ),
        (kind("{sizes: [1], depth_fractions: 1}"), "kinds.lora_rank.depth_fractions is 1; give a list"),
        (kind("{sizes: [1], depth_fractions: [0]}"), "kinds.lora_rank.depths is [0]; add a positive depth"),
        (
            "name: mine\nkinds: {ia3: {sizes: [0, 1]}}",
            "once the file that registers it is imported (--module-file FILE.py)",
        ),
        (
            "name: mine\nkinds: {ssf: {sizes: [0, 3, 8]}}",
            "kinds.ssf is 8, but the largest size of ssf is 6; give that or less",
        ),
        (
            "name: mine\nkinds: {shallow_prompt_tokens: {sizes: [1], depths: [0, 2]}}",
            "kinds.shallow_prompt_tokens is positive beyond the first layer, the only one that can have "
            "shallow_prompt_tokens; give depths: [0, 1], or [1] for always",
        ),
        ("name: mine\nkinds: {lora_rank: [1, 2\n", "line 3: expected ',' or ']'"),
        ("name: mine\nabout: a: b\n", "line 2: mapping values are not allowed here"),
        ("name: \x00", "not YAML: unacceptable character"),
        ("", "holds no fields"),
        ("- mine", "holds no fields"),
    ],
)
def test_mistakes_in_a_file_are_named_in_one_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        load_space(path, 4)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_an_unknown_preset():
    with pytest.raises(InputError, match="unknown space 'noah-vtb'; did you mean 'noah-vtab'") as error:
        load_space("noah-vtb", 4)
    assert "give the path of a .yaml file" in str(error.value)


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(
        InputError, match=r"cannot read the space file '.*gone.yaml': No such file.*presets: all, default"
    ):
        load_space(tmp_path / "gone.yaml", 4)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        load_space(path, 4)


def test_an_impossible_depth():
    with pytest.raises(InputError, match="depth is 0; give a whole number from 1 up"):
        load_space("default", 0)
