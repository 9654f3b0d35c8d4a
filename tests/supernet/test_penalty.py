"""The penalty of L2-SP: its gradient, and that it enters a step once."""

import pytest
import torch

from search_spaces import Architecture
from supernet import Constant, Execution, Penalty, Recipe, Supernet, train
from supernet.penalty import PenaltyGradient

EMPTY = Architecture.empty(2)
PENALTY = Penalty(0.3, 0.2)
RECIPE = Recipe(epochs=1, lr=1e-3, batch_size=16)


@pytest.fixture
def fit(plain, toy, preprocessing):
    """Trains the whole backbone, or what is asked for, on the toy images."""

    def run(recipe=RECIPE, trainable="all", **options):
        net = Supernet(plain(), EMPTY, 5, seed=1)
        train(
            net,
            *toy,
            preprocessing=preprocessing,
            chooser=Constant(EMPTY),
            recipe=recipe,
            seed=0,
            trainable=trainable,
            **options,
        )
        return net

    return run


@pytest.mark.parametrize("trainable", ["head", "biases", "all"])
def test_the_gradient_is_that_of_the_equation(plain, trainable):
    net = Supernet(plain(), EMPTY, 5)
    net.set_trainable(trainable)
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in trained.items()}
    pull = PenaltyGradient(PENALTY, trained)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in trained.values():
            p += torch.randn(p.shape, generator=generator)

    def squares(prefix, of):
        return sum(of(name).square().sum() for name in trained if name.startswith(prefix))

    loss = PENALTY.backbone / 2 * squares("backbone.", lambda name: trained[name] - start[name])
    loss = loss + PENALTY.head / 2 * squares("head.", lambda name: trained[name])
    loss.backward()
    expected = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}
    assert len(expected) == len(trained)
    for p in trained.values():
        p.grad = torch.ones_like(p)
    pull.add()
    for name, p in trained.items():
        torch.testing.assert_close(p.grad, 1 + expected[name])


def test_without_a_gradient_of_the_loss_there_is_none(plain):
    net = Supernet(plain(), EMPTY, 5)
    net.set_trainable("all")
    PenaltyGradient(PENALTY, dict(net.named_parameters())).add()
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("parts", [1, 3])
def test_a_step_has_it_once_however_many_parts_its_batch_has(fit, parts):
    """One step on all images: the gradient that is left is that of the loss and one penalty."""
    one_step = Recipe(epochs=1, lr=1e-30, batch_size=10_000)
    plain, penalised = (
        fit(one_step, execution=Execution(micro_batches=parts), penalty=penalty)
        for penalty in (None, PENALTY)
    )
    assert float(plain.head.weight.detach().abs().max()) > 0.01
    with_it = dict(penalised.named_parameters())
    for name, p in plain.named_parameters():
        # the backbone is where it began, so that the penalty pulls the head alone
        expected = p.grad + PENALTY.head * p.detach() if name.startswith("head.") else p.grad
        torch.testing.assert_close(with_it[name].grad, expected, rtol=1e-5, atol=1e-7)


def test_a_strong_penalty_keeps_the_weights_near_the_start(fit, plain):
    start = Supernet(plain(), EMPTY, 5, seed=1).state_dict()

    def distance(penalty):
        net = fit(Recipe(epochs=3, lr=1e-3, weight_decay=0.0, batch_size=16), penalty=penalty)
        end = {name: value for name, value in net.state_dict().items() if name.startswith("backbone.")}
        return float(sum((value - start[name]).square().sum() for name, value in end.items()))

    assert distance(Penalty(10.0, 0.0)) < 0.5 * distance(Penalty(0.0, 0.0))


def test_killed_and_resumed_pulls_to_the_same_weights(fit, tmp_path):
    class Kill(Exception):
        pass

    def kill(epoch):
        if epoch == 1:
            raise Kill

    recipe = Recipe(epochs=2, lr=1e-3, batch_size=16)
    options = {"penalty": PENALTY, "state_file": tmp_path / "state", "save_every": 0.0}
    with pytest.raises(Kill):
        fit(recipe, on_epoch=kill, **options)
    resumed, undisturbed = fit(recipe, **options).state_dict(), fit(recipe, penalty=PENALTY).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in undisturbed.items())


def test_only_biases_are_trained(fit, plain):
    start = Supernet(plain(), EMPTY, 5, seed=1).state_dict()
    net = fit(trainable="biases")
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, start[name])}
    names = {name for name in start if name.endswith(".bias")} | {"head.weight"}
    assert changed == names - {"backbone.head.bias"}  # of the classifier that is not used
    assert "backbone.norm.bias" in names
