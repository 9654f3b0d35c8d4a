"""What a run works on: loaded, checked, and recognised when a run is resumed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sweep import sweep

from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.single_methods import lora_everywhere
from nas_peft.run.stage_records import InputsRecord
from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.settings.search_config import SearchConfig
from search_spaces import (
    Architecture,
    BackboneShape,
    InputError,
    KindChoices,
    SearchSpace,
    count_params,
    load_space,
    preset_names,
    sampler_around,
)
from search_spaces.sampling import SMALLEST_SHARE
from supernet.images import TwoSizes

pytestmark = pytest.mark.slow

QUIET = StageBars(quiet=True)


@pytest.fixture(scope="module")
def large_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of pictures with more pixels than the shipped backbone sees."""
    folder, draws = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    for label in ("ant", "bee"):
        (folder / label).mkdir()
        for number in range(8):
            pixels = draws.integers(0, 256, (50, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    "options", [{"augmentation": "none,crop"}, {"supernet_augmentation": "strong"}], ids=["rows", "supernet"]
)
def test_crops_are_cut_from_larger_copies(large_pictures: Path, options: dict[str, Any]):
    plain = SearchConfig.of(dataset=str(large_pictures)).on("cpu")
    without = SearchInputs.load(plain, QUIET)
    assert not isinstance(without.dataset.train.images, TwoSizes)
    config = SearchConfig.of(dataset=str(large_pictures), **options).on("cpu")
    for inputs in (SearchInputs.load(config, QUIET), without.with_config(config).with_larger_images(QUIET)):
        images = inputs.for_trainings(torch.empty(0)).train.images
        assert isinstance(images, TwoSizes)
        assert images.larger.shape[-2:] == (40, 40)  # 1.25 times 32
        assert inputs.dataset.fingerprint == without.dataset.fingerprint


def test_the_single_methods_are_the_largest_uniform_ones_within_the_budget(tiny_inputs: SearchInputs):
    # 0.75% of 1,637,000 parameters is about 12,300: 8 layers of 128 for a prompt, 512 for a rank.
    singles = tiny_inputs.single_methods()
    sizes = {"prompt_tokens": 11, "lora_rank": 2, "adapter_dim": 5, "ssf": 4}  # the space has no SSF
    assert singles == {f"{kind}-{n}": Architecture.uniform(8, kind, n) for kind, n in sizes.items()}
    assert all(tiny_inputs.fits(a) for a in singles.values())
    assert not any(tiny_inputs.fits(Architecture.uniform(8, kind, n + 1)) for kind, n in sizes.items())


def test_single_methods_compete_at_halves_of_their_size_if_asked(tiny_values: dict[str, Any]):
    config = SearchConfig.of(**tiny_values | {"space": "wide", "population": 24, "single_sizes": 3})
    singles = SearchInputs.load(config, QUIET).single_methods()
    by_kind: dict[str, list[int]] = {}
    for name in singles:
        kind, _, size = name.rpartition("-")
        by_kind.setdefault(kind, []).append(int(size))
    assert by_kind["prompt_tokens"] == [11, 5, 2]
    assert by_kind["lora_rank"] == [2, 1]
    assert by_kind["adapter_dim"] == [5, 2, 1]
    assert by_kind["ssf"] == [4, 2, 1]
    assert by_kind["lora_rank_q"] == [4, 2, 1]
    assert by_kind["shallow_prompt_tokens"] == [32, 16, 8]


def test_the_single_methods_that_are_named_compete_and_no_others(tiny_values: dict[str, Any]):
    named = {"singles": "lora-everywhere,lora_rank_fc2,adapter_dim", "budget": "4%"}
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values | named), QUIET)
    singles = inputs.single_methods()
    assert list(singles) == ["lora-everywhere-3", "lora_rank_fc2-12", "adapter_dim-30"]
    everywhere = singles["lora-everywhere-3"]
    assert set(everywhere.kinds) == {
        "lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2", "lora_rank_pos"
    }  # fmt: skip
    assert all(inputs.fits(a) for a in singles.values())


def test_a_single_method_that_is_not_known_is_named_with_the_nearest(tiny_values: dict[str, Any]):
    config = SearchConfig.of(**tiny_values | {"singles": "lora-everywere"})
    with pytest.raises(InputError, match=r"singles is 'lora-everywere', .* did you mean 'lora-everywhere'\?"):
        SearchInputs.load(config, QUIET)


