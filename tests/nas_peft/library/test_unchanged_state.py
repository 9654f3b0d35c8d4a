"""Calls of the library leave the process as it was."""

import logging
import os
import random
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from process_state import state_of_the_process

import nas_peft
from nas_peft.library.unchanged_state import unchanged_state
from nas_peft.run.results import SearchResult


def test_a_whole_run_leaves_every_global_state_as_it_was(
    run_between_states: tuple[dict[str, Any], SearchResult, dict[str, Any]],
):
    before, _, after = run_between_states
    assert [name for name in before if before[name] != after[name]] == []


def test_using_a_subnet_leaves_every_global_state_as_it_was(finished_run: SearchResult):
    before = state_of_the_process()
    nas_peft.load_subnet(f"{finished_run.run}/subnet.safetensors").probabilities([Image.new("RGB", (9, 9))])
    nas_peft.subnet_of_run(finished_run.run, row="linear")
    with pytest.raises(ValueError, match="generations is 0"):
        nas_peft.search(dataset="digits", generations=0)
    after = state_of_the_process()
    assert [name for name in before if before[name] != after[name]] == []


def change_everything() -> None:
    random.random()
    np.random.rand()  # noqa: NPY002
    torch.rand(1)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_float32_matmul_precision("medium")
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    os.environ["NAS_PEFT_TEST"] = "1"
    os.environ["PATH"] += ":/nowhere"
    del os.environ["HOME"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    logging.root.addHandler(logging.NullHandler())
    logging.getLogger("optuna").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("error", [None, KeyError])
def test_each_state_is_restored_also_after_an_error(error, monkeypatch):
    monkeypatch.setenv("HOME", "/home")
    logging.getLogger("optuna")
    before = state_of_the_process()
    try:
        with unchanged_state():
            change_everything()
            changed = state_of_the_process()
            if error:
                raise error
    except KeyError:
        assert error
    after = state_of_the_process()
    assert [name for name in before if before[name] != after[name]] == []
    unlike = {name for name in before if before[name] != changed[name]}
    assert unlike >= set(before) - {"TF32", "working directory"}


def test_another_thread_changes_no_signal():
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with unchanged_state():
                torch.rand(1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
