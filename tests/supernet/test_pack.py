"""Packed trainings: each network ends as if it had been trained alone."""

import contextlib
import functools
import math

import pytest
import torch
from sweep import sweep
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces import KINDS, Architecture, InputError, Kind
from supernet import Constant, Curve, Execution, NonFiniteLoss, Recipe, Supernet, train
from supernet.epoch_losses import EpochLosses
from supernet.module_stack import HeadStack
from supernet.modules import ELASTIC, ElasticModule, register_elastic
from supernet.pack import Pack
from supernet.packed_training import _PackGradient, train_pack
from supernet.precision import autocast

pytestmark = pytest.mark.slow

EPOCHS, BATCH = 2, 20
EMPTY = Architecture.empty(2)
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1], "prompt_tokens": [3, 2]})
OTHER = Architecture.of(2, {"lora_rank": [0, 4], "adapter_dim": [5, 2], "prompt_tokens": [1, 2]})
OF_EVERY_KIND = [
    *(Architecture.of(2, {kind: [3 if i == 0 else 0 for i in range(2)]}) for kind in sorted(KINDS)),
    Architecture.of(2, {kind: [1, 0] for kind in sorted(KINDS)}),
    EMPTY,
]


class Kill(Exception):
    pass


@pytest.fixture
def backbone(plain):
    return plain()


@pytest.fixture
def fit(toy, preprocessing):
    """Trains networks on the toy images, in a pack or each alone."""

    def packed(networks, rates, seeds, epochs=EPOCHS, **options):
        recipes = [Recipe(epochs, rate, batch_size=BATCH) for rate in rates]
        return train_pack(
            networks, *toy, preprocessing=preprocessing, recipes=recipes, seeds=seeds, **options
        )

    def alone(network, rate, seed, epochs=EPOCHS, **options):
        recipe, chooser = Recipe(epochs, rate, batch_size=BATCH), Constant(network.capacity)
        return train(
            network, *toy, preprocessing=preprocessing, chooser=chooser, recipe=recipe, seed=seed, **options
        )

    packed.alone = alone
    return packed


def trained(network):
    return {**dict(network.layers.named_parameters()), **dict(network.head.named_parameters())}


def require_equal(found, expected, tolerance=1e-5):
    found, expected = trained(found), trained(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=tolerance, rtol=tolerance, msg=name)


@pytest.fixture(scope="module")
def alone():
    """Networks that were trained alone, and their curves, by all that decides them."""
    return {}


@pytest.fixture
def require_as_alone(fit, backbone, alone):
    return functools.partial(check_against_alone, fit, backbone, alone)


def check_against_alone(fit, backbone, alone, architectures, rates, seeds, together, **execution):
    options = {"execution": Execution(**execution)}
    networks = [Supernet(backbone, a, 5, seed=seed) for a, seed in zip(architectures, seeds, strict=True)]
    starts = [{name: value.clone() for name, value in trained(network).items()} for network in networks]
    curves = fit(networks, rates, seeds, together=together, **options)
    for network, start, a, rate, seed, curve in zip(
        networks, starts, architectures, rates, seeds, curves, strict=True
    ):
        key = a, rate, seed, options["execution"]
        if key not in alone:
            single = Supernet(backbone, a, 5, seed=seed)
            alone[key] = single, fit.alone(single, rate, seed, **options)
        single, expected = alone[key]
        require_equal(network, single)
        assert curve.losses == pytest.approx(expected.losses, abs=1e-5)
        assert curve.image_passes == expected.image_passes
        assert all(not torch.equal(start[name], value) for name, value in trained(network).items())


@pytest.mark.parametrize("together", [False, True, None])
def test_architectures_seeds_and_rates_of_one_pack_differ(require_as_alone, together):
    architectures = [MIXED, EMPTY, OTHER, MIXED, OTHER]
    require_as_alone(architectures, [2e-3, 2e-3, 1e-3, 5e-3, 2e-4], [0, 1, 2, 3, 3], together)


@pytest.mark.parametrize("together", sweep([False, True], [True]))
def test_every_kind_in_one_pack(require_as_alone, together):
    count = len(OF_EVERY_KIND)
    require_as_alone(OF_EVERY_KIND, [1e-3] * count, list(range(count)), together)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", sweep(sorted(KINDS), ["lora_rank", "prompt_tokens", "adapter_dim"]))
