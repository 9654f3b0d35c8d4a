"""Batches: each asker has its own answer, waiting is bounded, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from nas_peft.serving.batching import Batcher


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


class Doubling:
    """Doubles numbers, one batch at a time, and remembers the batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.running = 0
        self.seconds = seconds

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.running += 1
        assert self.running == 1
        self.batches.append(list(numbers))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        self.running -= 1
        return [ValueError(str(n)) if n < 0 else 2 * n for n in numbers]


def test_none_of_many_answers_is_lost_or_mixed_up():
    async def work() -> None:
        doubling = Doubling()
        batcher = Batcher(doubling, lambda: 1, 8, 0.001)
        batcher.start()

        async def asker(first: int) -> None:
            for number in range(first, first + 50):
                assert await batcher.ask(number) == 2 * number
                await asyncio.sleep(0.0001 * (number % 3))

        await asyncio.gather(*(asker(1000 * i) for i in range(20)))
        await batcher.close()
        assert sum(map(len, doubling.batches)) == 1000
        assert max(map(len, doubling.batches)) <= 8
        assert len(doubling.batches) < 500
        assert len(doubling.threads) == 1

    run(work)


def test_a_question_that_is_alone_does_not_wait():
    async def work() -> None:
        batcher = Batcher(Doubling(), lambda: 0, 8, 10.0)
        batcher.start()
        started = time.perf_counter()
        assert await batcher.ask(1) == 2
        assert time.perf_counter() - started < 5
        await batcher.close()

    run(work)


def test_waiting_for_others_ends():
    async def work() -> None:
        doubling = Doubling()
        batcher = Batcher(doubling, lambda: 1, 8, 0.05)  # another one seems to be on its way for ever
        batcher.start()
        started = time.perf_counter()
        assert await batcher.ask(1) == 2
        assert 0.04 < time.perf_counter() - started < 5
        await batcher.close()

    run(work)


def test_waiting_ends_when_nothing_is_on_its_way_any_more():
    async def work() -> None:
        coming = [1]
        batcher = Batcher(Doubling(), lambda: coming[0], 8, 10.0)
        batcher.start()
        started = time.perf_counter()
        asked = asyncio.ensure_future(batcher.ask(1))
        await asyncio.sleep(0.01)
        coming[0] = 0
        batcher.look_again()
        assert await asked == 2
        assert time.perf_counter() - started < 5
        await batcher.close()

    run(work)


def test_an_error_is_its_asker_s_and_the_next_batch_is_answered():
    async def work() -> None:
        batcher = Batcher(Doubling(), lambda: 1, 2, 1.0)
        batcher.start()
        good, bad = await asyncio.gather(batcher.ask(3), batcher.ask(-3), return_exceptions=True)
        assert good == 6
        assert isinstance(bad, ValueError)
        with pytest.raises(TypeError):  # of the whole batch
            await asyncio.gather(batcher.ask(1), batcher.ask("two"))
        assert await asyncio.gather(batcher.ask(1), batcher.ask(2)) == [2, 4]
        await batcher.close()

    run(work)


def test_closing_answers_what_waits_and_an_asker_may_leave():
    async def work() -> None:
        batcher = Batcher(Doubling(0.05), lambda: 0, 1, 0.0)
        batcher.start()
        asked = [asyncio.ensure_future(batcher.ask(n)) for n in range(4)]
        await asyncio.sleep(0.01)
        asked[2].cancel()
        await batcher.close()
        assert [await asked[n] for n in (0, 1, 3)] == [0, 2, 6]

    run(work)


def test_other_work_runs_between_batches():
    async def work() -> None:
        doubling = Doubling(0.02)
        batcher = Batcher(doubling, lambda: 0, 1, 0.0)
        batcher.start()
        asked = [asyncio.ensure_future(batcher.ask(n)) for n in range(3)]
        assert await batcher.run(lambda: doubling.running) == 0
        await asyncio.gather(*asked)
        await batcher.close()

    run(work)
