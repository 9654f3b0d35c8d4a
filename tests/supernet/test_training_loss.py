"""The training loss beside the formulas of its recipe choices, and trainings by each of them."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sweep import sweep

from search_spaces import Architecture
from supernet import Constant, Execution, Groups, Recipe, Supernet, train, train_pack
from supernet.backbones import weights_digest
from supernet.class_balance import CLASS_BALANCES
from supernet.targets import Targets
from supernet.training_loss import TrainingLoss

CPU = torch.device("cpu")
LABELS = torch.tensor([0] * 8 + [1] * 3 + [2])
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1], "prompt_tokens": [3, 2]})
RECIPE = Recipe(epochs=2, lr=2e-3, batch_size=16)


def loss_of(balance, smoothing=0.0, classes=3):
    recipe = replace(RECIPE, class_balance=balance, label_smoothing=smoothing)
    return TrainingLoss.of(recipe, LABELS, classes, CPU)


@pytest.fixture
def logits():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)


def gradient(loss, logits):
    (found,) = torch.autograd.grad(loss, logits)
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_none_and_sampled_are_torchs_cross_entropy(logits, smoothing):
    expected = F.cross_entropy(logits, LABELS, label_smoothing=smoothing)
    for balance in ("none", "sampled"):
        assert torch.equal(loss_of(balance, smoothing).mean(logits, Targets(LABELS)), expected)


def test_the_gradient_of_logit_adjustment_is_that_of_its_formula(logits):
    """The loss is log(1 + Σ of (π' / π) · exp(f' - f) over other classes): arXiv 2007.07314, τ = 1."""
    shares = torch.tensor([8, 3, 1]) / 12
    ratios = shares[None, :] / shares[LABELS][:, None]
    own = logits[torch.arange(12), LABELS][:, None]
    others = torch.ones(12, 3).scatter(1, LABELS[:, None], 0.0)
    written = (1 + (others * ratios * (logits - own).exp()).sum(1)).log().mean()
    found = loss_of("logit-adjusted").mean(logits, Targets(LABELS))
    torch.testing.assert_close(found, written)
    torch.testing.assert_close(gradient(found, logits), gradient(written, logits))


def test_the_weighted_loss_is_scikit_learns(logits):
    """At the weights that scikit-learn finds with class_weight="balanced" its gradient vanishes."""
    points = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model = LogisticRegression(C=2.0, class_weight="balanced", tol=1e-10, max_iter=10_000)
    model.fit(points.numpy(), LABELS.numpy())
    weight = torch.tensor(model.coef_, requires_grad=True)
    bias = torch.tensor(model.intercept_, requires_grad=True)
    loss = loss_of("weighted")
    double = replace(loss, weights=loss.weights.double())
    total = 12 * double.mean(points @ weight.T + bias, Targets(LABELS)) + (weight**2).sum() / (2 * 2.0)
    for found in torch.autograd.grad(total, (weight, bias)):
        assert float(found.abs().max()) < 1e-3


def test_parts_of_a_batch_add_up(logits):
    targets = Targets(LABELS, LABELS.flip(0), torch.linspace(0, 1, 12))
    for balance in CLASS_BALANCES:
        loss = loss_of(balance, 0.1)
        whole = loss.mean(logits, targets)
        parts = [slice(0, 5), slice(5, 12)]
        sums = [loss.terms(logits[part], targets.part(part)).sum() for part in parts]
        torch.testing.assert_close(sum(sums) / 12, whole)


def test_mixed_labels_are_the_cross_entropy_with_their_distribution(logits):
    shares = torch.linspace(0, 1, 12)
    of = F.one_hot(LABELS, 3) * shares[:, None] + F.one_hot(LABELS.flip(0), 3) * (1 - shares)[:, None]
    found = loss_of("none", 0.2).mean(logits, Targets(LABELS, LABELS.flip(0), shares))
    torch.testing.assert_close(found, F.cross_entropy(logits, of, label_smoothing=0.2))


def test_distillation_keeps_weights_and_nothing_else(logits):
    teacher = torch.softmax(torch.randn(12, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    plain = F.cross_entropy(logits, teacher, reduction="none")
    adjusted = loss_of("logit-adjusted", 0.3).distilled(logits, teacher, Targets(LABELS))
    torch.testing.assert_close(adjusted, plain.mean())
    weighted = loss_of("weighted")
    found = weighted.distilled(logits, teacher, Targets(LABELS))
    torch.testing.assert_close(found, (plain * weighted.weights[LABELS]).mean())


@pytest.fixture
def uneven(toy):
    """The toy images, with one of four of the last two classes."""
    images, labels = toy
    kept = (labels < 3) | (torch.arange(len(labels)) % 4 == 0)
    assert len(torch.bincount(labels[kept]).unique()) > 1
    return images[kept], labels[kept]


@pytest.fixture
def fit(uneven, preprocessing):
    def run(net, recipe, chooser=None, **options):
        chosen = chooser or Constant(MIXED)
        return train(
            net, *uneven, preprocessing=preprocessing, chooser=chosen, recipe=recipe, seed=0, **options
        )

    return run


CHOICES = {
    "weighted": {"class_balance": "weighted"},
    "sampled": {"class_balance": "sampled", "augmentation": "crop"},
    "logit-adjusted": {"class_balance": "logit-adjusted", "augmentation": "mixup"},
    "dropped": {"drop_path": 0.3, "module_dropout": 0.3, "augmentation": "cutmix"},
}


class Kill(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep(CHOICES))
def test_killed_and_resumed_is_not_killed(plain, default_space, fit, tmp_path, name):
    recipe = replace(RECIPE, **CHOICES[name])
    chooser = Groups(default_space.sample, ("adapter_dim", "lora_rank", "prompt_tokens"), 4)
    nets = [Supernet(plain(), default_space.largest(), 5, seed=1) for _ in range(3)]
    state = {"state_file": tmp_path / "state", "save_every": 0.0}

    def kill(finished):
        raise Kill

    curve = fit(nets[0], recipe, chooser)
    with pytest.raises(Kill):
        fit(nets[1], recipe, chooser, on_epoch=kill, **state)
    assert fit(nets[2], recipe, chooser, **state).losses == curve.losses
    assert weights_digest(nets[2]) == weights_digest(nets[0])


@pytest.mark.slow
@pytest.mark.parametrize("together", sweep([None, True], [True]))
def test_a_pack_ends_as_trainings_alone(plain, fit, uneven, preprocessing, together):
    backbone = plain()
    recipes = [RECIPE, *(replace(RECIPE, **choice) for choice in CHOICES.values())]
    packed = [Supernet(backbone, MIXED, 5, seed=1) for _ in recipes]
    curves = train_pack(
        packed, *uneven, preprocessing=preprocessing, recipes=recipes, seeds=[0] * 5, together=together
    )
    for network, recipe, curve in zip(packed, recipes, curves, strict=True):
        alone = Supernet(backbone, MIXED, 5, seed=1)
        assert curve.losses == pytest.approx(fit(alone, recipe).losses, abs=1e-5)
        torch.testing.assert_close(network.head.weight, alone.head.weight, atol=1e-5, rtol=1e-5)
    assert len({tuple(curve.losses) for curve in curves}) == 5


@pytest.mark.slow
def test_micro_batches_add_up_to_the_batch(plain, fit):
    every = {"class_balance": "sampled", "augmentation": "mixup", "drop_path": 0.3, "module_dropout": 0.3}
    curves = []
    for parts in (1, 3):
        net = Supernet(plain(), MIXED, 5, seed=1)
        curves.append(fit(net, replace(RECIPE, **every), execution=Execution(micro_batches=parts)).losses)
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
