"""State that the jobs of a store share in one process: backbone, data sets, and the folder of models."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from nas_peft.data import ImageDataset, Part, load_dataset
from nas_peft.data.larger_images import FACTOR, may_be_larger, with_larger_images
from nas_peft.run.training_inputs import TrainingInputs
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Supernet, create_backbone, pooled_features, write_atomically
from supernet.images import without_larger

Line = dict[str, Any]
"""Result of one job, JSON-able."""


@dataclass
class Bench:
    """Backbone of a worker process, loaded once, and each data set, loaded when a job first asks for it."""

    backbone: Backbone
    preprocessing: Preprocessing
    folder: Path
    device: str
    larger: bool = False
    """Whether crops are cut from larger copies of the images, as in `nas-peft search`."""
    _tasks: dict[str, tuple[ImageDataset, TrainingInputs]] = field(default_factory=dict)

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Bench:
        """Load the backbone of a command line with ``backbone``, ``store`` and ``device``.

        With a true ``larger_images``, crops are cut from larger copies.
        """
        if threads:
            torch.set_num_threads(threads)
        backbone = create_backbone(args.backbone)
        backbone.model.to(args.device)
        larger = getattr(args, "larger_images", False)
        return cls(backbone, Preprocessing.of(backbone.model), args.store, args.device, larger)

    def fingerprint(self, spec: str) -> str:
        """Fingerprint of a data set, which is not kept."""
        return load_dataset(spec, to_tensor=self.preprocessing.to_tensor).fingerprint

    def task(self, spec: str) -> tuple[ImageDataset, TrainingInputs]:
        """Data set with its test part sealed, and the inputs that all trainings on it share."""
        if spec not in self._tasks:
            data = load_dataset(spec, to_tensor=self.preprocessing.to_tensor)
            if self.larger and may_be_larger(data):
                larger = self.preprocessing.enlarged(FACTOR)
                data = with_larger_images(data, larger.to_tensor, lambda done, total: None)
            probe = Supernet(self.backbone.model, Architecture.empty(self.backbone.depth), len(data.classes))
            images = without_larger(data.train_val.images)
            features = pooled_features(probe, images, self.preprocessing).cpu()
            inputs = TrainingInputs(
                self.backbone, self.preprocessing, len(data.classes), data.train, data.val, features
            )
            self._tasks[spec] = (data, inputs)
        return self._tasks[spec]

    def open_test(self, spec: str, decision: str) -> tuple[Part, TrainingInputs]:
        """Test part and inputs of a data set; the opened data set is not kept for later jobs."""
        data, inputs = self.task(spec)
        del self._tasks[spec]  # a data set object opens its test part once
        return data.test.open(decision), inputs

    def model_file(self, key: str) -> Path:
        """Path of the tensors of a model."""
        return self.folder / "models" / f"{key}.safetensors"

    def save_model(self, key: str, tensors: bytes) -> None:
        """Keep a model until the test part is read."""
        self.model_file(key).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.model_file(key), tensors)

    def run(self, job: Job) -> Line:
        """Run a job and return its line, with the job's kind and key."""
        return {"kind": job.kind, "key": job.key} | job.run(self)


class Job(Protocol):
    """A search, a training, or the reading of a test part."""

    @property
    def kind(self) -> str:
        """Kind of the job, as its line names it."""
        ...

    @property
    def task(self) -> str:
        """Data set."""
        ...

    @property
    def key(self) -> str:
        """Digest of everything that decides the line."""
        ...

    def run(self, bench: Bench) -> Line:
        """Do the job and return its line."""
        ...
