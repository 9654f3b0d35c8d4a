"""Many clients and hostile ones, at once: every answer is its own image's, and the server lives."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.clients import Client, Hostile, hostile_status, request
from benchmarks.serving.hostile_requests import HostileRequests, random_images
from nas_peft.serving.limits import Limits
from supernet import Supernet, load_subnet, save_subnet

from .conftest import TASKS, png, random_image, running


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return random_images(12, np.random.default_rng(0))


@pytest.mark.thorough
def test_answers_are_neither_lost_nor_mixed_up_beside_hostile_clients(
    make_service, subnets, backbone, images, tmp_path: Path
):
    expected = {
        name: load_subnet(subnets[name], backbone).logits([Image.open(BytesIO(i)) for i in images])
        for name in TASKS
    }
    hostile = HostileRequests("pets", images, 2**18, str(tmp_path / "marker"), np.random.default_rng(1)).draw(
        20
    )
    limits = Limits(max_body=2**18, send_seconds=0.5)
    statuses: list[int] = []

    async def polite(port: int, number: int) -> int:
        rng = np.random.default_rng(number)
        async with Client(port) as client:
            for _ in range(15):
                name, index = list(TASKS)[rng.integers(3)], int(rng.integers(len(images)))
                sent = request("POST", f"/tasks/{name}/predict?logits=true", images[index])
                status, answer = await client.ask(sent)
                assert status == 200
                assert answer["task"] == name
                assert answer["logits"] == pytest.approx(expected[name][index].tolist(), abs=1e-3)
        return 15

    async def harmful(port: int, number: int) -> None:
        for one in hostile[number::8]:
            statuses.append(await hostile_status(port, one, 30))

    async def together(port: int) -> list[object]:
        work = [polite(port, n) for n in range(12)] + [harmful(port, n) for n in range(8)]
        return await asyncio.gather(*work)

    with running(make_service(limits, folder=tmp_path)) as server:
        assert asyncio.run(together(server.port))[:12] == [15] * 12
        assert len(statuses) == 20
        assert [status for status in statuses if not 400 <= status < 500] == []
        assert not (tmp_path / "marker").exists()
        assert server.service.metrics.in_hand._value.get() == 0
        batches = server.service.metrics.batch_images
        assert sum(bucket.get() for bucket in batches._buckets) < 180  # some were shared
        assert server.ask("GET", "/tasks").json["tasks"][0]["name"] == "stripes"


def test_a_full_server_refuses_and_answers_the_others(make_service, images):
    async def all_at_once(port: int) -> list[int]:
        sent = request("POST", "/tasks/pets/predict", images[0])
        clients = [Client(port) for _ in range(20)]
        answers = await asyncio.gather(*(client.ask(sent) for client in clients))
        await asyncio.gather(*(client.close() for client in clients))
        return [status for status, _ in answers]

    with running(make_service(Limits(queue=2))) as server:
        statuses = asyncio.run(all_at_once(server.port))
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 2
        assert server.ask("POST", "/tasks/pets/predict", images[0]).status == 200


def test_a_task_that_is_unloaded_answers_what_has_named_it(make_service, subnets, images, tmp_path: Path):
    (tmp_path / "new.safetensors").write_bytes(subnets["pets"].read_bytes())

    async def load_and_unload(port: int) -> set[int]:
        sent = request("POST", "/tasks/new/predict", images[0])
        put = request("PUT", "/tasks/new", json.dumps({"file": "new.safetensors"}).encode())
        statuses: set[int] = set()
        answered, finished = asyncio.Event(), asyncio.Event()

        async def asker() -> None:
            async with Client(port) as client:
                while not finished.is_set():
                    status = (await client.ask(sent))[0]
                    statuses.add(status)
                    if status == 200:
                        answered.set()

        async def changer() -> None:
            for _ in range(5):
                async with Client(port) as client:
                    assert (await client.ask(put))[0] == 201
                answered.clear()
                await asyncio.wait_for(answered.wait(), 30)
                deletion = Hostile("no body in the answer", (request("DELETE", "/tasks/new"),))
                assert await hostile_status(port, deletion, 30) == 204
            async with Client(port) as client:
                statuses.add((await client.ask(sent))[0])

        async def until_finished() -> None:
            try:
                await changer()
            finally:
                finished.set()

        await asyncio.gather(*(asker() for _ in range(4)), until_finished())
        return statuses

    with running(make_service(folder=tmp_path)) as server:
        assert asyncio.run(load_and_unload(server.port)) == {200, 404}
        assert b'task="new"' not in server.ask("GET", "/metrics").content  # late answers make no new series


def test_logits_that_are_not_finite_are_no_answer(make_service, subnets, backbone, tmp_path: Path):
    """Of weights that are finite: files with others are refused."""
    subnet = load_subnet(subnets["plain"], backbone)
    subnet.network.head.weight.data[:] = 3e38
    save_subnet(subnet, tmp_path / "broken.safetensors")
    assert isinstance(subnet.network, Supernet)
    with running(make_service(folder=tmp_path)) as server:
        put = json.dumps({"file": "broken.safetensors"})
        assert server.ask("PUT", "/tasks/broken", put).status == 201
        answer = server.ask("POST", "/tasks/broken/predict", png(random_image(0)))
        assert answer.status == 422
        assert "gives no finite numbers" in answer.error


def test_every_task_is_run_once_before_the_first_client(make_service):
    service = make_service(Limits(max_batch=2))
    service.warm_up()
    assert service.metrics.batch_images._sum.get() == 0  # which counts clients' images alone
