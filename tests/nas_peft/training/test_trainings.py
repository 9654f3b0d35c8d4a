"""Separate trainings: what each method changes, and that a final model comes back from its tensors."""

import copy
import json
import pickle  # noqa: TID251
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load
from sweep import sweep

from nas_peft.data import Part
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings import methods
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import run_training, starting_network, trained_network, trained_tensors
from search_spaces import Architecture, InputError
from supernet import (
    TRAINABLE_SETS,
    Backbone,
    Execution,
    NonFiniteLoss,
    Preprocessing,
    Recipe,
    Supernet,
    evaluate,
    pooled_features,
)
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow

DEPTH = 3
EMPTY = Architecture.empty(DEPTH)
MIXED = Architecture.of(DEPTH, {"lora_rank": [2, 0, 1], "prompt_tokens": [0, 3, 0], "adapter_dim": [0, 0, 4]})
RECIPE = Recipe(epochs=2, lr=5e-3, batch_size=8)
OF_METHODS = {"subnet": MIXED, "eva": Architecture.uniform(DEPTH, "lora_rank", 2)}
METHODS = {name: OF_METHODS.get(name, EMPTY) for name in methods.METHODS}
ALL_WEIGHTS = ["full", "lp-ft", "l2-sp"]


def part(count: int, seed: int) -> Part:
    """Images whose class is their brightness."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 80, (count, 3, 32, 32), generator=generator) + 80 * labels[:, None, None, None]
    return Part(images.to(torch.uint8), labels)


@pytest.fixture(scope="module")
def backbone(backbone: Backbone) -> Backbone:
    """The first layers of the shipped one."""
    model: Any = copy.deepcopy(backbone.model)
    model.blocks = model.blocks[:DEPTH]
    return replace(backbone, model=model, digest=weights_digest(model))


@pytest.fixture(scope="module")
def inputs(backbone: Backbone) -> TrainingInputs:
    return inputs_of(backbone, part(18, 0), part(9, 1))


def inputs_of(backbone: Backbone, train: Part, val: Part) -> TrainingInputs:
    preprocessing = Preprocessing.of(backbone.model)
    network = Supernet(backbone.model, EMPTY, 3)
    features = pooled_features(network, Part.join([train, val]).images, preprocessing)
    return TrainingInputs(backbone, preprocessing, 3, train, val, features)


def training(method: str, **changes: Any) -> Training:
    values: dict[str, Any] = {
        "name": method,
        "method": method,
        "architecture": METHODS[method],
        "recipe": RECIPE,
        "head": None,
        "seed": 0,
        "on": "train_val",
    }
    return Training(**(values | changes))


def test_a_record_survives_json_and_one_without_the_choices_of_the_recipe_is_read():
    recipe = Recipe(24, 5e-3, augmentation="crop-flip", label_smoothing=0.1)
    chosen = training("full", recipe=recipe, head=RECIPE, names_epochs=True)
    record = json.loads(json.dumps(chosen.to_dict()))
    assert Training.from_dict(record) == chosen
    for name in ("augmentation", "label_smoothing"):
        del record["recipe"][name]
    del record["names_epochs"]
    before = Training.from_dict(record)
    assert before == replace(chosen, recipe=Recipe(24, 5e-3), names_epochs=False)
    assert before.key == "full.train_val.lr0.005.seed0"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "full.train_val.lr0.005.seed0"),
        ({"names_epochs": True}, "full.train_val.e2.lr0.005.seed0"),
        ({"recipe": replace(RECIPE, augmentation="strong")}, "full.train_val.strong.lr0.005.seed0"),
        (
            {"recipe": replace(RECIPE, augmentation="crop", class_balance="weighted", drop_path=0.1)},
            "full.train_val.crop.weighted.drop-path-0.1.lr0.005.seed0",
        ),
        ({"names_decay": True}, "full.train_val.wd0.0001.lr0.005.seed0"),
        ({"recipe": replace(RECIPE, start="inherited")}, "full.train_val.inherited.lr0.005.seed0"),
        ({"init_seed": 3, "seed": 1, "on": "train"}, "full.train.lr0.005.seed1.init3"),
    ],
)
def test_the_file_name_tells_what_may_differ(changes: dict[str, Any], key: str):
    assert training("full", **changes).key == key


@pytest.mark.thorough
def test_a_training_that_is_scored_after_each_epoch_sees_the_same_augmented_images(inputs: TrainingInputs):
    """Scores are of images as they are: scoring twice gives the same, and changes nothing."""
    strong = training("subnet", on="train", recipe=replace(RECIPE, augmentation="strong"))
    told: list[TrainingRecord] = []
    reported, _ = run_training(strong, inputs, "cpu", on_epoch=told.append)
    plain, _ = run_training(strong, inputs, "cpu")
    assert reported.curve == replace(plain.curve, seconds=reported.curve.seconds)
    assert reported.val == plain.val
    assert len(told) == 1
    unchanged, _ = run_training(training("subnet", on="train"), inputs, "cpu")
    assert unchanged.curve.losses != plain.curve.losses


def logits(network: Supernet, inputs: TrainingInputs) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(inputs.preprocessing.normalise(inputs.val.images))
    return found


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
@pytest.mark.parametrize("probe", [None, Recipe(epochs=2, lr=1e-2, batch_size=8)])
def test_no_training_changes_the_shared_backbone(inputs: TrainingInputs, method: str, probe: Recipe | None):
    run_training(training(method, head=probe, on="train"), inputs, "cpu")
    assert weights_digest(inputs.backbone.model) == inputs.backbone.digest
    assert not any(p.requires_grad for p in inputs.backbone.model.parameters())


def test_linear_probing_leaves_the_features_alone(inputs: TrainingInputs):
    record, data = run_training(training("linear"), inputs, "cpu")
    assert sorted(load(data)) == ["head.bias", "head.weight"]
    network = trained_network(training("linear"), load(data), inputs, "cpu")
    with torch.inference_mode():
        x = inputs.preprocessing.normalise(inputs.val.images)
        assert torch.equal(network.features(x), Supernet(inputs.backbone.model, EMPTY, 3).features(x))
    assert not torch.equal(network.head.weight, Supernet(inputs.backbone.model, EMPTY, 3).head.weight)
    assert len(record.curve.losses) == RECIPE.epochs
    assert record.curve.image_passes == 0  # the features are given


@pytest.mark.parametrize("method", sweep(ALL_WEIGHTS))
def test_full_fine_tuning_changes_a_copy_of_the_backbone(inputs: TrainingInputs, method: str):
    _, data = run_training(training(method), inputs, "cpu")
    tensors = load(data)
    own = {f"backbone.{name}": value for name, value in inputs.backbone.model.state_dict().items()}
    assert set(tensors) == {*own, "head.weight", "head.bias"}
    assert [name for name, value in own.items() if torch.equal(value, tensors[name])] == []
    network = trained_network(training(method), tensors, inputs, "cpu")
    assert network.backbone is not inputs.backbone.model
    assert weights_digest(inputs.backbone.model) == inputs.backbone.digest


def test_bitfit_changes_all_biases_and_nothing_else_of_a_copy_of_the_backbone(inputs: TrainingInputs):
    _, data = run_training(training("bitfit"), inputs, "cpu")
    own = inputs.backbone.model.state_dict()
    tensors = load(data)
    assert set(tensors) == {f"backbone.{n}" for n in own if n.endswith("bias")} | {"head.weight", "head.bias"}
    network = trained_network(training("bitfit"), tensors, inputs, "cpu")
    changed = {name for name, value in network.backbone.state_dict().items() if not value.equal(own[name])}
    assert changed == {name for name in own if name.endswith("bias")}
    assert "blocks.0.norm1.bias" in changed
    assert network.backbone is not inputs.backbone.model


def test_bitfit_of_a_backbone_without_biases_is_refused(inputs: TrainingInputs):
    unbiased = copy.deepcopy(inputs.backbone.model)
    for module in unbiased.modules():
        if getattr(module, "bias", None) is not None:
            module.register_parameter("bias", None)
    without = replace(inputs, backbone=replace(inputs.backbone, model=unbiased))
    with pytest.raises(InputError, match="has no biases, which BitFit trains; leave bitfit out"):
        run_training(training("bitfit"), without, "cpu")


def test_the_penalty_of_l2_sp_holds_the_weights_near_the_pretrained_ones(inputs: TrainingInputs):
    def distance(method: str) -> float:
        tensors = load(run_training(training(method), inputs, "cpu")[1])
        own = inputs.backbone.model.state_dict()
        return sum(float((tensors[f"backbone.{name}"] - own[name]).square().sum()) for name in own)

    assert distance("l2-sp") < 0.9 * distance("full")


def test_lp_ft_starts_where_linear_probing_ends(inputs: TrainingInputs):
    """With a rate of nothing, all weights stay where the probe left them."""
    probe = Recipe(epochs=7, lr=1e-2, batch_size=8)
    still = Recipe(epochs=1, lr=1e-30, weight_decay=0.0, batch_size=8)
    probed = load(run_training(training("linear", recipe=probe), inputs, "cpu")[1])
    started = training("lp-ft", name="linear", head=probe, recipe=still)
    tensors = load(run_training(started, inputs, "cpu")[1])
    assert torch.equal(tensors["head.weight"], probed["head.weight"])


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
def test_a_kept_training_leaves_the_tensors_that_were_scored(inputs: TrainingInputs, method: str):
    kept = training(method, on="train", keep=True)
    record, data = run_training(kept, inputs, "cpu")
    network = trained_network(kept, load(data), inputs, "cpu")
    val = evaluate(network, inputs.val.images, inputs.val.labels, preprocessing=inputs.preprocessing)
    assert record.val == (val.accuracy, val.loss)
    other, _ = run_training(training(method, on="train"), inputs, "cpu")
    assert (record.val, record.curve.losses) == (other.val, other.curve.losses)
    assert record.curve.image_passes == other.curve.image_passes


def test_a_subnet_has_the_modules_of_its_architecture_and_the_head(inputs: TrainingInputs):
    _, data = run_training(training("subnet"), inputs, "cpu")
    fresh = Supernet(inputs.backbone.model, MIXED, 3).module_tensors(MIXED)
    tensors = load(data)
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in fresh.items()}
    assert all(t.abs().sum() > 0 for t in tensors.values())


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
def test_training_lowers_the_loss_and_is_scored_on_validation_data(inputs: TrainingInputs, method: str):
    longer = training(method, on="train", recipe=Recipe(epochs=5, lr=5e-3, batch_size=8))
    record, data = run_training(longer, inputs, "cpu")
    losses = record.curve.losses
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    # modules and head are small; a changed backbone is kept only where it is needed
    assert bool(data) == (not TRAINABLE_SETS[methods.METHODS[method].trains].changes_backbone)
    assert 0 <= record.val.accuracy <= 1
    assert record.val.loss < losses[0]


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
def test_a_final_model_trains_on_validation_data_too_and_has_no_score(inputs: TrainingInputs, method: str):
    record, data = run_training(training(method), inputs, "cpu")
    assert record.val is None
    assert data
    passes = 0 if method == "linear" else 2 * 27
    assert record.curve.image_passes == passes


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
def test_the_tensors_bring_the_trained_model_back(inputs: TrainingInputs, method: str):
    """The model that is scored right after training, and the same one from its tensors, agree."""
    all_in_train = inputs_of(inputs.backbone, Part.join([inputs.train, inputs.val]), inputs.val)
    scored, _ = run_training(training(method, on="train"), all_in_train, "cpu")
    _, data = run_training(training(method), inputs, "cpu")  # on the same images in the same order
    network = trained_network(training(method), load(data), inputs, "cpu")
    val = evaluate(network, inputs.val.images, inputs.val.labels, preprocessing=inputs.preprocessing)
    assert (val.accuracy, val.loss) == (scored.val.accuracy, scored.val.loss)
    assert not network.training
    again = trained_network(training(method), load(data), inputs, "cpu")
    assert torch.equal(logits(network, inputs), logits(again, inputs))


@pytest.mark.parametrize("method", sweep(METHODS, ["subnet", "full"]))
def test_the_same_training_gives_the_same_bytes(inputs: TrainingInputs, method: str):
    first, second = (run_training(training(method), inputs, "cpu") for _ in range(2))
    assert first[1] == second[1]
    assert first[0].curve.losses == second[0].curve.losses


@pytest.mark.parametrize("change", sweep([{"seed": 1}, {"name": "other"}]))
def test_another_seed_or_name_starts_elsewhere(inputs: TrainingInputs, change: dict[str, Any]):
    first, second = (run_training(training("subnet", **c), inputs, "cpu") for c in ({}, change))
    assert first[1] != second[1]


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["subnet", "full"])
def test_trainings_of_one_initialisation_start_alike_and_see_the_images_in_another_order(
    inputs: TrainingInputs, method: str
):
    head = Recipe(epochs=2, lr=1e-2, batch_size=8)
    seeds = [(0, None), (1, 0), (1, None)]
    own, shared, other = (training(method, head=head, seed=seed, init_seed=init) for seed, init in seeds)
    starts = [trained_tensors(starting_network(t, inputs, "cpu"), t) for t in (own, shared, other)]
    assert all(torch.equal(starts[0][name], tensor) for name, tensor in starts[1].items())
    assert not torch.equal(starts[0]["head.weight"], starts[2]["head.weight"])
    trained = [load(run_training(t, inputs, "cpu")[1]) for t in (own, shared)]
    assert not torch.equal(trained[0]["head.weight"], trained[1]["head.weight"])
    assert weights_digest(inputs.backbone.model) == inputs.backbone.digest


def test_a_subnet_starts_as_the_pretrained_function_where_it_has_no_prompts(inputs: TrainingInputs):
    lora = Architecture.uniform(DEPTH, "lora_rank", 2)
    network = starting_network(training("subnet", architecture=lora), inputs, "cpu")
    with torch.inference_mode():
        x = inputs.preprocessing.normalise(inputs.val.images)
        plain = Supernet(inputs.backbone.model, EMPTY, 3).features(x)
        assert torch.allclose(network.features(x, lora), plain, atol=1e-6)


def test_lora_from_activations_starts_alike_with_every_seed_and_from_the_images_it_trains_on(
    inputs: TrainingInputs,
):
    first, other = (
        starting_network(training("eva", seed=seed, on="train"), inputs, "cpu") for seed in (0, 1)
    )
    both = starting_network(training("eva"), inputs, "cpu")
    for name, value in first.layers.named_parameters():
        assert torch.equal(value, other.layers.get_parameter(name))
        if name.endswith("down"):
            torch.testing.assert_close(value @ value.T, torch.eye(2), atol=1e-5, rtol=0)
            assert not torch.equal(value, both.layers.get_parameter(name))


def test_a_training_may_start_from_inherited_weights(inputs: TrainingInputs):
    supernet = Supernet(inputs.backbone.model, MIXED, 3, seed=5)
    inherited = supernet.module_tensors(MIXED)
    subnet = training("subnet", recipe=replace(RECIPE, start="inherited"))
    given = replace(inputs, inherited=InheritedStarts({"subnet": inherited}))
    start = trained_tensors(starting_network(subnet, given, "cpu"), subnet)
    assert start.keys() == inherited.keys()
    assert all(torch.equal(start[name], value) for name, value in inherited.items())
    record, _ = run_training(subnet, given, "cpu")
    assert record == TrainingRecord.from_dict(record.to_dict())
    assert record.training.recipe.start == "inherited"
    pretrained, _ = run_training(replace(subnet, recipe=RECIPE), given, "cpu")
    assert record.curve is not None
    assert pretrained.curve is not None
    assert record.curve.losses != pretrained.curve.losses
    assert all(torch.equal(value, supernet.module_tensors(MIXED)[n]) for n, value in inherited.items())
    sent = pickle.loads(pickle.dumps(given))
    assert torch.equal(sent.inherited.train["subnet"]["head.weight"], inherited["head.weight"])
    assert torch.equal(sent.features, given.features)


def test_a_final_training_starts_from_what_a_supernet_of_all_images_gives(inputs: TrainingInputs):
    part, whole = (Supernet(inputs.backbone.model, MIXED, 3, seed=s).module_tensors(MIXED) for s in (5, 6))
    given = replace(inputs, inherited=InheritedStarts({"subnet": part}, {"subnet": whole}))
    final = training("subnet", recipe=replace(RECIPE, start="inherited"))
    for one, expected in ((replace(final, on="train"), part), (final, whole)):
        start = trained_tensors(starting_network(one, given, "cpu"), one)
        assert all(torch.equal(start[name], value) for name, value in expected.items())
    with pytest.raises(ValueError, match="'subnet' starts from inherited weights, and none are given"):
        starting_network(final, inputs, "cpu")


def test_a_trained_head_gives_the_training_a_head_start(inputs: TrainingInputs):
    probe = Recipe(epochs=20, lr=1e-2, batch_size=8)
    without, _ = run_training(training("subnet"), inputs, "cpu")
    started, _ = run_training(training("subnet", head=probe), inputs, "cpu")
    assert started.curve.losses[0] < without.curve.losses[0]
    assert started.training.head == probe


@pytest.mark.parametrize(
    ("method", "execution", "most"),
    sweep(
        [
            ("subnet", Execution(micro_batches=2, checkpointing=True), 1e-4),
            ("linear", Execution(micro_batches=2), 1e-4),
            ("full", Execution(precision="bf16"), 0.05),
        ],
        1,
    ),
)
def test_execution_changes_little(inputs: TrainingInputs, method: str, execution: Execution, most: float):
    gentle = training(method, on="train", recipe=Recipe(epochs=1, lr=1e-4, batch_size=8))
    plain, _ = run_training(gentle, inputs, "cpu")
    changed, _ = run_training(replace(gentle, execution=execution), inputs, "cpu")
    assert changed.training.execution == execution
    if execution.precision == "bf16":
        assert changed.curve.losses != plain.curve.losses
        assert changed.val.loss != plain.val.loss
    assert changed.curve.losses == pytest.approx(plain.curve.losses, rel=most)
    assert changed.val.loss == pytest.approx(plain.val.loss, rel=most)


def test_a_loss_that_is_not_finite_is_said(inputs: TrainingInputs):
    with pytest.raises(NonFiniteLoss, match=r"at step \d+ of .*learning rate 1e\+30.*lower learning rate"):
        run_training(training("subnet", recipe=Recipe(epochs=3, lr=1e30, batch_size=8)), inputs, "cpu")


def test_the_key_tells_trainings_apart():
    keys = {
        training("subnet", seed=seed, on=on, name=name, recipe=replace(RECIPE, lr=lr)).key
        for seed in (0, 1)
        for on in ("train", "train_val")
        for name in ("candidate-1", "candidate-11")
        for lr in (3e-4, 1e-4)
    }
    assert len(keys) == 16
    assert training("subnet", name="lora_rank-2").key == "lora_rank-2.train_val.lr0.005.seed0"
    assert training("subnet", init_seed=3).key == "subnet.train_val.lr0.005.seed0.init3"