def test_the_largest_of_the_space_are_members(tiny_inputs: SearchInputs):
    largest = tiny_inputs.largest_uniform()
    sizes = {"adapter_dim": 4, "lora_rank": 2, "prompt_tokens": 8}
    assert largest == {kind: Architecture.uniform(8, kind, size) for kind, size in sizes.items()}
    assert all(a in tiny_inputs.space for a in largest.values())


def test_no_size_of_a_single_method_is_beyond_the_published_one(tiny_values: dict[str, Any]):
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values | {"budget": "10%"}), QUIET)
    assert "ssf-6" in inputs.single_methods()


@pytest.fixture(scope="module")
def wide_inputs(tiny_values: dict[str, Any]) -> SearchInputs:
    """Of a space with twelve kinds."""
    return SearchInputs.load(SearchConfig.of(**tiny_values | {"space": "wide", "population": 24}), QUIET)


def test_every_kind_of_a_wide_space_has_its_single_method(wide_inputs: SearchInputs):
    # 12,098 parameters: 1,512 for each layer
    singles = wide_inputs.single_methods()
    assert singles == {
        "prompt_tokens-11": Architecture.uniform(8, "prompt_tokens", 11),
        "lora_rank-2": Architecture.uniform(8, "lora_rank", 2),
        "adapter_dim-5": Architecture.uniform(8, "adapter_dim", 5),
        "ssf-4": Architecture.uniform(8, "ssf", 4),  # the published six are beyond the budget
        "adapter_dim_parallel_scaled-4": Architecture.uniform(8, "adapter_dim_parallel_scaled", 4),
        "lora_rank_fc1-2": Architecture.uniform(8, "lora_rank_fc1", 2),
        "lora_rank_fc2-2": Architecture.uniform(8, "lora_rank_fc2", 2),
        "lora_rank_k-4": Architecture.uniform(8, "lora_rank_k", 4),
        "lora_rank_proj-4": Architecture.uniform(8, "lora_rank_proj", 4),
        "lora_rank_q-4": Architecture.uniform(8, "lora_rank_q", 4),
        "lora_rank_v-4": Architecture.uniform(8, "lora_rank_v", 4),
        "lora_rank_pos-16": Architecture.of(8, {"lora_rank_pos": [16] + [0] * 7}),
        "shallow_prompt_tokens-32": Architecture.of(8, {"shallow_prompt_tokens": [32] + [0] * 7}),
    }
    assert all(wide_inputs.fits(a) for a in singles.values())


def test_a_search_starts_from_the_single_methods_and_leaves_half_of_a_generation_to_others(
    wide_inputs: SearchInputs, tiny_inputs: SearchInputs
):
    task = wide_inputs.search_task()
    assert list(task.references) == list(wide_inputs.largest_uniform().values())
    assert len(task.references) == 12
    proposed = wide_inputs.searcher().ask(0, [])
    assert [p.architecture for p in proposed[:12]] == list(task.references)
    assert all(len(p.architecture.kinds) >= 1 for p in proposed)
    assert sum(len(p.architecture.kinds) > 1 for p in proposed) >= 10
    assert list(tiny_inputs.search_task().references) == list(tiny_inputs.largest_uniform().values())


def test_where_lora_everywhere_is_a_member_a_search_starts_from_it(tiny_inputs: SearchInputs):
    large = tiny_inputs.with_config(tiny_inputs.config.model_copy(update={"space": "large", "budget": "4%"}))
    shape, references = large.backbone.shape, list(large.search_task().references)
    assert references[:2] == [lora_everywhere(2, shape), lora_everywhere(1, shape)]
    assert references[2:] == list(large.largest_uniform().values())
    assert [p.architecture for p in large.searcher().ask(0, [])] == references[: large.config.population]


def test_all_smaller_sizes_are_references_where_there_is_room(tiny_values: dict[str, Any]):
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values | {"population": 24}), QUIET)
    largest = list(inputs.largest_uniform().values())
    smaller = {"adapter_dim": (1, 2), "lora_rank": (1,), "prompt_tokens": (1, 2, 4)}
    others = [Architecture.uniform(8, kind, size) for kind, sizes in smaller.items() for size in sizes]
    assert list(inputs.search_task().references) == largest + others


def test_a_kind_that_does_not_fit_has_no_single_method(tiny_values: dict[str, Any]):
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values | {"budget": "1100"}), QUIET)
    assert list(inputs.single_methods()) == ["prompt_tokens-1"]
    assert list(inputs.largest_uniform()) == ["prompt_tokens"]


