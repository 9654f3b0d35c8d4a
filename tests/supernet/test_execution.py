"""Precision, compilation, micro-batches and checkpointing: what they change, and that the result stays."""

import functools

import pytest
import torch
from sweep import sweep
from torch._dynamo.testing import CompileCounter

from search_spaces import Architecture, InputError
from supernet import (
    Constant,
    Execution,
    Groups,
    NonFiniteLoss,
    OnePath,
    OnePerImage,
    Recipe,
    Sandwich,
    Supernet,
    evaluate,
    pooled_features,
    train,
)
from supernet.execution import PLAIN
from supernet.precision import autocast

pytestmark = [
    pytest.mark.slow,
    # torch's compiler looks for gradients of its inputs and hides this warning too late for "error"
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]

KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
SMALLEST = Architecture.of(2, {"prompt_tokens": [1, 0]})
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1], "prompt_tokens": [3, 2]})
WHICH = ("constant", "one path", "one per image", "groups", "sandwich")
RECIPE = Recipe(epochs=2, lr=1e-3, batch_size=18)  # of 40 images: 18, 18 and 4


@pytest.fixture(scope="module")
def choosers(default_space):
    draw, largest = default_space.sample, default_space.largest()
    return {
        "constant": Constant(MIXED),
        "one path": OnePath(draw),
        "one per image": OnePerImage(draw, KINDS),
        "groups": Groups(draw, KINDS, 4),
        "sandwich": Sandwich(draw, largest, SMALLEST, distil=True),
    }


@pytest.fixture(scope="module")
def fit(plain, default_space, randomised, toy, preprocessing):
    """Trains a network whose parts all have an effect: the network and the curve."""

    def run(chooser, execution=PLAIN, recipe=RECIPE, **options):
        net = randomised(plain(), default_space.largest())
        curve = train(
            net,
            *toy,
            preprocessing=preprocessing,
            chooser=chooser,
            recipe=recipe,
            seed=0,
            execution=execution,
            **options,
        )
        return net, curve

    return run


@pytest.fixture(scope="module")
def whole(fit, choosers):
    """The plain training of each chooser; tests don't change its network."""
    return functools.cache(lambda which: fit(choosers[which]))


def difference(one, other):
    other = other.state_dict()
    return max(float((value - other[name]).abs().max()) for name, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("which", "parts"), sweep([*((which, 4) for which in WHICH), ("one per image", 100)])
)
def test_parts_of_a_batch_give_the_result_of_the_whole(fit, choosers, whole, which, parts):
    undivided, curve = whole(which)
    divided, same = fit(choosers[which], Execution(micro_batches=parts))
    assert same.losses == pytest.approx(curve.losses, rel=1e-5)
    assert same.image_passes == curve.image_passes
    for (name, one), other in zip(undivided.named_parameters(), divided.parameters(), strict=True):
        if one.grad is not None:  # of the last step
            torch.testing.assert_close(other.grad, one.grad, atol=2e-5, rtol=0, msg=name)
    assert difference(undivided, divided) < 1e-5


def test_only_a_part_of_a_batch_is_in_the_network_at_once(fit, choosers, monkeypatch):
    seen = []
    own = Supernet.features
    monkeypatch.setattr(
        Supernet, "features", lambda self, x, *more: seen.append(len(x)) or own(self, x, *more)
    )
    once = Recipe(epochs=1, lr=1e-3, batch_size=18)
    fit(choosers["sandwich"], Execution(micro_batches=4), once)
    parts = [4, 5, 4, 5] * 2 + [1, 1, 1, 1]
    assert seen == [images for images in parts for _ in range(3)]


@pytest.mark.parametrize("which", sweep(WHICH))
def test_checkpointing_is_the_same_training(fit, choosers, whole, which):
    kept, curve = whole(which)
    recomputed, same = fit(choosers[which], Execution(checkpointing=True))
    assert difference(kept, recomputed) < 1e-6
    assert same.losses == pytest.approx(curve.losses, rel=1e-6)


def test_checkpointing_keeps_less_for_the_backward_pass(fit, choosers):
    kept_by = []
    for execution in (PLAIN, Execution(checkpointing=True)):
        kept = [0]

        def keep(value, kept=kept):
            kept[0] += value.numel()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            fit(choosers["one per image"], execution, Recipe(epochs=1, lr=1e-3, batch_size=40))
        kept_by.append(kept[0])
    assert kept_by[1] < 0.3 * kept_by[0]


@pytest.mark.parametrize("which", sweep(WHICH))
def test_bfloat16_is_close_and_weights_stay_float32(fit, choosers, whole, which):
    exact, curve = whole(which)
    rounded, close = fit(choosers[which], Execution(precision="bf16"))
    assert {value.dtype for value in rounded.state_dict().values()} == {torch.float32}
    assert close.losses != curve.losses
    assert close.losses == pytest.approx(curve.losses, rel=0.02)
    assert 0 < difference(exact, rounded) < 6 * 1e-3 * 2  # steps of at most the learning rate, roughly


