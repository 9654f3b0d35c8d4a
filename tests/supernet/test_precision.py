"""Formats of a computation: which flags a context sets, that it restores them, and what stays float32."""

import pytest
import torch
import torch.nn.functional as F
from sweep import sweep

from search_spaces import KINDS, Architecture, InputError
from supernet import (
    ArchitectureBatch,
    Constant,
    Execution,
    OnePerImage,
    Recipe,
    Sandwich,
    Supernet,
    default_precision,
    evaluate,
    score,
    train,
    train_pack,
)
from supernet.modules import SSF
from supernet.precision import autocast, computing_in, float32_products

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(params=[(False, True), (True, False)])
def surroundings(request):
    before = flags()
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = request.param
    yield request.param
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_tf32_is_used_with_tf32_only_in_products_and_convolutions_alike(surroundings, precision, rounded):
    with float32_products(CUDA, precision):
        assert flags() == (rounded, rounded)
    assert flags() == surroundings
    with pytest.raises(RuntimeError, match="no"), float32_products(CUDA, precision):
        raise RuntimeError("no")
    assert flags() == surroundings
    with float32_products(CPU, precision):
        assert flags() == surroundings


def test_a_context_says_the_formats_whatever_surrounds_it():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        for precision in ("fp32", "tf32"):
            with computing_in(CPU, precision):
                assert (x @ x).dtype == torch.float32
        with computing_in(CPU, "bf16"):
            assert (x @ x).dtype == torch.bfloat16


@pytest.mark.parametrize("context", [autocast, computing_in, float32_products])
def test_an_unknown_precision_is_said(context):
    with (
        pytest.raises(InputError, match="precision is 'half'; give fp32, tf32 or bf16"),
        context(CPU, "half"),
    ):
        pass


def test_the_default_of_a_device():
    assert default_precision("cuda:1") == default_precision(CUDA) == "bf16"
    assert default_precision("cpu") == "fp32"


@torch.no_grad()
def test_the_head_reads_float32_and_gives_float32_under_autocast(plain, pixels, default_space, randomised):
    network = randomised(plain(), default_space.largest())
    with autocast(CPU, "bf16"):
        features = network.features(pixels)
        logits = network(pixels)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, network.head(features.float()))
    assert not torch.equal(logits, logits.bfloat16().float())


@torch.no_grad()
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "kind", ["ssf", "adapter_dim_parallel_scaled", "adapter_dim_scaled", "lora_rank_fc1", "of a user"]
)
def test_no_module_widens_what_comes_after(plain, pixels, randomised, kind, masked, monkeypatch):
    if kind == "of a user":  # with float32 arithmetic of its own
        own, kind = SSF.forward, "ssf"
        monkeypatch.setattr(
            SSF, "forward", lambda module, place, x, y, size: own(module, place, x, y.float(), size)
        )
    seen = []
    architecture = Architecture.uniform(2, kind, 2 if kind != "ssf" else 6)
    network = randomised(plain(), architecture)
    layer = network.trunk.layers[0]
    for place in ("attend", "activate", "scale2"):
        method = getattr(layer, place)
        monkeypatch.setattr(
            layer, place, lambda x, *rest, method=method: seen.append(x.dtype) or method(x, *rest)
        )
    sizes = ArchitectureBatch.of([architecture] * len(pixels), architecture.kinds) if masked else architecture
    with autocast(CPU, "bf16"):
        network(pixels, sizes)
    assert seen == [torch.bfloat16] * 3


@pytest.mark.parametrize("kind", sweep(sorted(KINDS), ["dora_rank", "lora_rank", "prompt_tokens"]))
def test_every_kind_is_trained_in_half_precision_as_in_full(kind, plain, toy, preprocessing):
    """Frozen weights are then bfloat16 copies, which some kinds compute with."""
    (images, labels), depth = toy, 2
    layers = 1 if KINDS[kind].first_layer_only else depth
    size = min(3, KINDS[kind].max_size or 3)
    given = Architecture.of(depth, {kind: [size] * layers + [0] * (depth - layers)})
    empty = Architecture.empty(depth)
    choosers = (Constant(given), OnePerImage(lambda rng: given if rng.random() < 0.5 else empty, (kind,)))
    recipe = Recipe(epochs=2, lr=1e-2, batch_size=8)
    losses = {}
    for precision in ("fp32", "bf16"):
        networks = [Supernet(plain(), given, 5, seed=1) for _ in choosers]
        options = {"preprocessing": preprocessing, "recipe": recipe, "seed": 0}
        curves = [
            train(net, images, labels, chooser=chooser, execution=Execution(precision), **options)
            for net, chooser in zip(networks, choosers, strict=True)
        ]
        found = evaluate(networks[0], images, labels, preprocessing=preprocessing, precision=precision)
        losses[precision] = [*(curve.losses[-1] for curve in curves), found.loss]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_every_loss_is_of_float32_logits(plain, toy, default_space, preprocessing, monkeypatch):
    """Of each chooser, of packs, in evaluation and in scoring."""
    seen: list[torch.dtype] = []
    real = F.cross_entropy
    monkeypatch.setattr(
        F,
        "cross_entropy",
        lambda logits, *rest, **more: seen.append(logits.dtype) or real(logits, *rest, **more),
    )
    (images, labels), largest = toy, default_space.largest()
    network, execution = Supernet(plain(), largest, 5), Execution(precision="bf16")
    recipe, empty = Recipe(epochs=1, lr=1e-3, batch_size=len(images)), Architecture.empty(largest.depth)
    for chooser in (
        Constant(largest),
        OnePerImage(default_space.sample, largest.kinds),
        Sandwich(default_space.sample, largest, empty, distil=True),
    ):
        options = {"preprocessing": preprocessing, "recipe": recipe, "seed": 0, "execution": execution}
        train(network, images, labels, chooser=chooser, **options)
    networks = [Supernet(network.backbone, largest, 5) for _ in range(2)]
    options = {"preprocessing": preprocessing, "recipes": [recipe] * 2, "seeds": [0, 1]}
    train_pack(networks, images, labels, execution=execution, **options)
    trained = len(seen)
    evaluate(network, images, labels, preprocessing=preprocessing, precision="bf16")
    score(network, images, labels, [largest, empty], preprocessing=preprocessing, precision="bf16")
    assert (trained, set(seen)) == (6, {torch.float32})
    assert len(seen) > trained + 1