def test_sizes_of_a_kind_differ(require_as_alone, kind, together):
    later = 0 if KINDS[kind].first_layer_only else 2
    sizes = ([2, later], [3, later], [0, 0], [1, 0])
    architectures = [Architecture.of(2, {kind: list(s)}) for s in sizes]
    require_as_alone(architectures, [1e-3, 2e-3, 1e-3, 5e-4], [0, 0, 1, 2], together)


@pytest.mark.thorough
@pytest.mark.parametrize("together", [False, True])
def test_one_architecture_at_several_rates(require_as_alone, together):
    a = OF_EVERY_KIND[-2]
    require_as_alone([a] * 3, [3e-4, 1e-3, 3e-3], [0, 0, 0], together)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("execution", sweep([{"micro_batches": 3}, {"checkpointing": True}]))
def test_execution_changes_nothing(require_as_alone, execution, together):
    require_as_alone([MIXED, OTHER, EMPTY], [1e-3, 2e-3, 1e-3], [0, 1, 2], together, **execution)


@pytest.mark.thorough
def test_bf16_is_near_training_alone(fit, backbone):
    networks = [Supernet(backbone, a, 5, seed=1) for a in (MIXED, OTHER)]
    fit(networks, [1e-3, 1e-3], [0, 0], execution=Execution(precision="bf16"), together=True)
    for network in networks:
        single = Supernet(backbone, network.capacity, 5, seed=1)
        fit.alone(single, 1e-3, 0, execution=Execution(precision="bf16"))
        require_equal(network, single, 2e-2)


def test_on_a_cpu_different_models_run_one_after_another(fit, backbone):
    """With the results of training alone to the last bit; the same architecture runs as one."""
    chosen = [MIXED, OTHER, EMPTY]
    networks, alone = ([Supernet(backbone, a, 5, seed=1) for a in chosen] for _ in range(2))
    assert Pack([Supernet(backbone, MIXED, 5) for _ in range(3)]).passes == [slice(0, 3)]
    assert Pack(networks).passes == [slice(0, 1), slice(1, 2), slice(2, 3)]
    fit(networks, [1e-3, 2e-3, 3e-3], [0, 1, 2])
    for network, other, lr, seed in zip(networks, alone, [1e-3, 2e-3, 3e-3], [0, 1, 2], strict=True):
        fit.alone(other, lr, seed)
        for name, value in other.module_tensors(other.capacity).items():
            assert torch.equal(value, network.module_tensors(network.capacity)[name])


@pytest.mark.parametrize("together", [False, True])
def test_all_families(vit, images, together):
    """The forward pass and the gradients, around one model of each family of backbones."""
    networks = [Supernet(vit, a, 5, seed=i).train() for i, a in enumerate((MIXED, OTHER, EMPTY))]
    with torch.no_grad():  # so that every module has an effect
        for value in (p for network in networks for p in trained(network).values()):
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    expected = [network(images) for network in networks]
    for logits in expected:
        logits.square().sum().backward()
    gradients = [{n: p.grad.clone() for n, p in trained(network).items()} for network in networks]
    pack = Pack(networks, together=together)
    logits = pack(torch.cat([images] * 3))
    torch.testing.assert_close(logits, torch.stack(expected), atol=1e-5, rtol=1e-5)
    logits.square().sum().backward()
    pack.bind_gradients()
    for network, of_network in zip(networks, gradients, strict=True):
        for name, value in trained(network).items():
            scale = of_network[name].abs().max().clamp_min(1)
            torch.testing.assert_close(value.grad / scale, of_network[name] / scale, atol=1e-5, rtol=1e-5)


@pytest.fixture
def own_kind():
    """A kind whose weights are divided by their norm, which masks but no padding with zeros would stand."""

    @register_elastic(Kind("directions", "Directions", lambda n, shape: n * shape.width))
    class Directions(ElasticModule):
        places = ("norm2", "mlp")

        def __init__(self, shape, capacity):
            super().__init__(shape, capacity)
            self.inner = nn.Module()
            self.inner.tokens = nn.Parameter(torch.empty(capacity, shape.width))

        def reset(self, generator):
            nn.init.normal_(self.inner.tokens, generator=generator)

        def forward(self, place, x, y, size):
            tokens = self.inner.tokens / self.inner.tokens.norm(dim=1, keepdim=True)
            if isinstance(size, int):
                return y + (y @ tokens[:size].T) @ tokens[:size] * 0.1
            return y + ((y @ tokens.T) * self.unit_mask(size, y.dtype)) @ tokens * 0.1

        def tensors_at(self, size):
            return {"inner.tokens": self.inner.tokens.data[:size]}

    yield "directions"
    del KINDS["directions"], ELASTIC["directions"]