@pytest.mark.thorough
def test_bfloat16_learns(fit, choosers, toy, preprocessing):
    net, curve = fit(choosers["one per image"], Execution("bf16"), Recipe(epochs=10, lr=1e-2, batch_size=8))
    assert curve.losses[-1] < 0.5 * curve.losses[0]
    found = [
        evaluate(net, *toy, preprocessing=preprocessing, architecture=MIXED, precision=precision)
        for precision in ("fp32", "bf16")
    ]
    assert found[0].accuracy > 0.8
    assert found[1].accuracy == pytest.approx(found[0].accuracy, abs=0.05)
    assert found[1].losses.dtype == torch.float32
    assert 0 < (found[1].losses - found[0].losses).abs().max() < 0.1


def test_a_head_alone_is_trained_on_features_of_its_precision(fit, choosers, toy, preprocessing):
    probed, curve = fit(choosers["constant"], trainable="head")
    rounded, close = fit(choosers["constant"], Execution("bf16"), trainable="head")
    assert close.losses == pytest.approx(curve.losses, rel=0.02)
    assert 0 < difference(probed, rounded) < 0.02
    features = pooled_features(probed, toy[0], preprocessing, precision="bf16")
    assert features.dtype == torch.float32
    exact = pooled_features(probed, toy[0], preprocessing)
    assert 0 < (features - exact).abs().max() < 0.3


def test_float32_is_float32_whatever_surrounds_it():
    cpu, x = torch.device("cpu"), torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with autocast(cpu, "fp32"):
            assert (x @ x).dtype == torch.float32
        with autocast(cpu, "bf16"):
            assert (x @ x).dtype == torch.bfloat16


@pytest.fixture
def compilations(monkeypatch):
    """Counts them: what torch compiles is traced for good, and then run as it is, without a C++ compiler."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter))
    yield counter
    torch._dynamo.reset()


@pytest.mark.thorough
@pytest.mark.parametrize("which", ["constant", "one path", "one per image", "sandwich"])
def test_there_is_one_compilation_for_each_number_of_images(fit, choosers, compilations, which):
    once = Recipe(epochs=1, lr=1e-3, batch_size=18)
    eager, _ = fit(choosers[which], recipe=once)
    assert compilations.frame_count == 0
    compiled, _ = fit(choosers[which], Execution(compile=True), once)
    assert compilations.frame_count == 2  # 18 and 4 images; each with several architectures
    if which != "one path":
        assert difference(eager, compiled) < 1e-5


@pytest.mark.thorough
def test_micro_batches_are_compiled_at_their_sizes(fit, choosers, compilations):
    twelve = Recipe(epochs=2, lr=1e-3, batch_size=12)  # 12, 12, 12 and 4 images in halves: 6 and 2
    fit(choosers["one path"], Execution(compile=True, micro_batches=2, checkpointing=True), twelve)
    assert compilations.frame_count == 2


@pytest.mark.thorough
def test_a_compiled_path_trains_what_it_draws_as_one_architecture_for_each_image(
    fit, choosers, default_space, compilations
):
    """Modules that are drawn nowhere have a gradient of zero instead of none."""
    compiled, _ = fit(choosers["one path"], Execution(compile=True))
    masked, _ = fit(Groups(default_space.sample, KINDS, 1))
    assert difference(compiled, masked) < 1e-5


@pytest.mark.parametrize("before", [False, True])
def test_the_switches_of_the_network_are_set_back(plain, default_space, before):
    net = Supernet(plain(), default_space.largest(), 5)
    net.checkpointing = before
    with Execution(compile=True).switched_on(net):
        assert (net.compiled, net.checkpointing) == (True, False)
    assert (net.compiled, net.checkpointing) == (False, before)


def test_the_switches_of_the_network_are_set_back_when_a_training_fails(
    plain, default_space, toy, preprocessing
):
    net = Supernet(plain(), default_space.largest(), 5)
    with pytest.raises(NonFiniteLoss):
        train(
            net,
            *toy,
            preprocessing=preprocessing,
            chooser=Constant(MIXED),
            recipe=Recipe(epochs=2, lr=1e30),
            seed=0,
            execution=Execution(checkpointing=True),
        )
    assert (net.compiled, net.checkpointing) == (False, False)


def test_a_loss_that_is_not_finite_is_said_of_the_step_and_not_of_a_part(fit, choosers):
    with pytest.raises(NonFiniteLoss, match=r"the loss is (nan|inf) at step \d of 6 "):
        fit(choosers["sandwich"], Execution(micro_batches=3), Recipe(epochs=2, lr=1e30, batch_size=18))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "fp16"}, "precision is 'fp16'; give fp32, tf32 or bf16"),
        ({"micro_batches": 0}, "micro_batches is 0; give at least 1"),
    ],
)
def test_what_there_is_not_is_said(values, message):
    with pytest.raises(InputError, match=message):
        Execution(**values)


def test_an_unknown_precision_is_said_everywhere(toy, preprocessing, plain, default_space):
    net = Supernet(plain(), default_space.largest(), 5)
    with pytest.raises(InputError, match="precision is 'half'"):
        evaluate(net, *toy, preprocessing=preprocessing, precision="half")
    with pytest.raises(InputError, match="precision is 'half'"):
        pooled_features(net, toy[0], preprocessing, precision="half")


def test_it_is_json_able():
    execution = Execution("bf16", True, 3, True)
    assert Execution(**execution.to_dict()) == execution
