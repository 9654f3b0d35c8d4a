"""Models measured under shift: scores are those of the logits, means over kinds and severities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas_peft.corruptions.corrupting import corrupted
from nas_peft.data import Part
from nas_peft.evaluation.measures import calibration_error
from nas_peft.robustness.class_frequency import frequency_groups
from nas_peft.robustness.measuring import TestImages, measure_models, passes
from nas_peft.robustness.models import NamedModel
from nas_peft.robustness.result import RobustnessResult
from nas_peft.robustness.table import tables
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet


@pytest.fixture(scope="module")
def model(backbone: Backbone) -> NamedModel:
    network = Supernet(backbone.model, Architecture.empty(backbone.depth), 3, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        network.head.weight.copy_(0.3 * torch.randn(network.head.weight.shape, generator=generator))
    subnet = Subnet(network, backbone, ("a", "b", "c"), Preprocessing.of(backbone.model), {}, {}, 2.0)
    return NamedModel("m", "a model", 3, subnet)


@pytest.fixture(scope="module")
def images() -> TestImages:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    part = Part(pixels[:30], torch.arange(30) % 3)
    return TestImages(part, {"x": Part(pixels[30:], torch.zeros(10, dtype=torch.int64)), "y": part})


@pytest.mark.thorough
def test_scores_are_those_of_the_logits(model: NamedModel, images: TestImages):
    counted: list[int] = []
    names, severities = ("contrast", "gaussian_noise"), (1, 4)
    groups = frequency_groups([9, 3, 1])
    (found,) = measure_models(
        [model], images, corruptions=names, severities=severities, groups=groups, on_images=counted.append
    )
    assert sum(counted) == passes(images, 2, 2, 1)
    logits = model.subnet.logits_of(images.clean.images).numpy()
    labels = images.clean.labels.numpy()
    hits = logits.argmax(axis=1) == labels
    assert found.clean.accuracy == hits.mean()
    assert found.clean.standard_error == pytest.approx(hits.std(ddof=1) / 30**0.5)
    probabilities = torch.from_numpy(logits / 2.0).softmax(1).numpy()  # by the temperature
    assert found.clean.calibration_error == pytest.approx(
        calibration_error(probabilities.max(axis=1), hits), abs=1e-6
    )
    assert found.clean.log_loss == pytest.approx(-np.log(probabilities[range(30), labels]).mean(), rel=1e-5)
    for scores in found.corruptions:
        for severity in severities:
            copies = corrupted(images.clean.images, scores.name, severity, use="test")
            right = model.subnet.logits_of(copies).argmax(1) == images.clean.labels
            assert scores.by_severity[severity].accuracy == pytest.approx(float(right.float().mean()))
    assert found.mean_corruption_accuracy == pytest.approx(np.mean([c.accuracy for c in found.corruptions]))
    assert found.domains["y"] == found.clean
    assert found.average_domain_accuracy == pytest.approx(
        (found.domains["x"].accuracy + found.clean.accuracy) / 2
    )
    assert found.worst_domain in ("x", "y")
    assert [group.recall for group in found.frequency] == [
        hits[labels == label].mean() for label in (0, 1, 2)
    ]
    assert found.to_dict()["corruptions"]["contrast"]["group"] == "digital"


def test_a_model_that_has_not_seen_the_validation_images_is_marked(model: NamedModel, images: TestImages):
    final, lost = (replace(model.subnet, training={"on": on}) for on in ("train_val", "train"))
    models = [NamedModel("final", "LoRA", 3, final), NamedModel("lost", "Convpass", 3, lost)]
    clean = TestImages(images.clean)
    found = measure_models(models, clean, corruptions=(), severities=())
    assert [of.to_dict()["trained_without_val"] for of in found] == [False, True]
    (table,) = tables(RobustnessResult("30 images", (32, 32), (), found, {}))
    assert [str(cell) for cell in table.columns[0].cells] == ["LoRA", "Convpass †"]
    assert "† weights of the training on the training set alone" in str(table.caption)
    (table,) = tables(RobustnessResult("30 images", (32, 32), (), found[:1], {}))
    assert "†" not in str(table.caption)


def test_without_a_shift_there_are_no_means(model: NamedModel, images: TestImages):
    (found,) = measure_models([model], TestImages(images.clean), corruptions=(), severities=())
    assert (found.mean_corruption_accuracy, found.corruption_error) == (None, None)
    assert (found.worst_domain, found.average_domain_accuracy) == (None, None)


def test_a_corruption_for_choosing_is_refused(model: NamedModel, images: TestImages):
    with pytest.raises(ValueError, match="not for the test"):
        measure_models([model], images, corruptions=("spatter",), severities=(1,))
