"""The dashboard as people see it, in a browser: the study, its objectives, the decision, pictures."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from nas_peft.dashboard.server import dashboard_server
from nas_peft.dashboard.shown_run import ShownRun
from nas_peft.run.results import SearchResult
from nas_peft.serving.listener import address_of, bound_socket


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def address(finished_run: SearchResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard on the finished run; the run is the same afterwards, byte by byte."""
    run = Path(finished_run.run)
    before = files_of(run)
    shown = ShownRun(run, tmp_path_factory.mktemp("scratch"))
    shown.update()
    listener = bound_socket("127.0.0.1", 0)
    with dashboard_server(shown, listener) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield address_of(listener)
        server.shutdown()
        thread.join()
    assert files_of(run) == before


def get(address: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return answer.read()


def test_a_browser_shows_the_objectives_and_the_decision(
    address: str, browser: webdriver.Chrome, finished_run: SearchResult
) -> None:
    wait = WebDriverWait(browser, 30)
    browser.get(f"{address}/dashboard")
    name = Path(finished_run.run).name
    wait.until(lambda page: name in page.find_element(By.TAG_NAME, "body").text)
    browser.get(f"{address}/dashboard/studies/0/note")
    chosen = finished_run.selected.label
    wait.until(lambda page: "how sure" in page.find_element(By.TAG_NAME, "body").text)
    assert chosen in browser.find_element(By.TAG_NAME, "body").text
    browser.get(f"{address}/dashboard/studies/0/analytics")
    wait.until(lambda page: "loss with inherited weights" in page.page_source)
    assert "trainable parameters" in browser.page_source


def test_each_retrained_trial_has_a_note_and_pictures(address: str, finished_run: SearchResult) -> None:
    study = json.loads(get(f"{address}/api/studies/0"))
    rows = [row for row in finished_run.rows if row.group == "searched"]
    noted = {trial["trial_id"]: trial for trial in study["trials"] if trial["note"]["body"]}
    assert len(noted) == len(rows)
    for number, trial in noted.items():
        assert "validation accuracy" in trial["note"]["body"]
        for artifact in trial["artifacts"]:
            content = get(f"{address}/artifacts/0/{number}/{artifact['artifact_id']}")
            assert content.startswith(b"<?xml") or artifact["filename"] == "subnet.safetensors"
        assert {"front.svg", "losses.svg"} <= {artifact["filename"] for artifact in trial["artifacts"]}
    assert study["directions"] == ["minimize", "minimize"]


def test_other_sites_are_refused(address: str) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            get(f"{address}/api/studies", **headers)
        refused.value.close()
    assert json.loads(get(f"{address}/api/studies", Host=address.partition("://")[2]))
