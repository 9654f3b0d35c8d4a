"""The models that the test part is read by: each made from what the trainings left in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.soups import uniform_soup
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network, trained_network, trained_tensors
from nas_peft.training.wise_ft import interpolate
from supernet import Supernet


class FinalModel(Protocol):
    """A network whose weights are decided."""

    def network(self, device: str) -> Supernet:
        """The network, on ``device``; equal on each call."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """How its weights came about; JSON-able."""
        ...


@dataclass(frozen=True)
class TrainedModel:
    """What one training left."""

    training: Training
    runner: RayTrainings
    inputs: TrainingInputs

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        return trained_network(self.training, self.runner.tensors(self.training), self.inputs, device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return self.training.to_dict()


@dataclass(frozen=True)
class SoupModel:
    """The mean of what several trainings of one initialisation left."""

    trainings: tuple[Training, ...]
    runner: RayTrainings
    inputs: TrainingInputs

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        soup = uniform_soup([self.runner.tensors(training) for training in self.trainings])
        return trained_network(self.trainings[0], soup, self.inputs, device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return {"mean_of": [training.to_dict() for training in self.trainings]}


@dataclass(frozen=True)
class WiseFtModel:
    """A point of the line between the network before and after a training, at ``alpha``."""

    training: Training
    alpha: float
    runner: RayTrainings
    inputs: TrainingInputs

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        # on the CPU whatever the device, so that what is tested and what is exported are equal
        start = trained_tensors(starting_network(self.training, self.inputs, "cpu"), self.training)
        line = interpolate(start, self.runner.tensors(self.training), self.alpha)
        return trained_network(self.training, line, self.inputs, device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return {"alpha": self.alpha, "training": self.training.to_dict()}


@dataclass(frozen=True)
class InheritedModel:
    """A network at hand, with weights that no training of its own has changed.

    ``about`` says where they come from.
    """

    inherited: Supernet
    about: Mapping[str, Any]

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        return self.inherited.to(device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return dict(self.about)
