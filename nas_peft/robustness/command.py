"""The whole measurement: models, images, corruptions and domains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas_peft.data.decoding import DEFAULT_MAX_PIXELS, UnreadableImage, pixel_limit
from nas_peft.data.listing import Item, labels_of
from nas_peft.data.materialise import materialise
from nas_peft.data.part import Part
from nas_peft.data.source import Reading, list_source
from nas_peft.data.splits import draw_stratified
from nas_peft.evaluation.labelled_images import LabelledImages
from nas_peft.robustness.class_frequency import FrequencyGroup, frequency_groups
from nas_peft.robustness.measuring import TestImages, measure_models, passes
from nas_peft.robustness.models import NamedModel, models_of_run
from nas_peft.robustness.own_images import TrainedOn, own_images
from nas_peft.robustness.result import RobustnessResult
from nas_peft.robustness.shifted_sets import ShiftedSet, read_shifted_sets
from nas_peft.run.progress import CountedBar, StageBars
from search_spaces import InputError
from search_spaces.streams import stream
from supernet import Subnet, load_subnet


@dataclass(frozen=True)
class Request:
    """What to measure; see the options of ``nas-peft robustness``."""

    source: Path
    dataset: str | None
    reading: Reading
    shifted: tuple[str, ...]
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    most_images: int | None = None
    data_root: Path | None = None
    skip_bad_images: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    backbone_weights: Path | None = None


def measure_robustness(request: Request, device: str, bars: StageBars) -> RobustnessResult:
    """Measure a subnet file, or all models of a run that can be rebuilt.

    Models are put on ``device``. Clean images are the test part, as `LabelledImages` finds it. Raises
    `InputError` for mistakes in the request and for images that cannot be decoded.
    """
    of_the_run = request.source.is_dir() and request.dataset is None
    models, left_out, request, trained_on = _models(request, bars)
    with pixel_limit(request.max_pixels):
        images, which, notes = _images(request, models[0].subnet, trained_on, of_the_run, bars)
    for model in models:
        model.subnet.network.to(device)
    expected = passes(images, len(request.corruptions), len(request.severities), len(models))
    with bars.stage("robustness (images)") as advance:
        done = 0

        def on_images(count: int) -> None:
            nonlocal done
            done += count
            advance(done, expected)

        measured = measure_models(
            models,
            images,
            corruptions=request.corruptions,
            severities=request.severities,
            groups=_groups(models[0].subnet),
            on_images=on_images,
        )
    height, width = images.clean.images.shape[-2:]
    return RobustnessResult(which, (int(height), int(width)), request.severities, measured, left_out, notes)


def _images(
    request: Request, subnet: Subnet, trained_on: TrainedOn, of_the_run: bool, bars: StageBars
) -> tuple[TestImages, str, tuple[str, ...]]:
    """The decoded images, words on the clean ones, and notes on what could not be compared.

    ``subnet`` is one of the models; with ``of_the_run`` the request names the data of the models' run.
    """
    assert request.dataset is not None  # the caller has checked it for a file, and a run has its own
    others, notes = _others(request, request.dataset, subnet, trained_on)
    labelled = LabelledImages.of(
        subnet,
        request.dataset,
        "test" if of_the_run else None,  # also where the data lie elsewhere now than the models' record says
        root=request.data_root,
        reading=request.reading,
        skip_bad_images=request.skip_bad_images,
        own=True if of_the_run else None,
    )
    items, which = _drawn(labelled, request.most_images, subnet.classes)
    total = len(items) + sum(len(other.items) for other in others)
    with bars.counted("images", total) as bar:
        images = TestImages(
            _decoded(items, bar), {other.name: _decoded(other.items, bar) for other in others}
        )
    return images, which, notes


def _models(
    request: Request, bars: StageBars
) -> tuple[tuple[NamedModel, ...], dict[str, str], Request, TrainedOn]:
    """The models, those left out with the reasons, and the data set of their training.

    The request has a run's own data set filled in.
    """
    if not request.source.is_dir():
        subnet = load_subnet(request.source, backbone_weights=request.backbone_weights)
        model = NamedModel(request.source.name, request.source.stem, subnet.params, subnet)
        return (model,), {}, request, TrainedOn.recorded(subnet)
    with bars.stage("models") as advance:
        found = models_of_run(request.source, advance)
    config = found.config
    if request.dataset is None:
        request = replace(
            request,
            dataset=config.dataset,
            reading=found.reading,
            data_root=config.data_root,
            skip_bad_images=config.skip_bad_images,
            max_pixels=config.max_pixels,
        )
    trained_on = replace(
        TrainedOn.recorded(found.models[0].subnet),
        spec=config.dataset,
        reading=found.reading,
        root=config.data_root,
    )
    return found.models, found.left_out, request, trained_on


def _others(
    request: Request, dataset: str, subnet: Subnet, trained_on: TrainedOn
) -> tuple[tuple[ShiftedSet, ...], tuple[str, ...]]:
    """The shifted sets, and notes on what could not be compared with them."""
    if not request.shifted:
        return (), ()
    to_tensor = subnet.preprocessing.to_tensor
    listing = list_source(dataset, to_tensor, request.data_root, request.reading)
    own, notes = own_images(dataset, listing, trained_on, to_tensor)
    return read_shifted_sets(request.shifted, subnet.classes, to_tensor, own), notes


def _groups(subnet: Subnet) -> tuple[FrequencyGroup, ...]:
    """The thirds of the classes by the images that the model was trained on, if its record has counts."""
    record: dict[str, Any] = subnet.training.get("dataset", {})
    counts = record.get("class_counts", {}).get("train")
    return () if counts is None else frequency_groups(counts)


def _drawn(
    labelled: LabelledImages, most: int | None, classes: tuple[str, ...]
) -> tuple[tuple[Item, ...], str]:
    """At most ``most`` of the images, stratified by class, and words that say which they are."""
    if most is None or most >= len(labelled.items):
        return labelled.items, labelled.source
    if most < len(set(labels_of(labelled.items).tolist())):
        raise InputError(f"--images {most} is fewer than the {len(classes)} classes; give more")
    taken = draw_stratified(
        labels_of(labelled.items),
        most,
        stream(0, "robustness images", most),
        classes=classes,
        parts=("test",),
        keep=0,
    )
    return tuple(labelled.items[i] for i in np.sort(taken)), f"{most} of the {labelled.source}"


def _decoded(items: tuple[Item, ...], bar: CountedBar) -> Part:
    try:
        part = materialise(items, bar)
    except UnreadableImage as error:
        raise InputError(
            f"image '{error.name}' cannot be decoded: {error.reason}; repair or remove it, or give "
            "--skip-bad-images"
        ) from error
    return Part(part.images, part.labels.to(torch.int64))