@pytest.mark.parametrize("together", [False, True])
def test_a_kind_of_ones_own(require_as_alone, own_kind, together):
    architectures = [Architecture.of(2, {own_kind: s}) for s in ([1, 2], [3, 1], [0, 0])]
    require_as_alone(architectures, [1e-3, 1e-3, 2e-3], [0, 1, 2], together)


@pytest.mark.parametrize("together", [False, True])
def test_a_loss_that_is_not_finite_ends_its_network_alone(fit, backbone, together):
    architectures, rates = [MIXED, OTHER, EMPTY, OTHER], [1e-3, 1e30, 1e-3, 2e-3]
    networks = [Supernet(backbone, a, 5, seed=1) for a in architectures]
    outcomes = fit(networks, rates, [0, 1, 2, 3], together=together)
    with pytest.raises(NonFiniteLoss) as alone:
        fit.alone(Supernet(backbone, OTHER, 5, seed=1), 1e30, 1)
    assert str(outcomes[1]) == str(alone.value)
    for i in (0, 2, 3):
        single = Supernet(backbone, architectures[i], 5, seed=1)
        expected = fit.alone(single, rates[i], i)
        require_equal(networks[i], single)
        assert outcomes[i].losses == pytest.approx(expected.losses, abs=1e-5)
        assert outcomes[i].image_passes == expected.image_passes


class AtTheEnd(EpochLosses):
    """Looks at losses only when the epoch ends, as on a GPU."""

    def add(self, loss, lr, images):
        with contextlib.suppress(NonFiniteLoss):
            super().add(loss, lr, images)


@pytest.mark.thorough
@pytest.mark.parametrize("together", [False, True])
def test_on_a_gpu_it_ends_with_the_epoch_and_by_the_same_error(fit, backbone, together, monkeypatch):
    architectures, rates = [MIXED, OTHER, EMPTY], [1e-3, 1e30, 1e-3]

    def fresh():
        return [Supernet(backbone, a, 5, seed=1) for a in architectures]

    begun = []
    begin = _PackGradient.begin
    monkeypatch.setattr(
        _PackGradient, "begin", lambda self, going: begun.append(len(going)) or begin(self, going)
    )
    at_their_steps, at_the_end = fresh(), fresh()
    expected = fit(at_their_steps, rates, [0, 1, 2], together=together)
    assert begun == [3, 2, 2]
    begun.clear()
    monkeypatch.setattr("supernet.training_loop.EpochLosses", AtTheEnd)
    outcomes = fit(at_the_end, rates, [0, 1, 2], together=together)
    assert begun == [3, 2]
    assert str(outcomes[1]) == str(expected[1])
    for i in (0, 2):
        require_equal(at_the_end[i], at_their_steps[i])
        assert outcomes[i].losses == pytest.approx(expected[i].losses, abs=1e-5)
        assert outcomes[i].image_passes == expected[i].image_passes
    with pytest.raises(NonFiniteLoss) as alone:
        fit.alone(Supernet(backbone, OTHER, 5, seed=1), 1e30, 1)
    assert str(alone.value) == str(expected[1])


