"""Batches of images of any tasks, run one after another on one thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Waiting(Generic[Question, Answer]):
    question: Question
    answer: asyncio.Future[Answer]


class Batcher(Generic[Question, Answer]):
    """Collects questions, answers them in batches, and gives each asker its own answer.

    A question waits ``max_wait`` seconds at most for others to join its batch, and not at all while no
    other request is on its way: a client that is alone never waits. While a batch runs, the next one fills.

    Args:
        answer_batch: answers questions in their order, on the thread of the model; an exception among the
            answers is raised for its asker alone.
        on_the_way: number of questions that may be asked soon.
        max_batch: most questions of a batch.
        max_wait: seconds that a question waits for others.
    """

    def __init__(
        self,
        answer_batch: Callable[[Sequence[Question]], Sequence[Answer | Exception]],
        on_the_way: Callable[[], int],
        max_batch: int,
        max_wait: float,
    ) -> None:
        self._answer_batch = answer_batch
        self._on_the_way = on_the_way
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")
        self._collector: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._collector = asyncio.get_running_loop().create_task(self._collect())

    async def close(self) -> None:
        """Answer everything that waits, then end the thread."""
        while self._waiting:
            await asyncio.sleep(0.01)
        if self._collector is not None:
            self._collector.cancel()
            await asyncio.gather(self._collector, return_exceptions=True)
        self._thread.shutdown()

    async def ask(self, question: Question) -> Answer:
        """The answer to one question. Raises what the batch raised."""
        waiting = _Waiting[Question, Answer](question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.answer

    def look_again(self) -> None:
        """Tell the collector that fewer questions are on their way than before."""
        self._arrived.set()

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run other work on the thread of the model, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _collect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                await self._news(None)
            deadline = loop.time() + self._max_wait
            while len(self._waiting) < self._max_batch and self._on_the_way():
                if (left := deadline - loop.time()) <= 0 or not await self._news(left):
                    break
            batch = [self._waiting[i] for i in range(min(len(self._waiting), self._max_batch))]
            await self._answer(batch)
            for _ in batch:  # only now, so that `close` waits for them
                self._waiting.popleft()

    async def _news(self, seconds: float | None) -> bool:
        """Wait for a question; whether one came in time."""
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def _answer(self, batch: Sequence[_Waiting[Question, Answer]]) -> None:
        try:
            answers = await self.run(self._answer_batch, [waiting.question for waiting in batch])
        except Exception as error:  # each asker is told, and the next batch is tried
            answers = [error] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():  # its asker has left
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
