"""Data sets whose test set is open from the start, for studies that choose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nas_peft.data import ImageDataset, Part, load_dataset
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Supernet, pooled_features


@dataclass(frozen=True)
class OpenedTask:
    """A data set with its test part open and the pretrained features of its training part."""

    name: str
    fingerprint: str
    classes: int
    train: Part
    val: Part
    test: Part
    features: Tensor


def load_tasks(
    names: Sequence[str], backbone: Backbone, preprocessing: Preprocessing
) -> dict[str, OpenedTask]:
    """Load data sets given by folder or name; keyed by the data set's own name. Raises `InputError`."""
    datasets = [load_dataset(name, to_tensor=preprocessing.to_tensor) for name in names]
    return {dataset.name: _opened(dataset, backbone, preprocessing) for dataset in datasets}


def _opened(dataset: ImageDataset, backbone: Backbone, preprocessing: Preprocessing) -> OpenedTask:
    empty = Architecture.empty(backbone.depth)
    probe = Supernet(backbone.model, empty, len(dataset.classes))
    return OpenedTask(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=len(dataset.classes),
        train=dataset.train,
        val=dataset.val,
        test=dataset.test.open("the table of architectures, which chooses nothing"),
        features=pooled_features(probe, dataset.train.images, preprocessing, architecture=empty),
    )
