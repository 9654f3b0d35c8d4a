"""The work behind the endpoints: reading an image, classifying it in a batch, loading a task."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import torch
from PIL import Image
from starlette.requests import Request
from torch import Tensor

from nas_peft.data.blank_images import are_blank
from nas_peft.serving.batching import Batcher
from nas_peft.serving.limits import Limits
from nas_peft.serving.metrics import Metrics
from nas_peft.serving.refusal import Refusal, server_is_full
from nas_peft.serving.request_body import read_image_bytes
from nas_peft.serving.served_tasks import ServedTasks
from nas_peft.serving.uploaded_image import decoded
from supernet.attention_rollout import attention_rollout
from supernet.multi_task import Task

Result = TypeVar("Result")

_IMAGE_THREADS = 2
_SMALLEST_VIEW = 256  # pixels of the shorter side of the picture that a map is drawn on


@dataclass(frozen=True)
class Question:
    """One image for one task: normalised pixels ``(3, H, W)``."""

    task: Task
    pixels: Tensor


@dataclass(frozen=True)
class Looks:
    """Where a network looks: a share for each patch ``(rows, columns)``, and the picture that it sees."""

    shares: Tensor
    view: Image.Image

    def view_as_data(self) -> str:
        """The picture as a ``data:`` address, enlarged if it is small."""
        times = max(1, -(-_SMALLEST_VIEW // min(self.view.size)))
        width, height = self.view.size
        file = BytesIO()
        self.view.resize((width * times, height * times), Image.Resampling.BICUBIC).save(file, "PNG")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


class Service:
    """Answers requests within limits.

    Images are decoded on a few threads, and one thread runs the model. A request takes a place before its
    body is read and keeps it until it is answered, so that the memory of all requests is bounded.
    """

    def __init__(self, tasks: ServedTasks, limits: Limits, metrics: Metrics) -> None:
        self.tasks = tasks
        self.limits = limits
        self.metrics = metrics
        self._in_hand = 0
        self._asked = 0
        self._images = ThreadPoolExecutor(_IMAGE_THREADS, "image")
        self._batcher = Batcher(
            self._logits, lambda: self._in_hand - self._asked, limits.max_batch, limits.max_wait
        )
        self._count_tasks()

    def warm_up(self) -> None:
        """Classify a blank image by each task, so that no client waits for what is done once."""
        blank = Image.new("RGB", (8, 8))
        tasks = list(self.tasks.model.tasks.values())
        for start in range(0, len(tasks), self.limits.max_batch):
            chosen = tasks[start : start + self.limits.max_batch]
            self._computed([Question(task, task.prepare(blank)) for task in chosen])

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._batcher.start()

    async def close(self) -> None:
        """Answer what waits, and end all threads."""
        await self._batcher.close()
        self._images.shutdown()

    async def classify(self, name: str, request: Request) -> tuple[Task, Tensor, bool]:
        """The task of a name, its logits ``(classes,)`` for the image of a request, and whether it is blank.

        A blank image has almost a single colour. Raises `Refusal`.
        """
        with self._place():
            task = self.tasks.task(name)
            image = await self._image(request)
            pixels, blank = await self._aside(_prepared, task, image)
            del image
            self._asked += 1
            try:
                logits = await self._batcher.ask(Question(task, pixels))
            finally:
                self._asked -= 1
        if not bool(logits.isfinite().all()):
            raise Refusal(422, f"task '{task.name}' gives no finite numbers for this image; train it anew")
        if self.tasks.model.tasks.get(task.name) is task:  # else it was unloaded, and its series removed
            self.metrics.answers.labels(task.name).inc()
        return task, logits, blank

    async def look(self, name: str, request: Request) -> Looks:
        """Where the subnet of a task looks in the image of a request. Raises `Refusal`."""
        with self._place():
            task = self.tasks.task(name)
            image = await self._image(request)
            pixels = await self._aside(task.preprocessing.to_tensor, image)
            shares = await self._batcher.run(_shares, task, pixels)
            return Looks(shares, Image.fromarray(pixels.permute(1, 2, 0).numpy()))

    async def load(self, name: str, given: str) -> Task:
        """Load a task from the allowed folder. Raises `Refusal`."""
        task = await self._aside(self.tasks.load, name, given)
        self._count_tasks()
        return task

    async def unload(self, name: str) -> None:
        """Unload a task; requests that have named it before are still answered. Raises `Refusal`."""
        await self._aside(self.tasks.unload, name)
        self.metrics.forget(name)
        self._count_tasks()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._in_hand >= self.limits.queue:
            raise server_is_full(self.limits.queue)
        self._in_hand += 1
        self.metrics.in_hand.set(self._in_hand)
        try:
            yield
        finally:
            self._in_hand -= 1
            self.metrics.in_hand.set(self._in_hand)
            self._batcher.look_again()

    async def _image(self, request: Request) -> Image.Image:
        body = await read_image_bytes(request, self.limits.max_body, self.limits.send_seconds)
        return await self._aside(decoded, body)

    async def _aside(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._images, work, *arguments)

    def _logits(self, questions: Sequence[Question]) -> list[Tensor]:
        """The logits of a batch, measured."""
        started = time.perf_counter()
        answers = self._computed(questions)
        self.metrics.batch_images.observe(len(questions))
        self.metrics.batch_tasks.observe(len({q.task.name for q in questions}))
        self.metrics.batch_seconds.observe(time.perf_counter() - started)
        return answers

    def _computed(self, questions: Sequence[Question]) -> list[Tensor]:
        """Logits; images of several sizes, which some backbones take, go one size a pass."""
        answers: dict[int, Tensor] = {}
        for shape in {tuple(q.pixels.shape) for q in questions}:
            chosen = [i for i, q in enumerate(questions) if tuple(q.pixels.shape) == shape]
            pixels = torch.stack([questions[i].pixels for i in chosen]).to(self.tasks.model.device)
            logits = self.tasks.model(pixels, [questions[i].task for i in chosen])
            answers |= dict(zip(chosen, (row.cpu() for row in logits), strict=True))
        return [answers[i] for i in range(len(questions))]

    def _count_tasks(self) -> None:
        self.metrics.tasks.set(len(self.tasks.names()))


def _prepared(task: Task, image: Image.Image) -> tuple[Tensor, bool]:
    pixels = task.preprocessing.to_tensor(image)[None]
    return task.preprocessing.normalise(pixels)[0], bool(are_blank(pixels)[0])


def _shares(task: Task, pixels: Tensor) -> Tensor:
    network = task.subnet.network
    images = pixels[None].to(network.head.weight.device)
    return attention_rollout(network, task.preprocessing.normalise(images))[0].cpu()