def test_the_head_counts_where_asked(tiny_values: dict[str, Any], tiny_inputs: SearchInputs):
    counted = SearchInputs.load(SearchConfig.of(**tiny_values | {"budget": "2k", "count_head": True}), QUIET)
    assert counted.head_params == 128 * 3 + 3
    two_ranks = Architecture.of(8, {"lora_rank": [2, 1] + [0] * 6})  # 1,536
    assert counted.fits(two_ranks)
    assert not counted.fits(Architecture.of(8, {"lora_rank": [2, 1] + [0] * 6, "prompt_tokens": [1] * 8}))
    assert tiny_inputs.fits(Architecture.uniform(8, "lora_rank", 2))


def written(inputs: SearchInputs) -> InputsRecord:
    """The record as it comes back from its file."""
    return InputsRecord.model_validate_json(inputs.record().model_dump_json())


def test_unchanged_inputs_are_recognised(tiny_inputs: SearchInputs, tiny_config: SearchConfig):
    recorded = written(tiny_inputs)
    SearchInputs.load(tiny_config, QUIET).require_unchanged(recorded)


def test_changed_images_are_recognised(
    tiny_values: dict[str, Any], write_striped_images: Callable[[Path], Path], tmp_path
):
    folder = write_striped_images(tmp_path / "stripes")
    config = SearchConfig.of(**tiny_values | {"dataset": str(folder)})
    recorded = written(SearchInputs.load(config, QUIET))
    (folder / "down" / "03.png").write_bytes((folder / "down" / "04.png").read_bytes())
    with pytest.raises(InputError, match=r"started with another dataset .*; give another --out"):
        SearchInputs.load(config, QUIET).require_unchanged(recorded)


def test_a_changed_space_file_is_recognised(tiny_values: dict[str, Any], tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nkinds: {lora_rank: {sizes: [0, 1, 2]}}\n")
    config = SearchConfig.of(**tiny_values | {"space": str(file)})
    recorded = written(SearchInputs.load(config, QUIET))
    file.write_text("name: mine\nkinds: {lora_rank: {sizes: [0, 1, 4]}}\n")
    with pytest.raises(InputError, match="started with another space"):
        SearchInputs.load(config, QUIET).require_unchanged(recorded)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backbone": "vit_micro_patch8"}, "unknown backbone .* did you mean 'vit_micro_patch8_32'"),
        ({"space": "defualt"}, "unknown space 'defualt'; did you mean 'default'"),
        ({"budget": "lots"}, "the budget is 'lots'"),
        ({"budget": "100"}, "the smallest subnet of the space 'default' has 128; raise it to at least 128"),
        ({"budget": "500", "count_head": True}, "128 and the head 387, which counts; .* at least 515"),
        ({"dataset": "digit"}, "unknown data set 'digit'; did you mean 'digits'"),
    ],
)
def test_whatever_is_wrong_is_said(tiny_values: dict[str, Any], changed: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        SearchInputs.load(SearchConfig.of(**tiny_values | changed), QUIET)


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("share", sweep([0.05, 0.5, 1.0, 3.0], [0.5]))
def test_draws_lie_between_a_share_of_the_budget_and_the_budget(name: str, share: float):
    space, shape = load_space(name, 6), BackboneShape.vit(16, 6)
    smallest = min(count_params(a, shape) for a in space.smallest_nonempty())
    largest = count_params(space.largest(), shape)
    limit = max(smallest, int(share * largest))
    sampler, rng = sampler_around(space, shape, limit), np.random.default_rng(0)
    counts = [count_params(sampler.sample(rng), shape) for _ in range(50)]
    assert int(SMALLEST_SHARE * min(smallest, limit)) <= min(counts)
    assert max(counts) <= limit
    if limit > 10 * smallest:
        assert SMALLEST_SHARE * min(limit, largest) * 0.9 <= min(counts)


def test_a_budget_in_a_gap_between_sizes_is_served_from_below_it():
    shape = BackboneShape.vit(8, 2)
    space = SearchSpace("gap", 2, (("lora_rank", KindChoices((0, 1, 100))),))
    sampler = sampler_around(space, shape, 2000)  # two layers of rank 1 have 64, one of rank 100 has 3,200
    rng = np.random.default_rng(0)
    assert {count_params(sampler.sample(rng), shape) for _ in range(300)} == {32, 64}


def test_the_front_ends_where_it_is_told_to(tiny_values: dict[str, Any]):
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values, front_budget="20000"), StageBars(quiet=True))
    assert inputs.front_limit == 20_000
    rng = np.random.default_rng(0)
    drawn = [inputs.front_sampler.sample(rng) for _ in range(200)]
    params = [count_params(a, inputs.backbone.shape) for a in drawn]
    assert max(params) <= 20_000
    assert min(params) < 1_000  # sizes below those around the budget
    assert 60 < sum(inputs.budget.max_params * 0.4 <= p <= inputs.budget.max_params for p in params) < 180


