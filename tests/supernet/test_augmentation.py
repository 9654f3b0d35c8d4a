"""Augmentation: what each does to images, and that its draws belong to an image and an epoch alone."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sweep import sweep
from torch import nn

from search_spaces import Architecture, InputError
from supernet import (
    AUGMENTATIONS,
    Constant,
    Execution,
    Groups,
    OnePath,
    OnePerImage,
    Recipe,
    Sandwich,
    Supernet,
    evaluate,
    train,
    train_pack,
)
from supernet.augmentation import CROP_AREA, ERASED, UNCROPPED, Augmenter, augmenter, draw, read_for
from supernet.backbones import weights_digest
from supernet.images import TwoSizes

CHANGING = AUGMENTATIONS[1:]
CPU = torch.device("cpu")
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1], "prompt_tokens": [3, 2]})
KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
RECIPE = Recipe(epochs=3, lr=2e-3, batch_size=16)


def photos(number=24, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(number, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (255 * smooth).to(torch.uint8)


@pytest.fixture
def begun(preprocessing):
    """Makes an augmenter of some images whose epoch has begun."""

    def make(name, images, seed=0, epoch=0):
        found = augmenter(name, images, seed=seed, preprocessing=preprocessing, indices_on=CPU)
        found.begin(epoch)
        return found

    return make


@pytest.mark.parametrize("name", sweep(CHANGING))
@given(
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 100),
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    order=st.permutations(range(12)),
    batch=st.integers(1, 12),
)
def test_pixels_depend_on_seed_epoch_and_image_only(preprocessing, name, seed, epoch, size, order, batch):
    images = photos(12, *size)
    options = {"seed": seed, "preprocessing": preprocessing, "indices_on": CPU}
    whole, other = augmenter(name, images, **options), augmenter(name, images, **options)
    whole.begin(epoch)
    expected = whole(torch.arange(12), CPU)
    assert expected.dtype == torch.uint8
    assert expected.shape == images.shape
    other.begin(epoch + 1)
    assert not torch.equal(other(torch.arange(12), CPU), expected)
    other.begin(epoch)
    indices = torch.tensor(order)
    for part in indices.split(batch):
        assert torch.equal(other(part, CPU), expected[part])


@pytest.mark.parametrize("name", CHANGING)
def test_images_epochs_and_seeds_differ(begun, name):
    same = photos(1).expand(64, -1, -1, -1)
    every = torch.arange(64)
    first = begun(name, same)(every, CPU)
    # a share may be next to nothing, and the mixed image then equals its partner
    assert len({image.numpy().tobytes() for image in first}) >= (60 if name == "mixup" else 64)
    assert not torch.equal(first, begun(name, same, epoch=1)(every, CPU))
    assert not torch.equal(first, begun(name, same, seed=1)(every, CPU))


def test_a_crop_shows_a_part_of_the_image_at_full_size(begun):
    """The pixels of a ramp say where they come from."""
    ramp = torch.arange(64, dtype=torch.uint8) * 4
    across = ramp.expand(200, 3, 48, 64)
    down = ramp[:48, None].expand(200, 3, 48, 64)
    every = torch.arange(200)
    columns = begun("crop", across)(every, CPU)[:, 0, 0].float() / 4
    rows = begun("crop", down)(every, CPU)[:, 0, :, 0].float() / 4
    for places, side in ((columns, 64), (rows, 48)):
        assert float(places.min()) >= 0
        assert float(places.max()) <= side - 1
        assert bool((places.diff() >= 0).all())
    # the extent of the first and last pixel's centres, and half a source pixel step at both ends
    wide = (columns[:, -1] - columns[:, 0]) / 63
    tall = (rows[:, -1] - rows[:, 0]) / 47
    area = wide * tall
    assert float(area.min()) > CROP_AREA[0] - 0.1
    assert float(area.max()) <= 1.01
    assert float(area.std()) > 0.1
    assert float((columns[:, 0]).std()) > 1  # crops begin at different places


def test_crops_are_cut_from_the_larger_images(begun):
    """A board of single pixels survives in a crop of the larger images; a crop of the small ones is grey."""
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255
    larger = board.to(torch.uint8).expand(40, 3, 64, 64).contiguous()
    small = torch.full((40, 3, 32, 32), 128, dtype=torch.uint8)
    every = torch.arange(40)
    found = begun("crop", TwoSizes(small, larger))(every, CPU)
    assert found.shape == small.shape
    assert float(found.float().std()) > 25
    assert not begun("crop", small)(every, CPU).float().std()


@given(size=st.tuples(st.integers(8, 24), st.integers(8, 24)), factor=st.integers(1, 3))
def test_larger_images_without_more_detail_give_the_same_crops(preprocessing, size, factor):
    """Of a ramp, which enlarging does not change, both show the same places."""
    height, width = size
    tall, wide = height * factor, width * factor
    shown = [
        (torch.arange(n) + 0.5).mul(240 / n).round().to(torch.uint8).expand(20, 3, m, n)
        for m, n in ((height, width), (tall, wide))
    ]
    crops = []
    for images in (shown[0], TwoSizes(*shown)):
        found = augmenter("crop-flip", images, seed=3, preprocessing=preprocessing, indices_on=CPU)
        found.begin(1)
        crops.append(found(torch.arange(20), CPU).float())
    inner = (crops[1] > 240 / width) & (crops[1] < 240 - 240 / width)  # the edges are held beyond the centres
    assert float((crops[0] - crops[1])[inner].abs().max()) <= 2


def test_larger_images_are_read_only_where_crops_are_cut():
    both = TwoSizes(photos(3), photos(3, 40, 40))
    assert read_for(["none"], both) is both.images
    assert read_for([], both.images) is both.images
    for name in CHANGING:
        assert read_for(["none", name], both) is (both.images if name in UNCROPPED else both)


def test_half_of_the_crops_are_mirrored(begun):
    images, every = photos(400), torch.arange(400)
    cropped, flipped = (begun(name, images)(every, CPU) for name in ("crop", "crop-flip"))
    same = (flipped == cropped).flatten(1).all(1)
    mirrored = (flipped == cropped.flip(-1)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_strong_erases_rectangles_in_the_mean_colour(begun, preprocessing):
    images, every = photos(400), torch.arange(400)
    found = begun("strong", images)(every, CPU)
    drawn = draw("strong", 400, (32, 32), 0, 0)
    top, bottom, left, right = drawn.erased.T
    area = (bottom - top) * (right - left) / 32**2
    assert int(drawn.erased.min()) >= 0
    assert int(drawn.erased.max()) <= 32
    share = float((area > 0).float().mean())
    assert abs(share - ERASED) < 0.07
    assert float(area.max()) < 0.4
    fill = (255 * torch.tensor(preprocessing.mean)).round().to(torch.uint8)
    for i in (area > 0).nonzero()[:, 0].tolist():
        erased = found[i, :, top[i] : bottom[i], left[i] : right[i]]
        assert bool((erased == fill[:, None, None]).all())
    normalised = preprocessing.normalise(fill[None, :, None, None].expand(1, 3, 2, 2))
    assert float(normalised.abs().max()) < 0.02


def test_strong_uses_every_operation_and_strength():
    drawn = draw("strong", 4000, (32, 32), 0, 0)
    assert drawn.operations.unique().tolist() == list(range(14))
    assert len(drawn.strengths.abs().unique()) == 31
    assert float(drawn.strengths.min()) == -1
    assert float(drawn.strengths.max()) == 1


def test_none_draws_nothing_and_unknown_names_are_refused(preprocessing):
    options = {"seed": 0, "preprocessing": preprocessing, "indices_on": CPU}
    assert augmenter("none", photos(), **options) is None
    message = "augmentation is 'flip'; give one of none, crop, crop-flip, strong, mixup, cutmix, augmix"
    with pytest.raises(InputError, match=message):
        Recipe(1, 0.1, augmentation="flip")
    early = Augmenter("crop", images=photos(3), **options)
    with pytest.raises(ValueError, match="call begin first"):
        early(torch.arange(3), CPU)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(InputError, match=r"label_smoothing is .*; give 0 for none, or less than 1"):
        Recipe(1, 0.1, label_smoothing=value)


@pytest.fixture
def fresh(plain, default_space):
    return lambda: Supernet(plain(), default_space.largest(), 5, seed=1)


@pytest.fixture
def fit(toy, preprocessing):
    def run(net, chooser, recipe=RECIPE, **options):
        return train(
            net, *toy, preprocessing=preprocessing, chooser=chooser, recipe=recipe, seed=0, **options
        )

    return run


class Kill(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep(AUGMENTATIONS, 2))
def test_augmentation_changes_the_training_and_none_does_not(fresh, fit, name):
    plain, augmented = fresh(), fresh()
    fit(plain, Constant(MIXED))
    fit(augmented, Constant(MIXED), replace(RECIPE, augmentation=name))
    assert (weights_digest(plain) == weights_digest(augmented)) == (name == "none")


@pytest.mark.slow
def test_without_augmentation_nothing_is_drawn(plain, fit, toy, preprocessing, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("drawn")

    monkeypatch.setattr("supernet.augmentation.draw", refuse)
    backbone = plain()
    networks = [Supernet(backbone, MIXED, 5, seed=1) for _ in range(2)]
    fit(networks[0], Constant(MIXED))
    train_pack(networks, *toy, preprocessing=preprocessing, recipes=[RECIPE] * 2, seeds=[0, 1])
    with pytest.raises(AssertionError, match="drawn"):
        fit(networks[0], Constant(MIXED), replace(RECIPE, augmentation="crop"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "which", sweep(["constant", "one path", "one per image", "groups", "sandwich"], ["one per image"])
)
def test_killed_and_resumed_is_not_killed(fresh, fit, default_space, tmp_path, which):
    sample, smallest = default_space.sample, Architecture.of(2, {"prompt_tokens": [1, 0]})
    chooser = {
        "constant": Constant(MIXED),
        "one path": OnePath(sample),
        "one per image": OnePerImage(sample, KINDS),
        "groups": Groups(sample, KINDS, 4),
        "sandwich": Sandwich(sample, default_space.largest(), smallest, distil=True),
    }[which]
    strong = replace(RECIPE, augmentation="strong", label_smoothing=0.1)
    whole, resumed = fresh(), fresh()
    curve = fit(whole, chooser, strong)
    state = {"state_file": tmp_path / "state", "save_every": 0.0}

    def kill(finished):
        if finished == 2:
            raise Kill

    with pytest.raises(Kill):
        fit(fresh(), chooser, strong, on_epoch=kill, **state)
    again = fit(resumed, chooser, strong, **state)
    assert weights_digest(resumed) == weights_digest(whole)
    assert again.losses == curve.losses


@pytest.mark.thorough
@pytest.mark.slow
def test_micro_batches_see_the_same_pixels(fresh, fit):
    nets, curves = [fresh(), fresh()], []
    for net, parts in zip(nets, (1, 3), strict=True):
        execution = Execution(micro_batches=parts)
        strong = replace(RECIPE, augmentation="strong", label_smoothing=0.1)
        curves.append(fit(net, Constant(MIXED), strong, execution=execution).losses)
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("larger", sweep([False, True], [True]))
@pytest.mark.parametrize("together", sweep([False, True], [True]))
def test_a_pack_ends_as_trainings_alone(plain, toy, preprocessing, together, larger):
    backbone, (images, labels) = plain(), toy
    if larger:
        images = TwoSizes(images, photos(len(images), 40, 40))
    names = ("none", "strong", "crop-flip")
    recipes = [replace(RECIPE, augmentation=name, label_smoothing=0.1) for name in names]
    packed = [Supernet(backbone, MIXED, 5, seed=1) for _ in names]
    curves = train_pack(
        packed,
        images,
        labels,
        preprocessing=preprocessing,
        recipes=recipes,
        seeds=[0, 0, 0],
        together=together,
    )
    losses = []
    for network, recipe, curve in zip(packed, recipes, curves, strict=True):
        alone = Supernet(backbone, MIXED, 5, seed=1)
        expected = train(
            alone,
            images,
            labels,
            preprocessing=preprocessing,
            chooser=Constant(MIXED),
            recipe=recipe,
            seed=0,
        )
        assert curve.losses == pytest.approx(expected.losses, abs=1e-5)
        torch.testing.assert_close(network.head.weight, alone.head.weight, atol=1e-5, rtol=1e-5)
        losses.append(tuple(curve.losses))
    assert len(set(losses)) == 3
    with pytest.raises(ValueError, match="one label smoothing"):
        train_pack(
            packed,
            images,
            labels,
            preprocessing=preprocessing,
            recipes=[RECIPE, RECIPE, recipes[0]],
            seeds=[0, 0, 0],
        )


@pytest.mark.slow
def test_evaluation_never_augments(fresh, fit, toy, preprocessing):
    net = fresh()
    fit(net, Constant(MIXED), replace(RECIPE, augmentation="strong"))
    found = [evaluate(net, *toy, preprocessing=preprocessing, architecture=MIXED) for _ in range(2)]
    assert torch.equal(found[0].losses, found[1].losses)
    with torch.inference_mode():
        logits = net(preprocessing.normalise(toy[0]), MIXED)
    losses = nn.functional.cross_entropy(logits, toy[1], reduction="none")
    torch.testing.assert_close(found[0].losses, losses, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_labels_follow_their_images(fresh, fit, toy, preprocessing):
    """Classes are colours, which crops and flips keep: they are learned from augmented images alone."""
    net = fresh()
    fit(net, Constant(MIXED), Recipe(15, 1e-2, batch_size=8, augmentation="crop-flip"))
    assert evaluate(net, *toy, preprocessing=preprocessing, architecture=MIXED).accuracy > 0.8


@pytest.mark.slow
def test_the_loss_of_smoothed_labels_is_torchs(fresh, fit, toy, preprocessing):
    net = fresh()
    still = Recipe(1, 1e-12, weight_decay=0.0, batch_size=16, label_smoothing=0.3)
    with torch.inference_mode():
        logits = net(preprocessing.normalise(toy[0]), MIXED)
    expected = float(nn.functional.cross_entropy(logits, toy[1], label_smoothing=0.3))
    assert fit(net, Constant(MIXED), still).losses[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_head_on_cached_features_refuses_augmentation(fresh, fit):
    with pytest.raises(InputError, match="augmentation is 'crop', and a head is trained on features"):
        fit(fresh(), Constant(MIXED), replace(RECIPE, augmentation="crop"), trainable="head")
