"""The models evaluated on the test set: each is built from tensors that trainings left in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.soups import uniform_soup
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network, trained_network, trained_tensors
from nas_peft.training.wise_ft import interpolate, line_start
from supernet import Recipe, Supernet


class FinalModel(Protocol):
    """A network whose weights are final."""

    def network(self, device: str) -> Supernet:
        """The network on ``device``; equal on each call."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The origin of the weights, JSON-able."""
        ...


@dataclass(frozen=True)
class TrainedModel:
    """The network of one training."""

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
    """The mean of the weights of several trainings from one initialisation."""

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
    """The point ``alpha`` on the line in weight space from the pretrained function to a training's end.

    ``head`` is the recipe of the head at the pretrained function, see `line_start`. With ``from_start`` the
    line begins where the training did, as in runs of earlier versions.
    """

    training: Training
    alpha: float
    runner: RayTrainings
    inputs: TrainingInputs
    head: Recipe | None
    from_start: bool = False

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        # on the CPU whatever the device, so that what is tested and what is exported are equal
        tuned = self.runner.tensors(self.training)
        if self.from_start:
            start = trained_tensors(starting_network(self.training, self.inputs, "cpu"), self.training)
        else:
            start = line_start(self.training, tuned, self.inputs, self.head)
        line = interpolate(start, tuned, self.alpha)
        return trained_network(self.training, line, self.inputs, device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return {"alpha": self.alpha, "training": self.training.to_dict()}


@dataclass(frozen=True)
class InheritedModel:
    """A given network, whose weights are inherited and not trained further.

    ``about`` says where the weights come from.
    """

    inherited: Supernet
    about: Mapping[str, Any]

    def network(self, device: str) -> Supernet:
        """See `FinalModel.network`."""
        return self.inherited.to(device)

    def to_dict(self) -> dict[str, Any]:
        """See `FinalModel.to_dict`."""
        return dict(self.about)
