"""Endpoints over real sockets: answers, refusals, metrics, the description of the interface."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas_peft.serving.limits import Limits
from supernet import load_subnet

from .conftest import TASKS, png, random_image, running


def test_an_answer_is_the_subnet_s_own(server, subnets, backbone):
    image = random_image(0)
    for name, (_, classes) in TASKS.items():
        subnet = load_subnet(subnets[name], backbone)
        (expected,) = subnet.logits([image])
        answer = server.ask("POST", f"/tasks/{name}/predict?logits=true&top=2", png(image))
        assert answer.status == 200
        assert answer.json["task"] == name
        assert answer.json["logits"] == pytest.approx(expected.tolist(), abs=1e-4)
        shares = (expected / 1.5).softmax(0)  # the temperature of the file
        best = shares.topk(2)
        assert [c["name"] for c in answer.json["classes"]] == [classes[i] for i in best.indices]
        found = [c["probability"] for c in answer.json["classes"]]
        assert found == pytest.approx(best.values.tolist(), abs=1e-5)


def test_a_form_and_plain_bytes_have_one_answer(server):
    image = png(random_image(1))
    form = (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
        + image
        + b"\r\n--edge--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    plain = server.ask("POST", "/tasks/pets/predict", image)
    assert plain.status == 200
    assert "logits" not in plain.json
    assert server.ask("POST", "/tasks/pets/predict", form, headers).json == plain.json


def test_an_answer_for_next_to_nothing_says_so(server):
    """Such as a picture of 12 bits in a file of 16."""
    dark = Image.fromarray(np.full((32, 32, 3), 9, np.uint8))
    answer = server.ask("POST", "/tasks/pets/predict", png(dark))
    assert answer.status == 200
    assert "almost a single colour, and the answer means little" in answer.json["warning"]
    assert "warning" not in server.ask("POST", "/tasks/pets/predict", png(random_image(1))).json


def test_tasks_are_listed_with_classes_and_metrics(server):
    tasks = server.ask("GET", "/tasks").json["tasks"]
    assert [t["name"] for t in tasks] == list(TASKS)
    pets = tasks[1]
    assert pets["classes"] == ["cat", "dog", "größer", "other"]
    assert pets["metrics"] == {"test_accuracy": 0.75, "odd": None}  # JSON has no NaN
    assert pets["calibrated"] is True
    assert pets["image_size"] == [32, 32]
    assert pets["modules"].startswith("LoRA 3")


def test_health_metrics_and_description(server):
    assert server.ask("GET", "/health").json == {"status": "ok"}
    server.ask("POST", "/tasks/plain/predict", png(random_image(2)))
    text = server.ask("GET", "/metrics").content.decode()
    assert 'nas_peft_answers_total{task="plain"}' in text
    assert 'nas_peft_requests_total{endpoint="/tasks/{name}/predict",status="200"}' in text
    assert "nas_peft_tasks 3.0" in text
    described = server.ask("GET", "/openapi.json").json
    assert set(described["paths"]) == {
        *("/health", "/metrics", "/tasks", "/tasks/{name}"),
        *("/tasks/{name}/predict", "/tasks/{name}/attention"),
    }
    predict = described["paths"]["/tasks/{name}/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"image/*", "multipart/form-data"}
    assert {"413", "415", "422", "503"} <= set(predict["responses"])


def test_attention_has_a_share_for_each_patch(server):
    answer = server.ask("POST", "/tasks/stripes/attention", png(random_image(3)))
    shares = torch.tensor(answer.json["shares"])
    assert shares.shape == (4, 4)
    assert float(shares.sum()) == pytest.approx(1)
    assert answer.json["view"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nowhere", 404, "not found"),
        ("GET", "/../../etc/passwd", 404, "not found"),
        ("PATCH", "/tasks", 405, "method not allowed"),
        ("POST", "/tasks/none/predict", 404, "no task 'none'"),
        ("POST", "/tasks/%0Aa%00/predict", 404, "no task '?a?'"),
        ("POST", "/tasks/pets/predict?top=0", 400, "'top'"),
        ("POST", "/tasks/pets/predict?top=many", 400, "'top'"),
        ("POST", "/tasks/pets/predict?logits=perhaps", 400, "'logits'"),
        ("PUT", "/tasks/new", 403, "neither loads nor unloads"),
        ("DELETE", "/tasks/pets", 403, "neither loads nor unloads"),
    ],
)
def test_refusals_are_one_line(server, method, path, status, reason):
    body = json.dumps({"file": "x"}) if method == "PUT" else b"x"
    answer = server.ask(method, path, body)
    assert answer.status == status
    assert reason in answer.error


def test_clients_load_and_unload_within_the_folder(make_service, subnets, tmp_path: Path):
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "new.safetensors").write_bytes(subnets["pets"].read_bytes())
    (folder / "broken.safetensors").write_bytes(subnets["pets"].read_bytes()[:999])
    (folder / "link.safetensors").symlink_to(subnets["pets"])
    image = png(random_image(4))
    with running(make_service(folder=folder)) as server:

        def load(name: str, file: str):
            return server.ask("PUT", f"/tasks/{name}", json.dumps({"file": file}))

        assert load("again", "new.safetensors").status == 201
        answers = [server.ask("POST", f"/tasks/{name}/predict", image).json for name in ("again", "pets")]
        assert answers[0]["classes"] == answers[1]["classes"]
        for name, file, status, reason in (
            ("again", "new.safetensors", 409, "there is a task 'again' already"),
            ("x", "none.safetensors", 404, "no file 'none.safetensors'"),
            ("x", "broken.safetensors", 422, "'broken.safetensors' is not a whole safetensors file"),
            ("x", str(subnets["pets"]), 403, "outside the folder"),
            ("x", "../allowed/../x", 403, "outside the folder"),
            ("x", "link.safetensors", 403, "outside the folder"),
            ("x", "new\0.safetensors", 400, "no valid path"),
            ("x", "n" * 999, 400, "no valid path"),
            ("..", "new.safetensors", 400, "is no name of a task"),
            ("a%20b", "new.safetensors", 400, "is no name of a task"),
        ):
            answer = load(name, file)
            assert (answer.status, reason in answer.error) == (status, True), answer.content
            assert str(folder) not in answer.error
        for body in (
            b"",
            b"{",
            b'{"file": 3}',
            b'{"file": "a", "more": 1}',
            b'{"file": "%s"}' % (b"n" * 2000),
        ):
            assert server.ask("PUT", "/tasks/x", body).status == 400
        assert server.ask("PUT", "/tasks/x", b" " * 20_000).status == 413
        assert "outside the folder" in server.ask("DELETE", "/tasks/pets").error
        counted = [f'nas_peft_answers_total{{task="{name}"}} 1.0'.encode() for name in ("again", "pets")]
        assert all(line in server.ask("GET", "/metrics").content for line in counted)
        assert server.ask("DELETE", "/tasks/again").status == 204
        assert [line in server.ask("GET", "/metrics").content for line in counted] == [False, True]
        assert server.ask("DELETE", "/tasks/again").status == 404
        assert server.ask("POST", "/tasks/again/predict", image).status == 404


def test_a_token_opens_all_but_the_page_and_the_health_check(make_service):
    token = "x" * 32
    with running(make_service(), token) as server:
        assert server.ask("GET", "/tasks").status == 200
        server.token = None
        for path in ("/tasks", "/metrics", "/openapi.json", "/nowhere"):
            answer = server.ask("GET", path)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert server.ask("GET", "/tasks", headers={"Authorization": "Bearer wrong"}).status == 401
        assert server.ask("GET", "/tasks", headers={"Authorization": f"Basic {token}"}).status == 401
        assert [server.ask("GET", path).status for path in ("/", "/health")] == [200, 200]


def test_large_images_are_refused_before_they_are_decoded(make_service):
    with running(make_service(Limits(max_pixels=40 * 40))) as server:
        assert server.ask("POST", "/tasks/pets/predict", png(Image.new("RGB", (40, 40)))).status == 200
        answer = server.ask("POST", "/tasks/pets/predict", png(Image.new("RGB", (41, 40))))
        assert answer.status == 413
        assert "1,640 pixels and the limit is 1,600" in answer.error
