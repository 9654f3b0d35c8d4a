"""The JSON that endpoints answer and accept."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """The reason why a request was refused."""

    error: str


class ClassProbability(BaseModel):
    """A class of a task and its probability."""

    name: str
    probability: float


class Classification(BaseModel):
    """The most probable classes of an image, best first."""

    task: str
    classes: list[ClassProbability]
    logits: list[float] | None = Field(None, description="all logits, in the order of the task's classes")
    warning: str | None = Field(None, description="why the answer may mean little")


class TaskDescription(BaseModel):
    """A task that the server knows."""

    name: str
    classes: list[str]
    metrics: dict[str, Any] = Field(description="metrics of the subnet file, with their protocol")
    parameters: int = Field(description="trained parameters, head included")
    modules: str = Field(description="kinds of modules, with their size in each layer")
    backbone: str
    image_size: tuple[int, int] = Field(description="height and width that images are resized to")
    calibrated: bool = Field(description="whether probabilities are calibrated by a stored temperature")


class TaskList(BaseModel):
    """All tasks that the server knows."""

    tasks: list[TaskDescription]


class LoadRequest(BaseModel):
    """A subnet file to load."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(min_length=1, max_length=1000, description="path relative to the allowed folder")


class AttentionMap(BaseModel):
    """Attention rollout: the share of each patch in what the head reads."""

    task: str
    shares: list[list[float]] = Field(description="one row of patches after the other; all sum to 1")
    view: str = Field(description="the image as the network sees it, resized and cropped, as a data: address")


class Health(BaseModel):
    """The state of the server."""

    status: str