def test_the_supernet_is_trained_around_the_budget_and_on_the_whole_space(tiny_inputs: SearchInputs):
    rng, sampler = np.random.default_rng(0), tiny_inputs.training_sampler
    budget = tiny_inputs.budget.max_params
    params = [count_params(sampler.sample(rng), tiny_inputs.backbone.shape) for _ in range(200)]
    assert 60 < sum(0.4 * budget <= p <= budget for p in params) < 140
    assert 60 < sum(p > 2 * budget for p in params) < 140  # uniform draws are large


def test_nothing_beyond_the_front_is_trained(tiny_values: dict[str, Any]):
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values, front_budget="20000"), StageBars(quiet=True))
    rng = np.random.default_rng(0)
    drawn = [inputs.training_sampler.sample(rng) for _ in range(100)]
    assert max(count_params(a, inputs.backbone.shape) for a in drawn) <= 20_000 == inputs.training_limit


def test_a_front_that_ends_below_the_budget_is_refused(tiny_values: dict[str, Any]):
    config = SearchConfig.of(**tiny_values, front_budget="0.1%")
    with pytest.raises(InputError, match=r"front_budget '0.1%' is 1,613 parameters, and the budget leaves"):
        SearchInputs.load(config, StageBars(quiet=True))


@pytest.mark.parametrize(("size", "said"), [((128, 96), True), ((48, 48), False)])
def test_images_much_larger_than_the_small_backbone_sees_are_noticed(
    tiny_values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], size: Any, said: bool
):
    rng = np.random.default_rng(0)
    for index in range(12):
        file = tmp_path / "photos" / "ab"[index % 2] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(file)
    config = SearchConfig.of(**tiny_values | {"dataset": str(tmp_path / "photos")})
    with StageBars(style="plain") as bars:
        SearchInputs.load(config, bars)
    shown = " ".join(capsys.readouterr().err.split())
    assert ("images of about 96x128 pixels are shrunk to 32x32 for vit_micro_patch8_32" in shown) == said
    assert ("--backbone vit_base_patch16_224.augreg_in21k" in shown) == said


def test_candidates_within_the_budget_are_ranked_among_themselves(tiny_inputs: SearchInputs):
    """For shifted images the loss may be a margin above the lowest one within the budget, not of all."""

    def candidate(number: int, architecture: Architecture, loss: float, shifted: float) -> Candidate:
        return Candidate(
            number=number,
            generation=0,
            proposal=Proposal(architecture, "sample"),
            params=count_params(architecture, tiny_inputs.backbone.shape),
            flops=1,
            loss=loss,
            loss_standard_error=0.01,
            accuracy=0.9,
            images=10,
            shifted_loss=shifted,
            shifted_accuracy=0.5,
        )

    robust = tiny_inputs.config.model_copy(update={"objective": "robust", "robust_margin": 0.05})
    inputs = replace(tiny_inputs, config=robust)
    fitting = [Architecture.uniform(8, "ssf", 1), Architecture.uniform(8, "lora_rank", 1)]
    assert all(map(inputs.fits, fitting))
    large = Architecture.uniform(8, "adapter_dim", 64)
    assert not inputs.fits(large)
    found = inputs.ranked(
        [
            candidate(0, fitting[0], 0.30, 1.5),
            candidate(1, fitting[1], 0.32, 0.9),
            candidate(2, large, 0.20, 0.7),
        ]
    )
    assert [c.number for c in found] == [1, 0]


def test_nobody_is_eliminated_where_accuracies_or_shifted_losses_are_compared(tiny_inputs: SearchInputs):
    """Who was eliminated has an accuracy on other images than the rest."""

    def races(**changes: Any) -> bool:
        return replace(tiny_inputs, config=tiny_inputs.config.model_copy(update=changes)).races

    noah = {"searcher": "noah", "generations": 2, "parents": None}
    assert races()
    assert not races(racing=False)
    assert not races(objective="robust")
    assert not races(**noah, searcher_options="depth_only_mutation=false,uniform_samples=false")
    by_loss = "rank_by_accuracy=false,depth_only_mutation=false,uniform_samples=false"
    assert races(**noah, searcher_options=by_loss)