def test_the_head_is_float32_under_autocast(backbone):
    networks = [Supernet(backbone, a, 5, seed=1) for a in (MIXED, OTHER)]
    features = torch.randn(2, 3, networks[0].shape.width, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([net.classify(x) for net, x in zip(networks, features, strict=True)])
    with autocast(features.device, "bf16"):
        found = HeadStack([net.head for net in networks])(features.bfloat16())
        exact = HeadStack([net.head for net in networks])(features)
    assert (found.dtype, exact.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(exact, expected, atol=1e-6, rtol=1e-6)


def test_all_fail(fit, backbone):
    outcomes = fit([Supernet(backbone, MIXED, 5) for _ in range(2)], [1e30, 1e32], [0, 1])
    assert [type(outcome) for outcome in outcomes] == [NonFiniteLoss, NonFiniteLoss]


def kill_after(epoch):
    def on_epoch(finished):
        if finished == epoch:
            raise Kill

    return on_epoch


def test_a_killed_pack_goes_on_packed_or_alone(fit, backbone, tmp_path):
    architectures, rates, seeds = [MIXED, OTHER, EMPTY], [1e-3, 2e-3, 1e-3], [0, 1, 2]
    files = [tmp_path / f"{i}.state.pt" for i in range(3)]

    def fresh():
        return [Supernet(backbone, a, 5, seed=1) for a in architectures]

    with pytest.raises(Kill):
        fit(fresh(), rates, seeds, state_files=files, save_every=0, on_epoch=kill_after(1))
    whole, resumed, told = fresh(), fresh(), []
    for network, rate, seed in zip(whole, rates, seeds, strict=True):
        fit.alone(network, rate, seed)
    alone = Supernet(backbone, OTHER, 5, seed=1)
    curve = fit.alone(alone, rates[1], seeds[1], state_file=files[1], on_epoch=told.append)
    assert (told, len(curve.losses)) == ([1, 2], EPOCHS)
    require_equal(alone, whole[1])
    curves = fit(resumed, rates, seeds, state_files=files, on_epoch=told.append)
    assert told[2:] == [2]
    for network, expected, of_network in zip(resumed, whole, curves, strict=True):
        require_equal(network, expected)
        assert len(of_network.losses) == EPOCHS


def test_states_of_different_epochs_wait_for_each_other(fit, backbone, tmp_path):
    files = [tmp_path / "0.state.pt", tmp_path / "1.state.pt"]
    for rate, epoch, file in ((1e-3, 1, files[0]), (2e-3, 2, files[1])):
        network = Supernet(backbone, MIXED, 5, seed=1)
        with pytest.raises(Kill):
            fit.alone(network, rate, 0, 3, state_file=file, save_every=0, on_epoch=kill_after(epoch))
    resumed = [Supernet(backbone, MIXED, 5, seed=1) for _ in range(2)]
    curves = fit(resumed, [1e-3, 2e-3], [0, 0], 3, state_files=files)
    for network, rate, curve in zip(resumed, [1e-3, 2e-3], curves, strict=True):
        whole = Supernet(backbone, MIXED, 5, seed=1)
        expected = fit.alone(whole, rate, 0, 3)
        require_equal(network, whole)
        assert curve.losses == pytest.approx(expected.losses, abs=1e-5)
        assert curve.image_passes == expected.image_passes


def test_a_state_is_no_larger_than_alone(fit, backbone, tmp_path):
    files = [tmp_path / "pack", tmp_path / "other", tmp_path / "alone"]
    small = Architecture.of(2, {"lora_rank": [1, 0]})
    networks = [Supernet(backbone, a, 5, seed=1) for a in (small, MIXED)]
    fit(networks, [1e-3, 1e-3], [0, 0], state_files=files[:2], save_every=0, together=True)
    fit.alone(Supernet(backbone, small, 5, seed=1), 1e-3, 0, state_file=files[2], save_every=0)
    assert math.isclose(files[0].stat().st_size, files[2].stat().st_size, rel_tol=0.01)


class Count(TorchDispatchMode):
    """Counts operations that compute something: views launch no kernel."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations += not function.is_view
        return function(*args, **(kwargs or {}))


def operations(backbone, count):
    architectures = [MIXED, OTHER, EMPTY, MIXED] * (count // 4)
    pack = Pack([Supernet(backbone, a, 5).train() for a in architectures], together=True)
    images = torch.zeros(2 * count, 3, 32, 32)
    with Count() as counted:
        pack(images).sum().backward()
    return counted.operations


def test_the_number_of_operations_does_not_depend_on_that_of_models(backbone):
    assert operations(backbone, 8) == operations(backbone, 16)


def test_networks_are_their_own_again_at_the_end(fit, backbone):
    networks = [Supernet(backbone, a, 5, seed=1) for a in (MIXED, OTHER)]
    before = [p for network in networks for p in trained(network).values()]
    curves = fit(networks, [1e-3, 1e-3], [0, 0], together=True)
    after = [p for network in networks for p in trained(network).values()]
    assert all(isinstance(curve, Curve) for curve in curves)
    assert all(a is b for a, b in zip(before, after, strict=True))
    storages = {p.untyped_storage().data_ptr() for p in after}
    assert len(storages) == len(after)
    assert not any(network.training for network in networks)


def test_what_does_not_fit_is_refused(fit, backbone, plain):
    net = Supernet(backbone, EMPTY, 5)
    with pytest.raises(ValueError, match="at least one"):
        Pack([])
    with pytest.raises(ValueError, match="share one backbone"):
        Pack([net, Supernet(plain(), EMPTY, 5)])
    with pytest.raises(ValueError, match="classes"):
        Pack([net, Supernet(backbone, EMPTY, 6)])
    with pytest.raises(InputError, match="compile"):
        fit([net], [1e-3], [0], execution=Execution(compile=True))
