"""The one training loop: what it changes, that it is reproducible, and that it can be killed."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep import sweep

from search_spaces import Architecture, InputError, count_params, head_params
from supernet import (
    Constant,
    Groups,
    NonFiniteLoss,
    OnePath,
    OnePerImage,
    Recipe,
    Sandwich,
    Step,
    Supernet,
    evaluate,
    pooled_features,
    train,
)
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow

RECIPE = Recipe(epochs=4, lr=2e-3, batch_size=16)
EMPTY = Architecture.empty(2)
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1], "prompt_tokens": [3, 2]})
SMALLEST = Architecture.of(2, {"prompt_tokens": [1, 0]})
KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
REPEATABLE = settings(deadline=None, max_examples=50, derandomize=True, database=None)


@pytest.fixture
def choosers(default_space):
    return {
        "constant": Constant(MIXED),
        "one path": OnePath(default_space.sample),
        "one per image": OnePerImage(default_space.sample, KINDS),
        "groups": Groups(default_space.sample, KINDS, 4),
        "sandwich": Sandwich(default_space.sample, default_space.largest(), SMALLEST, distil=True),
    }


@pytest.fixture
def fresh(plain, default_space):
    return lambda: Supernet(plain(), default_space.largest(), 5, seed=1)


@pytest.fixture
def fit(toy, preprocessing):
    """Trains a supernet on the toy images."""

    def run(net, chooser, recipe=RECIPE, seed=0, **options):
        return train(
            net, *toy, preprocessing=preprocessing, chooser=chooser, recipe=recipe, seed=seed, **options
        )

    return run


class Kill(Exception):
    pass


def kill_after(epoch):
    def on_epoch(finished):
        if finished == epoch:
            raise Kill

    return on_epoch


@pytest.mark.parametrize("trainable", ["modules", "all"])
@pytest.mark.parametrize(
    "which", sweep(["constant", "one path", "one per image", "groups", "sandwich"], ["one per image"])
)
def test_same_seed_same_weights_and_another_seed_others(fresh, fit, choosers, which, trainable):
    digests, curves = [], []
    for seed in (0, 0, 1):
        net = fresh()
        curve = fit(net, choosers[which], Recipe(epochs=2, lr=1e-3, batch_size=16), seed, trainable=trainable)
        digests.append(weights_digest(net))
        curves.append(curve.losses)
    assert digests[0] == digests[1] != digests[2]
    assert curves[0] == curves[1] != curves[2]


def test_global_random_state_is_neither_used_nor_changed(fresh, fit, choosers):
    digests = []
    for global_seed in (1, 2):
        net = fresh()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            before = torch.get_rng_state()
            fit(net, choosers["one per image"], Recipe(epochs=1, lr=1e-3))
            assert torch.equal(torch.get_rng_state(), before)
        digests.append(weights_digest(net))
    assert digests[0] == digests[1]


class Recorder:
    """Stands for the preprocessing and the chooser, and notes what they are asked."""

    def __init__(self, preprocessing):
        self.preprocessing = preprocessing
        self.images, self.draws = [], []

    def on(self, device):
        normalise = self.preprocessing.on(device)

        def noted(images):
            self.images += images[:, 0, 0, 0].tolist()
            return normalise(images)

        return noted

    def __call__(self, rng, batch):
        self.draws.append((batch, rng.random()))
        return Step((MIXED,))


def test_an_epoch_sees_each_image_once_and_epochs_and_seeds_differ(fresh, preprocessing):
    images = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(20)
    orders, draws = [], []
    for seed in (0, 1):
        note = Recorder(preprocessing)
        train(
            fresh(),
            images,
            torch.arange(20) % 5,
            preprocessing=note,
            chooser=note,
            recipe=Recipe(epochs=2, lr=1e-3, batch_size=8),
            seed=seed,
        )
        orders += [tuple(note.images[:20]), tuple(note.images[20:])]
        assert [batch for batch, _ in note.draws] == [8, 8, 4] * 2
        draws += [number for _, number in note.draws]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(set(orders)) == 4
    assert len(set(draws)) == 12


@pytest.mark.parametrize(
    ("which", "trainable"),
    sweep(
        [
            ("one per image", "modules"),
            ("one path", "modules"),
            ("sandwich", "modules"),
            ("constant", "head"),
            ("constant", "all"),
        ],
        1,
    ),
)
def test_killed_and_resumed_is_not_killed(fresh, fit, choosers, tmp_path, which, trainable):
    chooser, options = choosers[which], {"trainable": trainable}
    whole = fresh()
    curve = fit(whole, chooser, **options)

    state = {"state_file": tmp_path / "state", "save_every": 0.0}
    for epoch in (1, 3):
        with pytest.raises(Kill):
            fit(fresh(), chooser, on_epoch=kill_after(epoch), **state, **options)
    told = []
    resumed = fresh()
    second = fit(resumed, chooser, on_epoch=told.append, **state, **options)
    assert weights_digest(resumed) == weights_digest(whole)
    assert told == [3, 4]
    assert second.losses == curve.losses
    assert second.image_passes == curve.image_passes
    assert second.seconds > 0


def test_the_state_is_saved_only_when_it_is_time(fresh, fit, choosers, tmp_path):
    fit(fresh(), choosers["constant"], state_file=tmp_path / "state", save_every=3600.0)
    assert list(tmp_path.iterdir()) == []
    fit(fresh(), choosers["constant"], state_file=tmp_path / "state", save_every=0.0)
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_finished_state_trains_no_more(fresh, fit, choosers, tmp_path):
    options = {"state_file": tmp_path / "state", "save_every": 0.0}
    first, again = fresh(), fresh()
    curve = fit(first, choosers["one path"], **options)
    assert fit(again, choosers["one path"], **options) == curve
    assert weights_digest(again) == weights_digest(first)


@pytest.mark.parametrize(
    ("trainable", "changed"),
    [("head", {"head"}), ("modules", {"head", "layers"}), ("all", {"head", "layers", "backbone"})],
)
def test_it_changes_what_is_trainable_and_nothing_else(
    plain, default_space, randomised, fit, trainable, changed
):
    vit = plain()
    vit.reset_classifier(0)
    net = randomised(vit, default_space.largest())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    largest = Constant(default_space.largest())
    fit(net, largest, Recipe(epochs=1, lr=1e-3, weight_decay=0.1), trainable=trainable)
    different = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in different} == changed
    assert different == {name for name in before if name.split(".")[0] in changed}
    assert not net.training


def test_a_training_changes_as_many_elements_as_are_counted(plain, default_space, randomised, fit):
    net = randomised(plain(), default_space.largest())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fit(net, Constant(MIXED), Recipe(epochs=1, lr=1e-2, weight_decay=0.0))
    changed = sum(int((value != before[name]).sum()) for name, value in net.state_dict().items())
    assert changed == count_params(MIXED, net.shape) + head_params(32, 5)


@pytest.mark.parametrize(
    "which", sweep(["constant", "one path", "one per image", "groups", "sandwich"], ["one per image"])
)
def test_the_loss_falls_where_classes_are_separable(fresh, fit, choosers, toy, preprocessing, which):
    net = fresh()
    curve = fit(net, choosers[which], Recipe(epochs=15, lr=1e-2, batch_size=8))
    assert curve.losses[-1] < 0.5 * curve.losses[0]
    assert evaluate(net, *toy, preprocessing=preprocessing, architecture=MIXED).accuracy > 0.8


@pytest.mark.parametrize(("which", "passes"), [("one per image", 1), ("groups", 1), ("sandwich", 3)])
def test_the_curve_counts_image_passes(fresh, fit, choosers, which, passes):
    curve = fit(fresh(), choosers[which], Recipe(epochs=3, lr=1e-3, batch_size=16))
    assert len(curve.losses) == 3
    assert curve.image_passes == 3 * 40 * passes
    assert curve.to_dict() == {
        "losses": curve.losses, "image_passes": curve.image_passes, "seconds": curve.seconds
    }  # fmt: skip


def test_the_loss_of_an_epoch_is_the_mean_over_images(fresh, fit, toy, preprocessing):
    net = fresh()
    before = evaluate(net, *toy, preprocessing=preprocessing, architecture=MIXED).loss
    # 40 images in batches of 16 end in a batch of 8, which must not count double
    curve = fit(net, Constant(MIXED), Recipe(epochs=1, lr=1e-12, weight_decay=0.0, batch_size=16))
    assert curve.losses[0] == pytest.approx(before, rel=1e-5)


class NotCached:
    """`Constant` in all but name."""

    def __init__(self, architecture):
        self.architecture = architecture

    def __call__(self, rng, batch):
        return Step((self.architecture,))


@pytest.mark.parametrize("architecture", [EMPTY, MIXED], ids=["empty", "mixed"])
def test_a_linear_probe_on_cached_features_is_the_same_training(plain, randomised, fit, architecture):
    def probed(chooser, recipe):
        net = randomised(plain(), MIXED)
        return net, fit(net, chooser, recipe, trainable="head")

    recipe = Recipe(epochs=5, lr=1e-2, batch_size=16)
    fast, fast_curve = probed(Constant(architecture), recipe)
    slow, slow_curve = probed(NotCached(architecture), recipe)
    torch.testing.assert_close(fast.head.weight, slow.head.weight, atol=1e-4, rtol=0)
    torch.testing.assert_close(fast.head.bias, slow.head.bias, atol=1e-4, rtol=0)
    assert fast_curve.losses == pytest.approx(slow_curve.losses, abs=1e-4)
    assert fast_curve.losses[-1] < 0.9 * fast_curve.losses[0]
    assert slow_curve.image_passes == 5 * 40
    assert fast_curve.image_passes == 40


def test_a_linear_probe_runs_the_backbone_once_for_each_image_or_not_at_all(
    fresh, fit, toy, preprocessing, monkeypatch
):
    seen = []
    own = Supernet.features
    monkeypatch.setattr(Supernet, "features", lambda self, x, a: seen.append(len(x)) or own(self, x, a))
    nets, curves = [fresh(), fresh()], []
    curves.append(fit(nets[0], Constant(EMPTY), trainable="head"))
    assert sum(seen) == 40
    features = pooled_features(fresh(), toy[0], preprocessing, architecture=EMPTY)
    seen.clear()
    curves.append(fit(nets[1], Constant(EMPTY), trainable="head", features=features))
    assert seen == []
    assert weights_digest(nets[0]) == weights_digest(nets[1])
    assert curves[0].losses == curves[1].losses
    assert [curve.image_passes for curve in curves] == [40, 0]


@pytest.mark.parametrize("batch_size", [1, 16, 256])
@torch.no_grad()
def test_pooled_features_are_what_the_head_reads(
    plain, default_space, randomised, toy, preprocessing, batch_size
):
    net = randomised(plain(), default_space.largest())
    x = preprocessing.normalise(toy[0])
    for a in (None, EMPTY, MIXED):
        pooled = pooled_features(net, toy[0], preprocessing, architecture=a, batch_size=batch_size)
        assert pooled.shape == (40, 32)
        torch.testing.assert_close(net.head(pooled), net(x, a), atol=1e-5, rtol=0)


def test_a_loss_that_is_not_finite_says_where_and_what_to_do(fresh, fit):
    with pytest.raises(
        NonFiniteLoss, match=r"step \d+ of 12 \(learning rate .*e\+\d+\); try a lower"
    ) as caught:
        fit(fresh(), Constant(MIXED), Recipe(epochs=4, lr=1e30, batch_size=16))
    assert isinstance(caught.value, InputError)
    broken = fresh()
    with torch.no_grad():
        broken.layers[1]["adapter_dim"].up_bias[0] = math.nan
    message = r"the loss is nan at step 1 of 12 \(learning rate 0.002\)"
    with pytest.raises(NonFiniteLoss, match=message):
        fit(broken, Constant(MIXED))


@REPEATABLE
@given(
    lr=st.floats(1e-6, 1.0),
    warmup=st.floats(0.0, 0.9),
    total=st.integers(1, 400),
)
def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(lr, warmup, total):
    recipe = Recipe(epochs=1, lr=lr, warmup=warmup)
    rates = [recipe.lr_at(step, total) for step in range(total)]
    rising = max(1, round(warmup * total))
    assert max(rates) == pytest.approx(lr) == rates[rising - 1]
    assert min(rates) > 0
    steps = [b - a for a, b in itertools.pairwise(rates)]
    assert steps[: rising - 1] == pytest.approx([lr / rising] * (rising - 1), rel=1e-6)
    assert all(step <= 1e-9 * lr for step in steps[rising - 1 :])
    assert recipe.lr_at(total, total) == pytest.approx(0.0, abs=1e-12) or rising == total


def test_the_training_follows_the_learning_rate(fresh, fit, monkeypatch):
    rates = []
    step = torch.optim.AdamW.step

    def recording(optimizer):
        rates.extend(group["lr"] for group in optimizer.param_groups)
        return step(optimizer)

    monkeypatch.setattr(torch.optim.AdamW, "step", recording)
    fit(fresh(), Constant(MIXED))
    assert rates == [RECIPE.lr_at(i, 12) for i in range(12)]


def test_a_recipe_is_json_able():
    assert Recipe(**RECIPE.to_dict()) == RECIPE


@pytest.mark.parametrize("trainable", ["modules", "all"])
def test_features_are_refused_where_they_would_not_be_used(fresh, preprocessing, trainable):
    images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)
    with pytest.raises(ValueError, match="more than the head"):
        train(
            fresh(),
            images,
            labels,
            preprocessing=preprocessing,
            chooser=Constant(MIXED),
            recipe=Recipe(1, 1e-3),
            seed=0,
            trainable=trainable,
            features=torch.zeros(4, 8),
        )
