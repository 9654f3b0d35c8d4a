"""Clients that load and unload one name at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from nas_peft.serving.allowed_folder import AllowedFolder
from nas_peft.serving.refusal import Refusal
from nas_peft.serving.served_tasks import ServedTasks
from supernet import Backbone, MultiTaskModel


@pytest.fixture
def tasks(backbone: Backbone, subnets: dict[str, Path]) -> ServedTasks:
    """A server's tasks, one of which clients cannot unload."""
    first = {"stripes": subnets["stripes"]}
    return ServedTasks(MultiTaskModel(backbone, first), first, AllowedFolder(subnets["pets"].parent))


def test_a_task_is_unloaded_while_it_is_loaded(tasks: ServedTasks, monkeypatch: pytest.MonkeyPatch):
    """Unloading waits until the file of the task is noted, too."""
    added, add = Event(), tasks.model.add

    def slow(name: str, file: Path):
        task = add(name, file)
        added.set()
        time.sleep(0.2)
        return task

    monkeypatch.setattr(tasks.model, "add", slow)
    with ThreadPoolExecutor() as clients:
        loading = clients.submit(tasks.load, "new", "pets.safetensors")
        assert added.wait(30)
        tasks.unload("new")
        assert loading.result().name == "new"
    assert tasks.names() == ["stripes"]


def test_of_two_that_load_one_name_the_second_is_told_that_it_is_taken(
    tasks: ServedTasks, monkeypatch: pytest.MonkeyPatch
):
    begun, add = Event(), tasks.model.add

    def slow(name: str, file: Path):
        begun.set()
        time.sleep(0.2)
        return add(name, file)

    monkeypatch.setattr(tasks.model, "add", slow)
    with ThreadPoolExecutor() as clients:
        first = clients.submit(tasks.load, "new", "pets.safetensors")
        assert begun.wait(30)
        with pytest.raises(Refusal, match="there is a task 'new' already") as refused:
            tasks.load("new", "plain.safetensors")
        assert refused.value.status == 409
        assert first.result().classes[0] == "cat"
    tasks.unload("new")
    with pytest.raises(Refusal, match="no task 'new'"):
        tasks.unload("new")
